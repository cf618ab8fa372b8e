"""A wallet's sum of what was paid in follows each way that a payment can go back."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.db import connection
from django.utils import timezone

from billing import refunds
from billing.models import Wallet
from payments import refunds as refunding
from payments.disputes import write_offs
from payments.models import ExchangeRate
from tests.payments.conftest import open_topup, pay, process_inbox
from tests.payments.dispute_steps import act, drifts, settle, spend
from tests.payments.refunds.test_external import refund_there
from tests.payments.topups.test_late_payments import paid_late
from tests.staffing import in_role

pytestmark = pytest.mark.django_db(transaction=True)


def paid_in(customer) -> tuple[Decimal, Decimal, Decimal]:
    assert drifts() == []
    return Wallet.objects.values_list("paid_in", "disputed", "written_off").get(customer=customer)


def send_all() -> None:
    for refund_id in refunding.claim_requests(now=timezone.now() + timedelta(minutes=5)):
        refunding.send(refund_id=refund_id, now=timezone.now())


@pytest.mark.parametrize("method", ["stripe", "alipay"])
def test_a_top_up_counts_its_credit_once_credited(sandbox, customer, method):
    topup = open_topup(customer, method=method)
    assert paid_in(customer) == (0, 0, 0)
    pay(sandbox, topup)
    assert paid_in(customer) == (20, 0, 0)
    assert Wallet.objects.get(customer=customer).first_paid_at is not None


def test_a_refund_that_is_asked_counts_once_it_is_sent(sandbox, customer, paid, settings):
    asked = refunds.ask(customer=customer, amount="20.00", reason="no longer needed", now=timezone.now())
    assert paid_in(customer) == (20, 0, 0)
    refunds.approve(refund_id=asked.pk, amount="20.00", by=in_role("finance"), now=timezone.now())
    send_all()
    assert paid_in(customer) == (0, 0, 0)


def test_a_refund_begun_at_the_provider_counts(sandbox, customer, paid):
    refund_there(sandbox, paid, Decimal("12.00"))
    process_inbox()
    assert paid_in(customer) == (8, 0, 0)


def test_a_payment_that_came_too_late_and_goes_back_counts_no_longer(sandbox, customer):
    paid_late(sandbox, customer, method="alipay", rate="7.60")
    send_all()
    assert paid_in(customer) == (0, 0, 0)


def test_a_dispute_counts_while_it_is_open_and_when_it_is_lost(sandbox, customer, paid):
    settle(act(sandbox, paid, "open"))
    assert paid_in(customer) == (0, 20, 0)
    settle(act(sandbox, paid, "withdraw"))
    assert paid_in(customer) == (0, 20, 0)
    settle(act(sandbox, paid, "lose"))
    assert paid_in(customer) == (0, 20, 0)


def test_a_dispute_that_is_won_counts_no_longer(sandbox, customer, paid):
    for step in ("open", "withdraw", "win"):
        settle(act(sandbox, paid, step))
    assert paid_in(customer) == (20, 0, 0)


def test_what_was_written_off_of_a_lost_dispute_is_remembered(sandbox, customer, paid):
    spend(customer, "15.00")
    for step in ("open", "withdraw", "lose"):
        dispute = settle(act(sandbox, paid, step))
    one, other = in_role("finance"), in_role("finance", "second@staff.example.org")
    write_offs.propose(dispute_id=dispute.pk, amount=Decimal(15), reason="gone", by=one, now=timezone.now())
    write_offs.confirm(dispute_id=dispute.pk, amount=Decimal(15), by=other, now=timezone.now())
    assert paid_in(customer) == (0, 20, 15)


def test_wallets_of_before_are_filled_in_from_their_transfers_and_top_ups(sandbox, customer, paid, make_customer):
    """The data migrations on a history with each kind."""
    other = open_topup(customer, method="alipay")
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test", created_at=timezone.now())
    pay(sandbox, other)
    refund_there(sandbox, other, Decimal("71.20"))
    process_inbox()
    settle(act(sandbox, paid, "open"))
    names = ("paid_in", "first_paid_at", "paid_again", "disputed", "written_off")
    kept = Wallet.objects.values(*names).get(customer=customer)
    assert kept["paid_in"] == 10
    Wallet.objects.update(paid_in=0, first_paid_at=None, paid_again=False, disputed=0, written_off=0)
    with connection.cursor() as cursor:
        cursor.execute(import_module("billing.migrations.0002_squashed_second_era").FILL_PAID_IN)
        cursor.execute(import_module("payments.migrations.0002_squashed_second_era").FILL_DISPUTED)
    found = Wallet.objects.values(*names).get(customer=customer)
    assert abs(found.pop("first_paid_at") - kept.pop("first_paid_at")) < timedelta(seconds=1)
    assert found == kept
    assert drifts() == []
