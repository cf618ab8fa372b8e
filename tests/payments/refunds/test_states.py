"""What becomes of a part, by the state it is in and what its provider says: the part, the wallet and the books."""

import itertools

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import RefundRequest, Wallet
from payments import refunds
from payments.models import RefundPart
from payments.providers import registry
from payments.providers.base import RefundFact, RefundOrder, RefundOutcome
from tests.payments.conftest import METHODS
from tests.payments.dispute_steps import drifts
from tests.payments.fake_refunds import FakeProvider, paid_in
from tests.payments.refund_steps import approve, approved, house, send, staff, states

pytestmark = pytest.mark.django_db

Outcome = RefundOutcome
SAYS = (
    "pending",
    "success",
    "another amount",
    "failed",
    "closed",
    "abnormal",
    "unknown",
    "not found",
    "unreadable",
)
STAYS = ("pending", "unknown", "unreadable")
BECOMES = {
    "sending": {
        "success": "done",
        "another amount": "parked",
        "failed": "failed",
        "closed": "failed",
        "abnormal": "parked",
        "not found": "sending",
    },
    "parked": {
        "success": "done",
        "another amount": "parked",
        "failed": "failed",
        "closed": "failed",
        "abnormal": "parked",
        "not found": "parked",
    },
    "done": {
        "success": "done",
        "another amount": "done",
        "failed": "failed",
        "closed": "failed",
        "abnormal": "parked",
        "not found": "done",
    },
    "failed": {
        "success": "done",
        "another amount": "failed",
        "failed": "failed",
        "closed": "failed",
        "abnormal": "failed",
        "not found": "failed",
    },
    "given back": {
        "success": "done",
        "another amount": "failed",
        "failed": "failed",
        "closed": "failed",
        "abnormal": "failed",
        "not found": "failed",
    },
    "paid by bank": dict.fromkeys(("another amount", "failed", "closed", "abnormal", "not found"), "done")
    | {"success": "done and done"},
}
FLAGGED = {
    ("sending", "another amount"),
    ("parked", "another amount"),
    ("done", "another amount"),
    ("done", "not found"),
    ("failed", "success"),
    ("failed", "another amount"),
    ("given back", "success"),
    ("given back", "another amount"),
    ("paid by bank", "success"),
    ("paid by bank", "another amount"),
}
REQUEST_STATES = {"sending": "sending", "parked": "returned", "done": "done", "failed": "returned"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    fake = FakeProvider()
    monkeypatch.setattr(registry, "get", lambda code: fake)
    return fake


@pytest.fixture
def clerk(db: None) -> User:
    return staff("clerk")


def fact(says: str, order: RefundOrder) -> RefundFact:
    if says == "unreadable":
        raise ValueError("not JSON")
    outcome, amount = {
        "pending": (Outcome.PENDING, None),
        "success": (Outcome.DONE, order.amount),
        "another amount": (Outcome.DONE, order.amount - 1),
        "failed": (Outcome.FAILED, None),
        "closed": (Outcome.FAILED, None),
        "abnormal": (Outcome.PARKED, None),
        "unknown": (Outcome.UNKNOWN, None),
        "not found": (Outcome.MISSING, None),
    }[says]
    return RefundFact(outcome, amount=amount, detail=says)


def in_state(state: str, provider: FakeProvider, refund: RefundRequest, clerk: User) -> RefundPart:
    """A part of 20 USD that has come to that state as it does."""
    part = send(refund).parts.get()
    steps = {"sending": (), "parked": ("abnormal",), "done": ("success",), "failed": ("failed",)}
    for says in steps.get(state, ("abnormal",)):
        provider.says = lambda order, says=says: fact(says, order)
        refunds.look(part_id=part.pk, now=timezone.now())
    if state == "given back":
        refunds.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    if state == "paid by bank":
        for by in (clerk, staff("other")):
            refunds.record_transfer(part_id=part.pk, reference="BANK-1", by=by, now=timezone.now())
    part.refresh_from_db()
    return part


ALL = list(itertools.product(BECOMES, SAYS))
EACH = [(METHODS[(number + number // len(SAYS)) % 3], *each) for number, each in enumerate(ALL)]
"""Every state with every answer. The method decides the currency alone: each stands beside each state and answer."""


@pytest.mark.parametrize(("method", "state", "says"), EACH)
def test_a_part_follows_its_provider_and_the_books_follow_it(customer, clerk, provider, method, state, says):
    topup = paid_in(customer, method)
    part = in_state(state, provider, approved(customer, clerk, "20.00"), clerk)
    before, sent = part.state, len(provider.sent)
    provider.says = lambda order: fact(says, order)
    becomes = before if says in STAYS else BECOMES[state][says]
    for _repeat in range(2):  # a repeat changes nothing
        refunds.look(part_id=part.pk, now=timezone.now())
        refund = RefundRequest.objects.get()
        parts = states(refund)
        last = refund.parts.order_by("number").last()
        assert " and ".join(parts) == becomes
        twice = len(parts) == 2
        assert refund.state == REQUEST_STATES[last.state]
        assert Wallet.objects.get(customer=customer).paid == (20 if last.state == "failed" else 0)
        assert Wallet.objects.get(customer=customer).held == (20 if last.state == "failed" else 0)
        assert refund.excess == (20 if twice else 0)
        charge, by_bank = topup.charge_amount, part.charge_amount if state == "paid by bank" else 0
        is_paid_there = last.state == "done" and (twice or state != "paid by bank")
        assert house(f"clearing:{method}:{part.charge_currency}") == (0 if is_paid_there else -charge)
        assert house(f"bank:{part.charge_currency}") == by_bank
        assert house("refunds:in_transit") == (20 if last.state in ("sending", "parked") else 0)
        topup.refresh_from_db()
        assert topup.refunded == (0 if last.state == "failed" else 20)
        assert refunds.contradicted().exists() is ((state, says) in FLAGGED)
    assert drifts() == []
    again = len(provider.sent) - sent
    assert again == (2 if (state, says) == ("sending", "not found") else 0)  # only what never was is sent again


@pytest.mark.parametrize("says", SAYS)
def test_what_is_planned_or_was_dropped_is_not_asked_about(customer, clerk, provider, says):
    topup = paid_in(customer, "wechat")
    refund = approved(customer, clerk, "20.00")
    for number, state in enumerate(("planned", "failed"), start=1):
        part = RefundPart.objects.create(
            refund=refund, number=number, topup=topup, amount=5, key=f"part_{number}", state=state
        )
        provider.says = lambda order: pytest.fail("asked")
        assert refunds.look(part_id=part.pk, now=timezone.now()) is Outcome.MISSING


@pytest.mark.parametrize("end", ["success", "failed"])
@pytest.mark.parametrize("method", METHODS)
def test_a_refund_to_a_top_up_that_was_refunded_again_meanwhile_never_exceeds_it(
    customer, clerk, provider, method, end
):
    """Paid after all, although the whole top-up went back by a second part: the top-up's sums end at the whole."""
    topup = paid_in(customer, method)
    refund = approved(customer, clerk, "20.00")
    first = in_state("failed", provider, refund, clerk)
    provider.says = lambda order: fact("success", order)
    provider.on_send = lambda order: fact("success", order)
    refund.refresh_from_db()
    send(approve(refund, clerk, "20.00"))
    refunds.look(part_id=first.pk, now=timezone.now())
    refund.refresh_from_db()
    topup.refresh_from_db()
    assert (refund.returned, refund.excess) == (40, 20)
    assert (topup.refunded, topup.refunded_charge) == (topup.amount, topup.charge_amount)
    assert drifts() == []
    if end == "failed":
        provider.says = lambda order: fact("failed", order)
        for part in refund.parts.all():
            refunds.look(part_id=part.pk, now=timezone.now())
        topup.refresh_from_db()
        assert (topup.refunded, Wallet.objects.get(customer=customer).paid) == (0, 20)
        assert drifts() == []
