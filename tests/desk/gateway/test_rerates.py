"""A wrong price is put right at the desk: requests are chosen, the difference is seen, a second of finance approves."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import StaffAction
from proxy.models import Model, Price, Rerate, RerateShare
from proxy.prices.loading import in_force, set_price
from proxy.rerating import work
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

LIST, ADD, VERSION = (f"admin:proxy_rerate_{page}" for page in ("changelist", "add", "version"))
DAY = str(NOW.date())
NANO, SONNET = "openai/gpt-4.1-nano", "anthropic/claude-sonnet-4-6"


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def finance() -> Client:
    return at_desk(in_role("finance", "first@staff.example.org"))


@pytest.fixture
def second() -> Client:
    return at_desk(in_role("finance", "second@staff.example.org"))


@pytest.fixture
def model(make_request) -> Model:
    """With three requests at 3 and 15 USD a million, and now half that price."""
    for _ in range(3):
        make_request()
    found = Model.objects.get(slug=SONNET)
    with transaction.atomic():
        set_price(found, {"input": "1.5", "output": "7.5"}, where=found.slug)
    return found


def run() -> None:
    while work.step(now=NOW + timedelta(hours=1)):
        pass


def propose(desk: Client, model: Model, **fields: str) -> str:
    """What the page says to a proposal."""
    right = in_force(model.prices.all(), at=NOW + timedelta(days=3650))
    assert right is not None
    asked = {"first_day": DAY, "last_day": DAY, "price": str(right.pk), "reason": "a slip", **fields}
    return desk.post(f"{reverse(ADD)}?model={model.pk}", asked, follow=True).content.decode()


def page_of(desk: Client, rerate: Rerate, name: str = "change") -> str:
    return desk.get(reverse(f"admin:proxy_rerate_{name}", args=[rerate.pk])).content.decode()


def test_it_is_done_from_the_first_page_to_the_wallet(model, finance, second, customer):
    asked = finance.post(reverse(ADD), {"model": model.pk})
    assert asked.url == f"{reverse(ADD)}?model={model.pk}"
    assert "v1, " in finance.get(asked.url).content.decode()
    assert "Proposed." in propose(finance, model)
    rerate = Rerate.objects.get()
    assert "It is being counted" in page_of(finance, rerate)
    run()
    queue = f"{reverse(LIST)}?queue=proposed"
    assert f'<a href="{queue}">1</a>' in second.get("/admin/").content.decode()
    assert SONNET in second.get(queue).content.decode()
    shown = page_of(second, rerate)
    assert "$0.04252500" in shown
    assert "-$0.02126250" in shown
    assert "Ada" in shown
    asking = page_of(second, rerate, "approve")
    assert "Requests: 3, customers: 1, charged $0.04252500, corrected $0.02126250." in asking
    approve = reverse("admin:proxy_rerate_approve", args=[rerate.pk])
    assert "You proposed it" in finance.post(approve, follow=True).content.decode()
    assert "Approved. A worker posts it" in second.post(approve, follow=True).content.decode()
    run()
    assert "3 of 3 requests done" in page_of(second, rerate)
    assert RerateShare.objects.get().customer == customer
    assert StaffAction.objects.filter(action="approve", user__email="second@staff.example.org").exists()


def test_the_file_has_each_customers_share(model, finance):
    propose(finance, model)
    run()
    customer = RerateShare.objects.get().customer
    customer.name = "=Ada"
    customer.save()
    answer = finance.get(reverse("admin:proxy_rerate_file", args=[Rerate.objects.get().pk]))
    text = b"".join(answer.streaming_content).decode()
    assert text.splitlines() == [
        "customer,name,requests,charged,corrected,goes back,is taken,posted,given back,taken",
        f"{customer.pk},'=Ada,3,0.04252500,0.02126250,0.02126250,0.00000000,0,0.00000000,0.00000000",
    ]


def test_what_cannot_be_meant_is_said_beside_its_field(model, finance):
    assert "The last day is before the first." in propose(finance, model, last_day=str(NOW.date() - timedelta(days=1)))
    other = Price.objects.get(model__slug=NANO)
    assert "Select a valid choice" in propose(finance, model, price=str(other.pk))
    assert "This field is required" in propose(finance, model, reason=" ")
    assert not Rerate.objects.exists()


def test_a_version_for_corrections_never_comes_into_force(model, finance):
    before = in_force(model.prices.all(), at=NOW + timedelta(days=3650))
    page = f"{reverse(VERSION)}?model={model.pk}"
    assert "It never comes into force" in finance.get(page).content.decode()
    given = {"kind": "text", "shown": "text", "input": "2", "output": "9", "margin": "1.1"}
    given |= {"tiers": "[]", "variants": "[]", "fallback": "[]"}
    answer = finance.post(page, given)
    made = Price.objects.latest("pk")
    assert (made.model, made.rates, str(made.margin)) == (model, {"input": "2", "output": "9"}, "1.1000")
    assert answer.url == f"{reverse(ADD)}?model={model.pk}&price={made.pk}"
    assert f'<option value="{made.pk}" selected>' in finance.get(answer.url).content.decode()
    assert in_force(model.prices.all(), at=NOW + timedelta(days=3650)) == before
    assert in_force(model.prices.all(), at=before.created_at) == before
    assert "names no rate" in finance.post(page, {**given, "input": "", "output": ""}).content.decode()


def test_it_is_refused_with_a_reason(model, finance, second):
    propose(finance, model)
    run()
    rerate = Rerate.objects.get()
    second.post(reverse("admin:proxy_rerate_refuse", args=[rerate.pk]), {"why": "the price was right"})
    rerate.refresh_from_db()
    assert (rerate.state, rerate.decision) == ("refused", "the price was right")


@pytest.mark.parametrize("role", ["support", "operator"])
def test_others_look_and_decide_nothing(model, finance, role):
    propose(finance, model)
    run()
    desk, rerate = at_desk(in_role(role)), Rerate.objects.get()
    assert "$0.04252500" in page_of(desk, rerate)
    assert desk.get(reverse(ADD)).status_code == 403
    assert desk.post(reverse("admin:proxy_rerate_approve", args=[rerate.pk])).status_code == 403
    assert desk.get(reverse(VERSION)).status_code == 403


def test_upwards_is_asked_for_only_where_the_setting_allows_it(model, finance, settings):
    page = f"{reverse(ADD)}?model={model.pk}"
    assert "Upwards too" not in finance.get(page).content.decode()
    settings.RERATE_UPWARDS = True
    assert "Upwards too" in finance.get(page).content.decode()
