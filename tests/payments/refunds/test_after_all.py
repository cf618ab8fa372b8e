"""A part that is paid by its provider after it had failed here: found, booked once, and told to staff."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import RefundRequest, Wallet
from payments import refunds
from payments.inbox import catch_up, notifications
from payments.models import Notification, RefundPart, TopUp
from payments.providers.base import RefundFact, RefundOutcome
from payments.refunds import external
from payments.statements import reconcile
from tests.outbox import mails
from tests.payments.dispute_steps import balance, drifts, spend
from tests.payments.refund_steps import (
    approve,
    approved,
    given_back,
    house,
    pay_after_all,
    pay_by,
    red,
    send,
    settle,
    staff,
    states,
    workers_round,
)
from tests.payments.statements.test_statements import today

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
METHODS = ("stripe", "wechat")
"""Those that tell of a refund that failed; Alipay only says that it is not through."""


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return staff("clerk")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["poll", "notification", "statement", "list of refunds"])
def test_paid_in_the_providers_console_after_it_was_given_back_it_is_found_and_booked(
    sandbox, customer, clerk, method, way
):
    refund = given_back(sandbox, customer, clerk, method)
    part = refund.parts.get()
    settle(sandbox, part, "done")
    if way == "poll":
        workers_round(now=part.failed_at + DAY)
    elif way == "notification":
        event = "refund.updated" if method == "stripe" else "REFUND.SUCCESS"
        note = Notification.objects.create(
            provider=method, key="told", kind=event, order_number=part.key, reference="x", body="{}"
        )
        assert notifications.process(notification_id=note.pk, now=timezone.now()).outcome == "booked"
    elif way == "statement":
        sandbox.control("POST", "/settings", bills_at_once=True)
        result = reconcile.reconcile(provider=method, day=today(method), now=timezone.now() + 3 * DAY)
        assert result.open == []
    else:
        external.settle_refunds(topup_id=part.topup_id, key=part.key, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, refund.sent, refund.returned) == (RefundRequest.State.DONE, 20, 20)
    assert (refund.paid_after_all, refund.excess, states(refund)) == (20, 0, ["done"])
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held, wallet.paid_in) == (0, 0, 0)
    currency = part.charge_currency
    assert (balance("refunds:in_transit"), balance(f"clearing:{method}:{currency}")) == (
        0,
        -house(f"expense:fees:{currency}"),  # the statement's
    )
    assert TopUp.objects.get(pk=part.topup_id).shown_state == "refunded"
    assert red() == {"Refunds contradicted by the provider": "1"}
    assert mails().filter(about=refund.number, subject="A refund that had failed was paid after all").count() == 1
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_part_that_failed_is_asked_about_after_one_seven_and_thirty_days(sandbox, customer, clerk, method):
    part = given_back(sandbox, customer, clerk, method).parts.get()
    turns = []
    while part.look_at is not None:
        turns.append(part.look_at - part.failed_at)
        workers_round(now=part.look_at)
        part.refresh_from_db()
    assert turns == [1 * DAY, 7 * DAY, 30 * DAY]
    assert part.state == "failed"
    assert drifts() == []


def test_alipays_refund_that_was_given_back_unfinished_is_booked_when_it_is_through(sandbox, customer, clerk):
    pay_by(sandbox, customer, "alipay")
    sandbox.fault("refund_recovers", provider="alipay", seconds=3600)
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    refunds.park_part(part_id=part.pk, by=clerk, now=timezone.now())
    refunds.give_back(part_id=part.pk, by=clerk, now=timezone.now(), closed_there=True)
    assert Wallet.objects.get(customer=customer).paid == 20
    refund = pay_after_all(sandbox, refund)
    assert (refund.state, refund.returned, Wallet.objects.get(customer=customer).paid) == ("done", 20, 0)
    assert drifts() == []


def test_stripes_refund_that_requires_action_is_parked_and_its_success_books_it(sandbox, customer, clerk):
    pay_by(sandbox, customer, "stripe")
    sandbox.fault("refund_pending", provider="stripe")
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    settle(sandbox, part, "abnormal")
    refunds.look(part_id=part.pk, now=timezone.now())
    assert states(refund) == ["parked"]
    refunds.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    assert pay_after_all(sandbox, refund).state == RefundRequest.State.DONE
    assert drifts() == []


def test_a_request_that_is_approved_again_sends_only_what_has_not_arrived_meanwhile(sandbox, customer, clerk):
    refund = approve(given_back(sandbox, customer, clerk, "wechat"), clerk, "20.00")
    pay_after_all(sandbox, refund)
    refund = send(refund)
    assert (refund.state, refund.returned, states(refund)) == (RefundRequest.State.DONE, 20, ["done"])
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_part_may_fail_and_be_paid_again_and_again_and_the_books_follow(sandbox, customer, clerk, method):
    refund = given_back(sandbox, customer, clerk, method)
    part = refund.parts.get()
    for number in range(2, 4):
        refund = pay_after_all(sandbox, refund)
        part.refresh_from_db()
        assert (part.round, refund.returned, refund.paid_after_all) == (number, 20, 20)
        refunds.book(part_id=part.pk, fact=RefundFact(RefundOutcome.FAILED), now=timezone.now())
        refund.refresh_from_db()
        assert (refund.state, refund.sent, refund.paid_after_all) == (RefundRequest.State.RETURNED, 0, 0)
        assert Wallet.objects.get(customer=customer).paid == 20
        assert drifts() == []


def test_wechats_refund_that_arrived_and_is_abnormal_later_is_between_the_accounts_until_staff_settle_it(
    sandbox, customer, clerk
):
    pay_by(sandbox, customer, "wechat")
    sandbox.fault("refund_bounces", provider="wechat", seconds=3600)
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    assert (refund.state, part.state) == (RefundRequest.State.DONE, "done")
    settle(sandbox, part, "abnormal")
    refunds.look(part_id=part.pk, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, refund.sent, refund.returned, states(refund)) == ("returned", 20, 0, ["parked"])
    assert (balance("refunds:in_transit"), balance("clearing:wechat:CNY")) == (20, Decimal("-142.40"))
    assert drifts() == []
    refund = pay_after_all(sandbox, refund)
    assert (refund.state, refund.paid_after_all, states(refund)) == (RefundRequest.State.DONE, 0, ["done"])
    assert balance("refunds:in_transit") == balance("clearing:wechat:CNY") == 0
    assert drifts() == []


def test_paid_by_bank_and_by_its_provider_too_is_a_second_part_that_the_customer_owes(sandbox, customer, clerk):
    pay_by(sandbox, customer, "wechat")
    sandbox.fault("refund_abnormal", provider="wechat", seconds=0)
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    while part.state == "sending":
        refunds.look(part_id=part.pk, now=timezone.now())
        part.refresh_from_db()
    for by in (clerk, staff("other")):
        refunds.record_transfer(part_id=part.pk, reference="BANK-1", by=by, now=timezone.now())
    assert red() == {}
    settle(sandbox, part, "done")
    for _repeat in range(2):
        refunds.look_by_key(key=part.key, now=timezone.now())
    refund.refresh_from_db()
    assert states(refund) == ["done", "done"]
    assert (refund.state, refund.returned, refund.excess) == (RefundRequest.State.DONE, 40, 20)
    assert (balance("bank:CNY"), balance("clearing:wechat:CNY")) == (Decimal("142.40"), 0)
    assert set(red()) == {"Refunds contradicted by the provider", "Owed for refunds paid after all"}
    assert drifts() == []
    second = refund.parts.get(number=2)
    assert second.key == part.key
    refunds.look_at_contradiction(part_id=second.pk, by=clerk, now=timezone.now())
    refunds.look(part_id=second.pk, now=timezone.now())
    assert set(red()) == {"Owed for refunds paid after all"}


@pytest.mark.parametrize("method", METHODS)
def test_a_refunds_line_fits_a_failed_part_only_if_its_own_failures_line_answers_it(
    sandbox, customer, clerk, method, monkeypatch
):
    """Stripe's statement has the failure's line; WeChat's has none, so its line says that it was paid."""
    given_back(sandbox, customer, clerk, method)
    sandbox.control("POST", "/settings", bills_at_once=True)
    monkeypatch.setattr(refunds, "look", lambda **values: None)  # the provider cannot be asked
    if method == "wechat":
        settle(sandbox, RefundPart.objects.get(), "done")
    result = reconcile.reconcile(provider=method, day=today(method), now=timezone.now() + 3 * DAY)
    if method == "stripe":
        assert (result.open, result.lines) == ([], 3)
    else:
        [row] = result.open
        assert (row.kind, row.theirs) == ("missing_here", Decimal("-142.40"))


