"""What programs hear of: each fact is written with its change, and shows its object as its GET does at that moment."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone, translation

from accounts.keys import issuing
from accounts.models import ApiKey, Customer
from accounts.people import customers
from accounts.tasks import end_expired_keys
from billing import refunds
from billing.models import Event
from billing.outbox import events, objects
from billing.outbox.kinds import EVENTS, Fact, Shown
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders, polling
from tests.billing.conftest import in_threads, topup
from tests.conftest import NOW

pytestmark = pytest.mark.django_db
CONTRACT = (
    *("balance.low", "budget.reached", "topup.paid", "topup.failed", "auto_topup.disabled", "refund.updated"),
    *("invoice.issued", "dispute.opened", "account.suspended", "statement.closed", "key.created", "key.ended"),
)


def got(client, key: issuing.IssuedKey, path: str) -> dict[str, object]:
    answer = client.get(path, headers={"Authorization": f"Bearer {key.text}"})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def told(kind: Fact, customer: Customer) -> Event:
    event = Event.objects.get(kind=kind, customer=customer)
    assert event.shown
    return event


def order(customer: Customer, **given: object) -> TopUp:
    fields = {
        "customer": customer,
        "number": "topup_1",
        "method": "stripe",
        "amount": "20",
        "charge_amount": "20",
        "charge_currency": "USD",
        "request": {"email": "", "locale": "en"},
        "expires_at": NOW + timedelta(minutes=31),
        "created_at": NOW,
    }
    return TopUp.objects.get(pk=TopUp.objects.create(**fields | given).pk)


def test_the_events_are_those_of_the_contract():
    assert {event for event, _object in EVENTS.values()} == set(CONTRACT)
    assert {what for _event, what in EVENTS.values()} == set(Shown)


def test_a_paid_top_up_is_told_once_as_its_get_shows_it(client, customer, key):
    row = order(customer)
    fact = PaymentFact(Outcome.OK, row.number, "pi_1", Decimal(20), "USD", is_ours=True)
    for _turn in range(2):
        orders.credit(topup_id=row.pk, fact=fact, now=NOW)
    event = told(Fact.TOPUP_PAID, customer)
    assert event.shown == got(client, key, "/v1/topups/topup_1")
    assert (event.shown["state"], event.subject, event.created_at) == ("paid", "topup_1", NOW)


def test_a_top_up_that_failed_is_told_and_one_that_is_merely_over_is_not(client, customer, key):
    failed, over, aside = (order(customer, number=f"topup_{name}") for name in ("failed", "over", "aside"))
    TopUp.objects.filter(pk=aside.pk).update(problem="paid too little")
    orders.end(failed, to=TopUp.State.FAILED, now=NOW)
    orders.end(over, to=TopUp.State.EXPIRED, now=NOW)
    polling.put_aside(topup_id=aside.pk, now=NOW)
    assert not orders.end(failed, to=TopUp.State.FAILED, now=NOW)
    events = Event.objects.filter(kind=Fact.TOPUP_FAILED).order_by("pk")
    assert [event.subject for event in events] == ["topup_failed", "topup_aside"]
    assert events[0].shown == got(client, key, "/v1/topups/topup_failed")


def test_a_failed_order_and_its_fact_are_there_both_or_neither(customer, monkeypatch):
    row = order(customer)

    def fail(*_args: object, **_given: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(orders, "tell", fail)
    with pytest.raises(RuntimeError):
        orders.end(row, to=TopUp.State.FAILED, now=NOW)
    row.refresh_from_db()
    assert row.state == TopUp.State.OPEN


def test_each_step_of_a_refund_is_told_as_its_get_shows_it(client, customer, wallet, key):
    topup(wallet, "20")
    refund = refunds.ask(customer=customer, amount="5.00", reason="x", now=NOW)
    asked = told(Fact.REFUND_ASKED, customer)
    assert asked.shown == got(client, key, f"/v1/refund-requests/{refund.number}")
    refunds.cancel(refund_id=refund.pk, now=NOW)
    cancelled = told(Fact.REFUND_CANCELLED, customer)
    assert cancelled.shown == got(client, key, f"/v1/refund-requests/{refund.number}")
    assert (asked.shown["state"], cancelled.shown["state"]) == ("requested", "cancelled")


def test_a_new_key_is_told_and_never_its_text(client, customer, key):
    event = told(Fact.KEY_CREATED, customer)
    assert event.shown == got(client, key, f"/v1/keys/{key.key.pk}") | {"last_used_at": None}
    assert key.text not in str(event.shown) + str(event.data)


def test_a_deleted_key_has_ended_once(customer, key):
    for _turn in range(2):
        issuing.delete(key=key.key, now=NOW)
    event = told(Fact.KEY_ENDED, customer)
    assert (event.shown["key_prefix"], event.shown["is_active"]) == (key.key.prefix, False)


def test_a_key_whose_time_is_up_has_ended_once_and_again_after_it_was_put_off(customer):
    soon, later = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(days=1)
    key = issuing.issue(customer=customer, name="ci", now=NOW, expires_at=soon).key
    ends = Event.objects.filter(kind=Fact.KEY_ENDED)
    for now in (soon - timedelta(seconds=1), soon, soon + timedelta(hours=1)):
        issuing.end_expired(now=now)
        assert ends.count() == (now >= soon)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=later)
    assert issuing.end_expired(now=later - timedelta(seconds=1)) == 0
    assert (issuing.end_expired(now=later), ends.count()) == (1, 2)
    issuing.delete(key=key, now=later)
    assert ends.count() == 2, "it was over already"


def test_the_task_looks_by_the_databases_clock(customer):
    over = issuing.issue(customer=customer, name="ci", now=NOW, expires_at=timezone.now() - timedelta(seconds=1)).key
    end_expired_keys()
    assert told(Fact.KEY_ENDED, customer).subject == f"key:{over.pk}"


@pytest.mark.django_db(transaction=True)
def test_a_key_that_two_find_expired_while_a_third_deletes_it_has_ended_once(make_customer):
    customer, now = make_customer(), timezone.now()
    keys = [issuing.issue(customer=customer, name=str(n), now=NOW, expires_at=now).key for n in range(12)]

    def delete() -> None:
        for key in keys:
            issuing.delete(key=key, now=now)

    in_threads(*[lambda: issuing.end_expired(now=now, limit=3)] * 8, delete)
    ended = Event.objects.filter(kind=Fact.KEY_ENDED).values_list("subject", flat=True)
    assert sorted(ended) == sorted(f"key:{key.pk}" for key in keys)


def test_a_suspension_is_told_without_what_staff_wrote(customer):
    customers.suspend(customer=customer, reason="smells of fraud", now=NOW)
    event = told(Fact.ACCOUNT_SUSPENDED, customer)
    assert event.shown == {"id": str(customer.pk), "name": "Ada", "suspended_at": "2026-11-23T12:00:00Z"}
    customers.lift_suspension(customer=customer)
    customers.suspend(customer=customer, reason="again", now=NOW)
    assert Event.objects.filter(kind=Fact.ACCOUNT_SUSPENDED).count() == 2


def test_a_low_balance_and_a_budget_are_told_by_one_call_each(client, customer, wallet, key):
    about = objects.Budget("key", "7", "ci", "day", 80, Decimal(1), Decimal("0.8"), NOW)
    with transaction.atomic():
        common = {"subject": "x", "data": {}, "now": NOW, "customer_id": customer.pk}
        events.record(Fact.BALANCE_LOW, key="low", about=wallet, **common)
        events.record(Fact.BUDGET_REACHED, key="budget", about=about, **common)
    assert told(Fact.BALANCE_LOW, customer).shown == got(client, key, "/v1/credits")
    assert told(Fact.BUDGET_REACHED, customer).shown == {
        **{"of": "key", "id": "7", "name": "ci", "period": "day", "percent": 80},
        **{"limit": "1.00000000", "spent": "0.80000000", "resets_at": "2026-11-23T12:00:00Z", "refused": False},
    }


def test_an_object_is_shown_the_same_in_whatever_language_and_time_zone(wallet, customer, key):
    row = order(customer)
    plain = objects.show(Shown.TOPUP, row)
    with translation.override("zh-hans"), timezone.override("Asia/Shanghai"):
        assert objects.show(Shown.TOPUP, row) == plain


def test_a_fact_that_programs_hear_of_is_about_something():
    with pytest.raises(ValueError, match="about something: a credits"), transaction.atomic():
        events.record(Fact.BALANCE_LOW, key="x", subject="x", data={}, now=NOW)
