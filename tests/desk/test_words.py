"""What stands on the desk can be read: states by name, numbers with letters and signs, times in one piece."""

import re
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from accounts.models import User
from billing.models import Mail, RefundRequest, Wallet
from core.panels import Figure
from desk.first_page import gateway
from payments.models import Discrepancy
from proxy.models import Generation

NOT_OURS = ("account", "mfa", "auth")
NO_COLUMNS = {"sure", "new_api_key", "password"}
"""Fields of forms alone."""
SAME = {"ID", "SHA-256", "id"}


@pytest.fixture
def desk(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.org", "a rather long one"))
    return client


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_every_tag_of_a_state_has_a_colour_for_any_state():
    tags = [
        (model_admin, name, label)
        for model_admin in admin.site._registry.values()
        for name in model_admin.list_display
        if isinstance(label := getattr(getattr(model_admin, name, None), "label", None), dict)
    ]
    assert len(tags) > 7
    for model_admin, name, label in tags:
        assert label["a state without a colour"], (model_admin, name)


def test_a_difference_and_a_refund_are_tagged_in_words_whatever_their_state(desk, customer):
    Discrepancy.objects.create(provider="stripe", day="2026-11-23", kind="amount_differs", key="x", currency="USD")
    RefundRequest.objects.create(
        customer=customer, number="refund_1", state="partly_done", amount=5, due_at=timezone.now()
    )
    assert "amount_differs" not in text_of(desk.get(reverse("admin:payments_discrepancy_changelist")))
    assert "partly done" in text_of(desk.get(reverse("admin:billing_refundrequest_changelist"), {"queue": "all"}))


def test_a_debt_has_its_minus_before_the_sign(desk, customer, make_request):
    Wallet.objects.filter(customer=customer).update(paid=Decimal("-0.41"))
    page = text_of(desk.get(reverse("admin:accounts_customer_change", args=[customer.pk])))
    assert "-$0.4100" in page
    assert "$-" not in page
    make_request(at=timezone.now())
    Generation.objects.update(upstream_cost=Decimal(80000))
    margin = next(f for panel in gateway.panels() for f in panel.figures if f.label == "Margin")
    assert margin.value.startswith("-$79,999.98")


def test_a_number_in_the_heading_keeps_its_letters(desk, make_request):
    generation = make_request()
    heading = text_of(desk.get(reverse("admin:proxy_generation_change", args=[generation.pk])))
    assert generation.pk in heading
    assert generation.pk.capitalize() not in heading


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_times_stand_in_one_piece_with_their_zone(desk, customer, language):
    Mail.objects.create(to="a@example.org", about="x", subject="x", body="", created_at="2026-11-23T12:34:56Z")
    desk.cookies["django_language"] = language
    assert "2026-11-23 12:34 UTC" in text_of(desk.get(reverse("admin:billing_mail_changelist")))


def test_an_empty_list_says_why_it_is_empty(desk, db):
    path = reverse("admin:payments_topup_changelist")
    assert "Nothing is here yet." in text_of(desk.get(path))
    assert "Nothing fits this search or filter." in text_of(desk.get(path, {"q": "topup_x"}))


def test_every_column_and_field_has_its_chinese(rf):
    """A model's field without a name of its own shows its English one in every language."""
    request = rf.get("/admin/")
    request.user = User(is_superuser=True, is_staff=True)
    english = set()
    ours = {model: desk for model, desk in admin.site._registry.items() if model._meta.app_label not in NOT_OURS}
    with translation.override("zh-hans"):
        for model, model_admin in ours.items():
            fields = flatten_fieldsets(model_admin.get_fieldsets(request, model()))
            for name in {*model_admin.list_display, *fields} - NO_COLUMNS:
                label = str(label_for_field(name, model, model_admin))
                if not re.search("[\u4e00-\u9fff]", label) and label not in SAME:
                    english.add((model._meta.label, name, label))
    assert len(ours) > 30
    assert not english


def test_noughts_stand_back_and_other_figures_do_not():
    values = {"0": True, "—": True, "$0.00": True, "0, $0.0000": True, "10": False, "$0.01": False, "1, $0.0000": False}
    assert {value: Figure("x", value).is_nothing for value in values} == values
