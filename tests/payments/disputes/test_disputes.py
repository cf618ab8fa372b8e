"""Disputes through the sandbox: what each step holds, takes and gives back."""

from decimal import Decimal

import pytest
from django.utils import timezone

from billing import refunds
from billing.models import Event, Hold, Wallet
from payments.inbox import notifications
from payments.models import Dispute, Notification, TopUp
from tests.payments.conftest import open_topup, process_inbox, provider_number
from tests.payments.dispute_steps import act, balance, books, drifts, process_after, settle, spend

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_open_dispute_holds_its_whole_amount_and_stops_spending(sandbox, customer, paid):
    spend(customer, "15.00000000")
    settle(act(sandbox, paid, "open"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held, wallet.available) == (5, 20, -15)
    paid.refresh_from_db()
    assert (paid.disputed, paid.shown_state) == (Decimal("20.00"), "disputed")
    assert books(customer)["is_suspended"] == (True, True)
    assert refunds.refundable(customer_id=customer.pk).amount == 0
    assert drifts() == []


def test_the_customers_programs_hear_once_that_a_payment_is_disputed(sandbox, customer, paid):
    for step in ("open", "withdraw", "win"):
        settle(act(sandbox, paid, step))
    kinds = ("topup.paid", "dispute.opened", "account.suspended")
    told = Event.objects.filter(kind__in=kinds).order_by("pk")
    assert sorted(told.values_list("kind", flat=True)) == sorted(kinds)
    dispute, shown = Dispute.objects.get(), told.get(kind="dispute.opened").shown
    assert shown == {
        "id": str(dispute.pk),
        "topup": paid.number,
        "amount": "20.00000000",
        "currency": "USD",
        "reason": dispute.reason,
        "status": "needs_response",
        "opened_at": shown["opened_at"],
    }


def test_what_is_withdrawn_leaves_the_wallet_and_the_fee_is_the_houses(sandbox, customer, paid):
    spend(customer, "15.00000000")
    act(sandbox, paid, "open")
    settle(act(sandbox, paid, "withdraw"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (-15, 0)
    assert balance("clearing:stripe:USD") == Decimal(15)  # 20 in, 20 and 15 out
    assert balance("expense:fees:USD") == Decimal(-15)
    assert Hold.objects.get(kind="dispute").state == Hold.State.CAPTURED
    assert drifts() == []


def test_a_dispute_that_is_won_gives_back_what_it_took_and_spending_goes_on(sandbox, customer, paid):
    for step in ("open", "withdraw", "win"):
        dispute = act(sandbox, paid, step)
        settle(dispute)
        assert drifts() == [], step
    wallet = Wallet.objects.get(customer=customer)
    paid.refresh_from_db()
    assert (wallet.paid, wallet.held, paid.disputed) == (20, 0, 0)
    assert paid.shown_state == "paid"
    assert books(customer)["is_suspended"] == (False, False)
    assert balance("clearing:stripe:USD") == Decimal(-5)  # the fee stays with the provider


def test_a_dispute_won_before_anything_was_withdrawn_frees_its_hold(sandbox, customer, paid):
    settle(act(sandbox, paid, "open"))
    settle(act(sandbox, paid, "win"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (20, 0)
    assert not books(customer)["is_suspended"][0]
    assert drifts() == []


def test_a_lost_dispute_leaves_the_receivable_on_the_wallet_and_spending_stopped(sandbox, customer, paid):
    spend(customer, "5.00000000")
    for step in ("open", "withdraw", "lose"):
        settle(act(sandbox, paid, step))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (-5, 0)
    assert books(customer)["is_suspended"] == (True, True)
    assert drifts() == []


def test_an_inquiry_moves_no_money(sandbox, customer, paid):
    before = books(customer)
    settle(act(sandbox, paid, "inquire"))
    assert books(customer) | {"disputes": []} == before
    assert Dispute.objects.get().status == "warning_needs_response"
    settle(act(sandbox, paid, "close"))
    assert books(customer) | {"disputes": []} == before
    assert drifts() == []


def test_money_reinstated_while_the_dispute_is_open_is_held_again(sandbox, customer, paid):
    act(sandbox, paid, "open")
    settle(act(sandbox, paid, "withdraw"))
    settle(act(sandbox, paid, "reinstate"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (20, 20)
    assert drifts() == []
    settle(act(sandbox, paid, "withdraw"))
    settle(act(sandbox, paid, "lose"))
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held) == (0, 0)
    assert drifts() == []


@pytest.mark.parametrize(("amount", "held"), [(500, "5.00"), (2700, "27.00")])
def test_a_dispute_smaller_or_larger_than_the_top_up_is_held_and_taken_as_it_is(sandbox, customer, paid, amount, held):
    settle(act(sandbox, paid, "open", amount=amount))
    assert Wallet.objects.get(customer=customer).held == Decimal(held)
    assert drifts() == []
    settle(act(sandbox, paid, "withdraw"))
    assert Wallet.objects.get(customer=customer).paid == 20 - Decimal(held)
    paid.refresh_from_db()
    assert paid.disputed == Decimal(held)
    assert drifts() == []


def test_a_second_dispute_of_the_same_payment_adds_to_the_first_and_spending_waits_for_both(sandbox, customer, paid):
    first = act(sandbox, paid, "open", amount=500)
    settle(first)
    second = act(sandbox, paid, "open", amount=700)
    settle(second)
    paid.refresh_from_db()
    assert paid.disputed == Decimal("12.00")
    assert drifts() == []
    act(sandbox, paid, "win")  # the second
    settle(second)
    assert books(customer)["is_suspended"] == (True, True)
    paid.refresh_from_db()
    assert paid.disputed == Decimal("5.00")
    assert drifts() == []


def test_a_dispute_of_a_top_up_that_was_refunded_takes_the_wallet_below_zero(sandbox, customer, paid):
    order = f"/orders/stripe/{provider_number(paid)}"
    sandbox.control("POST", f"{order}/refund", amount=2000)
    sandbox.wait_until_delivered(order=provider_number(paid), event="refund.created")
    process_inbox()
    assert Wallet.objects.get(customer=customer).paid == 0
    act(sandbox, paid, "open", amount=2000)
    settle(act(sandbox, paid, "withdraw"))
    assert Wallet.objects.get(customer=customer).paid == -20
    assert drifts() == []


def test_a_dispute_of_an_unknown_payment_is_put_before_staff(sandbox, customer, paid):
    dispute = act(sandbox, paid, "open")
    TopUp.objects.filter(pk=paid.pk).update(transaction_id="pi_of_another", number="topup_ofAnother")
    process_after(sandbox, paid, "charge.dispute.created")
    notification = Notification.objects.get(kind="charge.dispute.created")
    assert notification.outcome == Notification.Outcome.UNKNOWN_ORDER
    found = Dispute.objects.get(provider_id=dispute["id"])
    assert (found.topup, found.held, found.withdrawn) == (None, 0, 0)
    assert "no top-up is known" in found.problem
    assert not books(customer)["is_suspended"][0]


def test_a_dispute_that_its_provider_does_not_know_is_recorded_as_such(sandbox, customer, paid):
    act(sandbox, paid, "open")
    sandbox.wait_until_delivered(order=provider_number(paid), event="charge.dispute.created")
    Notification.objects.filter(kind="charge.dispute.created").update(reference="du_forged")
    process_inbox()
    notification = Notification.objects.get(kind="charge.dispute.created")
    assert notification.outcome == Notification.Outcome.UNKNOWN_ORDER
    assert not Dispute.objects.exists()


def test_a_dispute_told_of_before_the_payment_credits_it_first(sandbox, customer):
    topup = open_topup(customer, method="stripe", amount="20.00")
    sandbox.pay("stripe", provider_number(topup))
    act(sandbox, topup, "open")
    dispute = act(sandbox, topup, "withdraw")
    settle(dispute)
    topup.refresh_from_db()
    assert (topup.state, topup.disputed) == (TopUp.State.PAID, Decimal("20.00"))
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


def test_a_provider_that_does_not_answer_leaves_the_notification_for_later(sandbox, customer, paid):
    act(sandbox, paid, "open")
    sandbox.fault("provider_down", provider="stripe", times=0)
    process_after(sandbox, paid, "charge.dispute.created")
    assert Notification.objects.get(kind="charge.dispute.created").processed_at is None
    sandbox.clear_faults()
    process_inbox()
    assert Notification.objects.get(kind="charge.dispute.created").outcome == Notification.Outcome.BOOKED
    assert Dispute.objects.get().topup == paid


def test_a_dispute_started_at_the_provider_is_unknown_here(sandbox, customer, paid):
    """Its events reach the inbox, each is recorded with its top-up, and none does more than the provider says."""
    spend(customer, "15.00000000")
    for step, event in (("open", "created"), ("withdraw", "funds_withdrawn"), ("win", "funds_reinstated")):
        act(sandbox, paid, step)
        process_after(sandbox, paid, f"charge.dispute.{event}")
    told_of = Notification.objects.filter(kind__startswith="charge.dispute.")
    assert {(n.outcome, n.topup) for n in told_of} == {(Notification.Outcome.BOOKED, paid)}
    for notification in Notification.objects.all():  # staff process everything again
        notifications.process(notification_id=notification.pk, now=timezone.now())
    assert Wallet.objects.get(customer=customer).paid == 5
    assert Dispute.objects.get().status == "won"
    assert drifts() == []