@pytest.mark.parametrize("spent", ["nothing", "all"])
def test_a_refund_begun_at_the_provider_that_failed_and_was_paid_after_all(sandbox, customer, clerk, spent):
    topup = pay_by(sandbox, customer, "stripe")
    made = sandbox.control("POST", f"/orders/stripe/{topup.reference}/refund", amount=2000)
    external.settle_refunds(topup_id=topup.pk, key="", now=timezone.now())
    part = RefundPart.objects.get(provider_id=made["id"])
    settle(sandbox, part, "failed")
    refunds.look(part_id=part.pk, now=timezone.now())
    assert (Wallet.objects.get(customer=customer).paid, drifts()) == (20, [])
    if spent == "all":
        spend(customer, "20.00000000")
    refund = pay_after_all(sandbox, part.refund)
    owed = 20 if spent == "all" else 0
    assert (refund.state, refund.returned, refund.excess) == (RefundRequest.State.EXTERNAL, 20, owed)
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


@pytest.mark.parametrize("end", ["given back", "paid by bank", "parked"])
def test_stripes_list_of_refunds_tells_what_contradicts_the_books(sandbox, customer, clerk, end):
    if end == "given back":
        refund = given_back(sandbox, customer, clerk, "stripe")
    else:
        pay_by(sandbox, customer, "stripe")
        sandbox.fault("refund_pending", provider="stripe")
        refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    if end != "given back":
        refunds.park_part(part_id=part.pk, by=clerk, now=timezone.now())
    if end == "paid by bank":
        for by in (clerk, staff("other")):
            refunds.record_transfer(part_id=part.pk, reference="BANK-1", by=by, now=timezone.now())
    settle(sandbox, part, "failed" if end == "parked" else "done")
    for _round in range(2):
        catch_up.look_for_events(now=timezone.now())
    becomes = {"given back": ["done"], "paid by bank": ["done", "done"], "parked": ["failed"]}
    assert states(refund) == becomes[end]
    assert drifts() == []
