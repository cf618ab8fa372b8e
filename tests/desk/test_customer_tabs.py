"""A customer's page: a tab for everything that is the customer's, for who may see it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.keys import issuing
from billing import refunds
from billing.models import RefundRequest
from desk.customers import tabs
from payments.models import ExchangeRate
from tests.conftest import pay_in
from tests.outbox import mails
from tests.payments.fake_refunds import paid_in
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


def text_of(answer) -> str:
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_each_tab_has_the_latest_rows_and_leads_to_all_of_them(customer, user, make_request):
    topup, request, now = paid_in(customer, "stripe"), make_request(), timezone.now()
    key = issuing.issue(customer=customer, name="Laptop", now=now).key
    refund = refunds.ask(customer=customer, amount="4.00", reason="No use for it", now=now)
    RefundRequest.objects.filter(pk=refund.pk).update(question="Why?")
    mails()
    desk = at_desk(in_role("finance"))
    page = text_of(desk.get(reverse("admin:accounts_customer_change", args=[customer.pk])))
    wanted = {
        "money": ("Welcome credit", "+$"),
        "top-ups": (topup.number, "$20.00", "paid"),
        "refunds": (refund.number, "$4.00", "needs the customer&#x27;s answer"),
        "invoices": ("Nothing is here yet.",),
        "keys": (key.prefix, "Laptop", "active"),
        "requests": (request.pk, request.model.slug, "settled"),
        "mail": ("We received your refund request", "not sent"),
    }
    assert wanted.keys() == tabs.TABS.keys()
    for name, words in wanted.items():
        link = reverse("admin:accounts_customer_tab", args=[customer.pk, name])
        assert f'href="{link}"' in page
        shown = text_of(desk.get(link))
        assert f'href="{link}" aria-current="page"' in shown
        for one in words:
            if one != "Welcome credit":
                assert one in shown, (name, one)
    for name in ("top-ups", "refunds", "invoices", "keys", "money"):
        table = tabs.TABS[name].table(customer)
        assert table.more
        assert desk.get(table.more).status_code == 200, table.more
    story = text_of(desk.get(reverse("admin:accounts_customer_story", args=[customer.pk])))
    assert "No use for it" in story
    assert "desk-tabs" in story


def test_a_tab_is_for_who_may_see_its_rows(customer):
    page = reverse("admin:accounts_customer_tab", args=[customer.pk, "money"])
    assert at_desk(in_role("operator")).get(page).status_code == 403
    desk = at_desk(in_role("support"))
    assert desk.get(page).status_code == 200
    assert desk.get(page.replace("money", "nothing")).status_code == 404
    assert desk.get(page.replace(f"/{customer.pk}/", "/999999/")).status_code == 404
    assert desk.post(page).status_code == 405


def test_states_are_words_on_the_pages_of_rates(customer):
    pay_in(customer, "1", at=timezone.now())
    rate = ExchangeRate.objects.create(rate="7.12", source="test")
    page = text_of(at_desk(in_role("finance")).get(reverse("admin:payments_exchangerate_change", args=[rate.pk])))
    assert "live" in page
    assert "(&#x27;live&#x27;" not in page
