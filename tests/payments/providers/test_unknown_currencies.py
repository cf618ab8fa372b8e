"""What moves in a currency that the books do not know is read as far as it can be: a dispute protects first."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils import timezone

from billing.audit.run import audit
from billing.models import Wallet
from payments.disputes import cases
from payments.inbox import catch_up
from payments.models import Discrepancy, Dispute
from payments.providers.base import Bill, RefundOutcome
from payments.providers.stripe import facts
from payments.providers.stripe.statement import read_transactions
from payments.statements import reconcile
from tests.payments.fake_refunds import paid_in

pytestmark = pytest.mark.django_db
CREATED = 1795996800


def row(currency: str, number: str = "txn_1", amount: int = -2000) -> dict:
    return {"id": number, "amount": amount, "fee": 1500, "currency": currency, "created": CREATED}


def dispute(*rows: dict, status: str = "needs_response", currency: str = "usd") -> dict:
    facts = {"id": "du_1", "payment_intent": "paid_0", "reason": "fraudulent", "amount": 2000, "created": CREATED}
    return facts | {"status": status, "currency": currency, "balance_transactions": list(rows)}


@pytest.fixture
def settle(make_customer, monkeypatch):
    """A function: a dispute of a card payment of 20 USD, as Stripe tells it."""
    paid_in(make_customer("0"), "stripe")

    def act(told: dict) -> Dispute:
        there = SimpleNamespace(fetch_dispute=lambda _number: facts.dispute_fact(told))
        monkeypatch.setattr(cases, "provider_of", lambda _code: there)
        return cases.settle_dispute(provider="stripe", dispute_id="du_1", now=timezone.now())

    return act


def test_a_dispute_that_moved_an_unknown_currency_protects_and_says_what_it_moved(settle):
    found = settle(dispute(row("xyz")))
    assert "a currency that the books do not know: txn_1 of -2000 XYZ" in found.problem
    wallet = Wallet.objects.get()
    assert (wallet.paid, wallet.held, found.held, wallet.customer.is_suspended) == (20, 20, 20, True)
    assert audit().drifts == []


def test_it_is_booked_once_its_currency_is_known(settle):
    settle(dispute(row("xyz")))
    found = settle(dispute(row("usd")))
    assert (found.problem, found.withdrawn, found.held) == ("", 20, 0)
    assert Wallet.objects.get().paid == 0
    assert audit().drifts == []


def test_nothing_of_it_is_booked_while_one_row_is_unknown(settle):
    settle(dispute(row("usd"), row("xyz", "txn_2", amount=0)))
    assert (Wallet.objects.get().paid, Dispute.objects.get().movements.count()) == (20, 0)


def test_a_dispute_in_an_unknown_currency_protects_too(settle):
    found = settle(dispute(currency="xyz"))
    assert (found.problem, found.held) == ("in XYZ: book it by hand", 20)
    assert audit().drifts == []


def test_its_row_is_a_difference_in_the_queue(settle, monkeypatch):
    settle(dispute(row("xyz")))
    bill = read_transactions([row("xyz") | {"type": "adjustment", "source": {"id": "du_1"}}])
    day, now = timezone.now().date(), timezone.now()
    monkeypatch.setattr(reconcile.registry, "get", lambda _code: SimpleNamespace(fetch_statement=lambda _day: bill))
    assert isinstance(bill, Bill)
    reconcile.reconcile(provider="stripe", day=day, now=now)
    [unread] = Discrepancy.objects.filter(kind="unexpected")
    assert "'XYZ' is no known currency" in unread.detail
    assert (unread.state, "txn_1" in unread.detail) == ("open", True)


def test_another_shops_refund_in_an_unknown_currency_keeps_no_list_from_being_read(db):
    refund = {"id": "re_1", "payment_intent": "pi_shoes", "amount": 700, "currency": "xyz", "status": "succeeded"}
    told = facts.provider_refund(refund)
    assert (told.amount, told.currency, told.outcome) == (Decimal(0), "XYZ", RefundOutcome.DONE)
    assert not catch_up._is_settled(told)


def test_a_refund_of_ours_in_an_unknown_currency_is_no_answer():
    with pytest.raises(ValueError, match="no known currency"):
        facts.refund_fact({"id": "re_1", "amount": 400, "currency": "xyz", "status": "succeeded"})
