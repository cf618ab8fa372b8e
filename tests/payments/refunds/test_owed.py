"""What a customer had spent when a refund was paid after all: owed, collected, borne, and shown."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.models import RefundRequest, Wallet
from payments import refunds as refunding
from payments.refunds import PartError
from tests.payments.dispute_steps import balance, drifts, spend
from tests.payments.refund_steps import (
    approve,
    given_back,
    pay_after_all,
    pay_by,
    receivable,
    red,
    send,
    settle,
    staff,
    states,
    there,
)
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)

METHODS = ("stripe", "wechat")


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return staff("clerk")


@pytest.mark.parametrize("method", METHODS)
def test_what_was_spent_meanwhile_is_owed_shown_as_receivable_and_collected_later(sandbox, customer, clerk, method):
    refund = given_back(sandbox, customer, clerk, method)
    refunds.deny(refund_id=refund.pk, words="lost", by=clerk, now=timezone.now())
    spend(customer, "15.00000000")
    refund = pay_after_all(sandbox, refund)
    assert (refund.state, refund.returned, refund.excess) == (RefundRequest.State.DONE, 20, 15)
    assert (Wallet.objects.get(customer=customer).paid, receivable()) == (0, 15)
    assert red()["Owed for refunds paid after all"] == "$15.00"
    assert drifts() == []
    part = refund.parts.get()
    with pytest.raises(PartError, match="is free"):
        refunding.collect(part_id=part.pk, by=clerk, now=timezone.now())
    pay_by(sandbox, customer, method, amount="7.00")
    assert refunds.refundable(customer_id=customer.pk).amount == 0  # 7.00 are free, and 15.00 are owed
    assert refunding.collect(part_id=part.pk, by=clerk, now=timezone.now()) == 7
    assert (Wallet.objects.get(customer=customer).paid, receivable()) == (0, 8)
    assert drifts() == []
    pay_by(sandbox, customer, method, amount="20.00")
    assert refunds.refundable(customer_id=customer.pk).amount == 12
    assert refunding.collect(part_id=part.pk, by=clerk, now=timezone.now()) == 8
    refund.refresh_from_db()
    assert (refund.excess, receivable(), Wallet.objects.get(customer=customer).paid) == (0, 0, 12)
    assert drifts() == []


def test_two_of_finance_bear_what_a_customer_owes(sandbox, customer, clerk):
    refund = given_back(sandbox, customer, clerk, "wechat")
    refunds.deny(refund_id=refund.pk, words="lost", by=clerk, now=timezone.now())
    spend(customer, "20.00000000")
    part = pay_after_all(sandbox, refund).parts.get()
    assert refunding.bear(part_id=part.pk, by=clerk, now=timezone.now()).excess == 20
    with pytest.raises(PartError, match="somebody else"):
        refunding.bear(part_id=part.pk, by=clerk, now=timezone.now())
    refunding.bear(part_id=part.pk, by=staff("other"), now=timezone.now())
    refund.refresh_from_db()
    assert (refund.excess, receivable(), balance("expense:bad_debt")) == (0, 0, -20)
    assert Wallet.objects.get(customer=customer).paid == 0
    with pytest.raises(PartError, match="owes nothing"):
        refunding.bear(part_id=part.pk, by=clerk, now=timezone.now())
    assert drifts() == []


@pytest.mark.parametrize("left", ["other balance", "nothing"])
def test_paid_by_another_part_meanwhile_and_then_after_all_the_second_payment_is_taken_or_owed(
    sandbox, customer, clerk, left
):
    """The kind that was paid twice unseen: ABNORMAL, given back, sent by another way, and paid in the console too."""
    refund = given_back(sandbox, customer, clerk, "wechat")
    pay_by(sandbox, customer, "stripe")
    refund = send(approve(refund, clerk, "20.00"))
    assert (refund.state, states(refund)) == (RefundRequest.State.DONE, ["failed", "done"])
    if left == "nothing":
        spend(customer, "20.00000000")
    refund = pay_after_all(sandbox, refund)
    owed = 20 if left == "nothing" else 0
    assert (refund.state, refund.sent, refund.returned, refund.excess) == (RefundRequest.State.DONE, 40, 40, owed)
    assert (Wallet.objects.get(customer=customer).paid, receivable()) == (0, owed)
    assert sorted(there(sandbox)) == [20, Decimal("142.40")]
    assert "Refunds contradicted by the provider" in red()
    assert drifts() == []


def test_what_another_request_has_frozen_is_not_taken_and_cannot_be_approved_while_it_is_owed(sandbox, customer, clerk):
    refund = given_back(sandbox, customer, clerk, "wechat")
    refunds.deny(refund_id=refund.pk, words="ask again", by=clerk, now=timezone.now())
    second = refunds.ask(customer=customer, amount="20.00", reason="again", now=timezone.now())
    refund = pay_after_all(sandbox, refund)
    assert (refund.excess, Wallet.objects.get(customer=customer).paid) == (20, 20)
    assert drifts() == []
    with pytest.raises(refunds.RefundError, match=r"At most \$0\.00"):
        approve(second, clerk, "20.00")
    refunds.deny(refund_id=second.pk, words="it was paid", by=clerk, now=timezone.now())
    refunding.collect(part_id=refund.parts.get().pk, by=clerk, now=timezone.now())
    assert (Wallet.objects.get(customer=customer).paid, receivable()) == (0, 0)
    assert drifts() == []


def test_what_is_owed_is_the_houses_again_when_the_part_comes_back(sandbox, customer, clerk):
    refund = given_back(sandbox, customer, clerk, "wechat")
    refunds.deny(refund_id=refund.pk, words="lost", by=clerk, now=timezone.now())
    spend(customer, "15.00000000")
    refund = pay_after_all(sandbox, refund)
    settle(sandbox, refund.parts.get(), "closed")
    refunding.look(part_id=refund.parts.get().pk, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, refund.excess, receivable()) == (RefundRequest.State.RETURNED, 0, 0)
    assert Wallet.objects.get(customer=customer).paid == 5
    assert drifts() == []


def test_the_customers_page_says_what_is_owed(sandbox, customer, clerk, client):
    refund = given_back(sandbox, customer, clerk, "wechat")
    refunds.deny(refund_id=refund.pk, words="lost", by=clerk, now=timezone.now())
    spend(customer, "15.00000000")
    pay_after_all(sandbox, refund)
    pay_by(sandbox, customer, "stripe", amount="18.00")
    client.force_login(customer.members.get())
    page = client.get("/console/refunds").content.decode()
    assert "$3.00" in page
    assert "$15.0000" in page


def test_the_desk_shows_what_was_paid_after_all_until_somebody_has_looked(sandbox, customer, clerk):
    refund = given_back(sandbox, customer, clerk, "wechat")
    refunds.deny(refund_id=refund.pk, words="lost", by=clerk, now=timezone.now())
    spend(customer, "20.00000000")
    refund = pay_after_all(sandbox, refund)
    desk, second = at_desk(in_role("finance")), at_desk(in_role("finance", "second@example.org"))
    listed = desk.get("/admin/billing/refundrequest/?queue=contradicted").content.decode()
    assert refund.number in listed
    page = f"/admin/billing/refundrequest/{refund.pk}"
    shown = desk.get(f"{page}/change/").content.decode()
    assert "it was paid after it had failed here" in shown
    assert "The customer owes $20.00 of it." in shown
    desk.post(f"{page}/act/seen", {"part": 1, "why": "asked the customer"})
    assert "Refunds contradicted by the provider" not in red()
    assert "is free" in desk.post(f"{page}/act/collect", {"part": 1, "why": "x"}, follow=True).content.decode()
    for finance in (desk, second):
        finance.post(f"{page}/act/bear", {"part": 1, "why": "cannot be reached"})
    assert red() == {}
    assert drifts() == []
