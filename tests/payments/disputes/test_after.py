"""What follows a dispute: suspensions, write-offs, lost events, the audit, the SDK it is read through."""

import typing
from decimal import Decimal

import pytest
import stripe
from django.utils import timezone

from accounts.people import customers
from billing.audit.run import audit
from billing.models import Transfer, Wallet
from payments.disputes import write_offs
from payments.inbox import catch_up
from payments.models import Dispute, FraudWarning, TopUp
from tests.payments.conftest import open_topup, pay, provider_number
from tests.payments.dispute_steps import act, balance, books, clerk, drifts, settle, spend

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_suspension_by_staff_outlives_a_dispute_that_is_won(sandbox, customer, paid):
    customers.suspend(customer=customer, reason="asked by the police", now=timezone.now())
    settle(act(sandbox, paid, "open"))
    settle(act(sandbox, paid, "win"))
    customer.refresh_from_db()
    assert (customer.is_suspended, customer.suspended_reason) == (True, "asked by the police")


def test_a_suspension_that_staff_lifted_is_not_put_back_by_a_repeat(sandbox, customer, paid):
    dispute = act(sandbox, paid, "open")
    settle(dispute)
    customers.lift_suspension(customer=customer)
    settle(dispute)
    assert not books(customer)["is_suspended"][0]


def test_a_write_off_takes_two_people_a_reason_and_a_wallet_below_zero(sandbox, customer, paid):
    spend(customer, "15.00000000")
    first, second, now = clerk(), clerk(), timezone.now()
    dispute = settle(act(sandbox, paid, "open"))
    act(sandbox, paid, "withdraw")
    fifteen = Decimal("15.00")
    with pytest.raises(write_offs.WriteOffError, match="not decided"):
        write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason="gone", by=first, now=now)
    dispute = settle(act(sandbox, paid, "lose"))
    with pytest.raises(write_offs.WriteOffError, match="why"):
        write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason=" ", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match=r"At most \$15\.00"):
        write_offs.propose(dispute_id=dispute.pk, amount=Decimal("15.01"), reason="gone", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match="Nobody"):
        write_offs.confirm(dispute_id=dispute.pk, amount=fifteen, by=second, now=now)
    write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason="gone", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match="somebody else"):
        write_offs.confirm(dispute_id=dispute.pk, amount=fifteen, by=first, now=now)
    write_offs.confirm(dispute_id=dispute.pk, amount=fifteen, by=second, now=now)
    with pytest.raises(write_offs.WriteOffError, match="already"):
        write_offs.confirm(dispute_id=dispute.pk, amount=fifteen, by=second, now=now)
    assert Wallet.objects.get(customer=customer).paid == 0
    assert balance("expense:bad_debt") == -15
    assert Transfer.objects.get(kind="write_off").actor == second
    assert drifts() == []
    customers.lift_suspension(customer=customer)
    again = open_topup(customer, method="stripe", amount="20.00")
    pay(sandbox, again)
    assert drifts() == []


def test_what_comes_back_after_a_write_off_is_the_houses_first(sandbox, customer, paid):
    spend(customer, "15.00000000")
    for step in ("open", "withdraw", "lose"):
        dispute = settle(act(sandbox, paid, step))
    write_offs.propose(dispute_id=dispute.pk, amount=Decimal(15), reason="gone", by=clerk(), now=timezone.now())
    write_offs.confirm(dispute_id=dispute.pk, amount=Decimal(15), by=clerk(), now=timezone.now())
    settle(act(sandbox, paid, "win"))  # the scheme decided otherwise after all
    assert Wallet.objects.get(customer=customer).paid == 5
    assert balance("expense:bad_debt") == 0
    assert drifts() == []


def test_events_that_never_came_are_found_in_the_providers_lists(sandbox, customer, paid):
    sandbox.fault("drop_notification", provider="stripe", times=0)
    act(sandbox, paid, "open")
    act(sandbox, paid, "withdraw")
    sandbox.control("POST", f"/orders/stripe/{provider_number(paid)}/warn")
    catch_up.look_for_events(now=timezone.now())
    assert Dispute.objects.get().withdrawn == 20
    assert FraudWarning.objects.get().topup == paid
    before = books(customer)
    catch_up.look_for_events(now=timezone.now())
    assert books(customer) == before
    assert drifts() == []


def test_a_drift_of_a_dispute_is_named(sandbox, customer, paid):
    dispute = settle(act(sandbox, paid, "open"))
    Dispute.objects.filter(pk=dispute.pk).update(withdrawn=Decimal(3))
    TopUp.objects.filter(pk=paid.pk).update(disputed=Decimal(7))
    found = " ".join(audit(customer_ids=[customer.pk]).drifts)
    assert f"dispute {dispute.provider_id} is needs_response with 20.00 USD held and 3.00 withdrawn" in found
    assert f"{paid.number} has 7.00 USD disputed, its disputes say 23.00" in found


def test_the_fields_of_stripes_disputes_and_warnings_are_those_of_its_sdk():
    """An upgrade that renames what is read fails here."""
    assert {"amount", "currency", "status", "reason", "payment_intent", "balance_transactions", "created"} <= set(
        stripe.Dispute.__annotations__
    )
    assert {"evidence_details"} <= set(stripe.Dispute.__annotations__)
    assert "due_by" in stripe.Dispute.EvidenceDetails.__annotations__
    assert {"amount", "fee", "currency", "created", "id"} <= set(stripe.BalanceTransaction.__annotations__)
    assert {"charge", "payment_intent", "fraud_type"} <= set(stripe.radar.EarlyFraudWarning.__annotations__)
    [literal, _text] = typing.get_args(stripe.Dispute.__annotations__["status"])
    known = {*Dispute.OPEN, *Dispute.OVER, "warning_needs_response", "warning_under_review"}
    assert set(typing.get_args(literal)) == known
