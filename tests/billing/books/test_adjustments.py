"""Adjustments: a reason, four eyes, nothing below what is free; and charges given back as they were split."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import Membership
from billing.audit.run import audit
from billing.books import adjustments, holds
from billing.books.adjustments import AdjustmentError
from billing.books.history import page_of
from billing.books.ledger import Posting, house_account, post
from billing.models import AdjustmentProposal, Hold, Transfer, Wallet
from tests.billing.conftest import balances, in_threads, topup
from tests.conftest import NOW
from tests.staffing import in_role

pytestmark = pytest.mark.django_db
GEN = "gen-" + "a" * 24


@pytest.fixture
def first(db):
    return in_role("finance", "first@staff.example.org")


@pytest.fixture
def second(db):
    return in_role("finance", "second@staff.example.org")


@pytest.fixture
def propose(customer, first):
    def make(kind="paid_up", amount="3.50", reason="wrong by our mistake", words="Correction", by=first):
        return adjustments.propose(
            customer=customer, kind=kind, amount=amount, reason=reason, words=words, by=by, now=NOW
        )

    return make


def approve(proposal, by):
    return adjustments.approve(proposal_id=proposal.pk, by=by, now=NOW)


def spent(wallet: Wallet, *, bonus: str = "0", paid: str = "0", generation: str = GEN) -> None:
    """Charge a request as settlement does."""
    for balance, amount, kind, own in (
        ("bonus", bonus, "usage_bonus", wallet.bonus_account),
        ("paid", paid, "usage", wallet.paid_account),
    ):
        if Decimal(amount):
            house = house_account("revenue:bonus" if balance == "bonus" else "revenue:usage")
            post([Posting(f"{generation}:{balance}", kind, own, house, Decimal(amount))], now=NOW)


@pytest.mark.parametrize(
    ("kind", "paid", "bonus", "house"),
    [
        ("paid_up", "23.50", "10", "adjustments"),
        ("paid_down", "16.50", "10", "adjustments"),
        ("bonus_up", "20", "13.50", "expense:bonus"),
        ("bonus_down", "20", "6.50", "expense:bonus"),
    ],
)
def test_what_one_proposes_moves_when_another_approves(wallet, propose, first, second, kind, paid, bonus, house):
    topup(wallet, "20")
    proposal = propose(kind)
    assert balances(wallet)[:2] == (20, 10), "a proposal moves nothing"
    done = approve(proposal, second)
    assert balances(wallet)[:2] == (Decimal(paid), Decimal(bonus))
    assert (done.state, done.decided_by, done.proposed_by) == ("posted", second, first)
    transfer = Transfer.objects.get(key=f"adjustment:{proposal.pk}")
    assert (transfer.kind, transfer.amount, transfer.actor) == ("adjustment", Decimal("3.5"), second)
    assert house in (transfer.debit.name, transfer.credit.name)
    assert audit().drifts == []


def test_nobody_approves_what_they_proposed(wallet, propose, first):
    proposal = propose()
    with pytest.raises(AdjustmentError, match="You proposed it"):
        approve(proposal, first)
    assert balances(wallet)[0] == 0
    with pytest.raises(IntegrityError, match="adjustment_four_eyes"), transaction.atomic():
        AdjustmentProposal.objects.update(state="posted", decided_by=first, decided_at=NOW)


def test_adjustments_are_for_finance(wallet, propose):
    topup(wallet, "20")
    spent(wallet, paid="1")
    support = in_role("support")
    with pytest.raises(AdjustmentError, match="for finance"):
        adjustments.propose_reversal(generation_id=GEN, reason="x", by=support, now=NOW)
    with pytest.raises(AdjustmentError, match="for finance"):
        propose(by=support)
    with pytest.raises(AdjustmentError, match="for finance"):
        approve(propose(), support)


def test_nobody_decides_about_a_customer_they_belong_to(customer, propose, first, second):
    proposal = propose()
    for own in (first, second):
        Membership.objects.create(user=own, customer=customer)
    with pytest.raises(AdjustmentError, match="You belong to this customer"):
        propose()
    with pytest.raises(AdjustmentError, match="You belong to this customer"):
        approve(proposal, second)
    with pytest.raises(AdjustmentError, match="You belong to this customer"):
        adjustments.refuse(proposal_id=proposal.pk, why="no", by=second, now=NOW)


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("paid_down", "15.00000001"), ("paid_down", "20"), ("bonus_down", "10.00000001"), ("bonus_down", "999999999999")],
)
def test_nothing_is_taken_that_is_held_or_not_there(wallet, customer, propose, kind, amount):
    topup(wallet, "20")
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(5), now=NOW)
    with pytest.raises(AdjustmentError, match="At most"):
        propose(kind, amount)


def test_what_was_spent_since_the_proposal_is_not_taken(wallet, propose, second):
    topup(wallet, "20")
    proposal = propose("paid_down", "15")
    spent(wallet, paid="6")
    with pytest.raises(AdjustmentError, match="At most"):
        approve(proposal, second)
    assert balances(wallet)[0] == 14
    assert AdjustmentProposal.objects.get().state == "proposed"


@pytest.mark.parametrize(
    "amount",
    ["0", "-1", "0.000000001", "NaN", "Infinity", "1e9", "1,5", "", "one", "1_0", "１０", "10000.01", "9" * 24],
)
def test_an_amount_that_cannot_be_meant_is_refused(propose, amount):
    with pytest.raises(AdjustmentError):
        propose("bonus_up", amount)
    assert not AdjustmentProposal.objects.exists()


@pytest.mark.parametrize("fields", [{"reason": "  "}, {"kind": "reversal"}, {"kind": "sideways"}], ids=str)
def test_a_proposal_needs_a_reason_and_a_kind(propose, fields):
    with pytest.raises(AdjustmentError):
        propose(**fields)


def test_a_charge_is_given_back_as_it_was_split_and_once(wallet, customer, first, second):
    topup(wallet, "20")
    spent(wallet, bonus="10", paid="2.5")
    proposal = adjustments.propose_reversal(generation_id=f" {GEN} ", reason="garbage came back", by=first, now=NOW)
    assert (proposal.amount, proposal.customer) == (Decimal("12.5"), customer)
    with pytest.raises(AdjustmentError, match="given back already"):
        adjustments.propose_reversal(generation_id=GEN, reason="again", by=second, now=NOW)
    approve(proposal, second)
    assert balances(wallet)[:2] == (20, 10)
    with pytest.raises(AdjustmentError, match="given back already"):
        adjustments.propose_reversal(generation_id=GEN, reason="again", by=second, now=NOW)
    keys = Transfer.objects.filter(kind="reversal").values_list("key", "amount", "credit__kind")
    assert set(keys) == {
        (f"{GEN}:bonus:reversed", Decimal(10), "bonus"),
        (f"{GEN}:paid:reversed", Decimal("2.5"), "paid"),
    }
    assert page_of(customer=customer).entries[0].description == f"Request {GEN}: the charge was given back"


@pytest.mark.parametrize("name", ["gen-unknown", "topup:1", "", f"{GEN}:paid", "%"])
def test_what_was_never_charged_cannot_be_given_back(wallet, first, name):
    topup(wallet, "20")
    spent(wallet, paid="1")
    with pytest.raises(AdjustmentError, match="Nothing was charged"):
        adjustments.propose_reversal(generation_id=name, reason="x", by=first, now=NOW)


def test_a_refused_reversal_can_be_proposed_anew(wallet, first, second):
    topup(wallet, "20")
    spent(wallet, paid="1")
    proposal = adjustments.propose_reversal(generation_id=GEN, reason="x", by=first, now=NOW)
    with pytest.raises(AdjustmentError, match="Say why"):
        adjustments.refuse(proposal_id=proposal.pk, why=" ", by=second, now=NOW)
    assert adjustments.refuse(proposal_id=proposal.pk, why="it was right", by=second, now=NOW).state == "refused"
    with pytest.raises(AdjustmentError, match="refused already"):
        approve(proposal, second)
    approve(adjustments.propose_reversal(generation_id=GEN, reason="y", by=first, now=NOW), second)
    assert balances(wallet)[0] == 20


def test_a_proposer_may_take_it_back(propose, first, wallet):
    proposal = propose()
    adjustments.refuse(proposal_id=proposal.pk, why="a slip", by=first, now=NOW)
    assert balances(wallet)[0] == 0


def test_a_decided_proposal_is_never_changed_or_deleted(propose, second):
    approve(propose(), second)
    for statement in ("UPDATE billing_adjustmentproposal SET reason = 'x'", "DELETE FROM billing_adjustmentproposal"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_customer_reads_the_words_and_not_the_reason(customer, propose, second):
    approve(propose(words="Sorry for the trouble"), second)
    [entry, _grant] = page_of(customer=customer).entries
    assert entry.description == "Adjustment: Sorry for the trouble"


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_at_once_post_once(customer, wallet, second):
    proposer, third = in_role("finance", "p@staff.example.org"), in_role("finance", "t@staff.example.org")
    proposal = adjustments.propose(
        customer=customer, kind="bonus_up", amount="5", reason="x", words="", by=proposer, now=NOW
    )
    results = in_threads(*(lambda by=by: approve(proposal, by) for by in (second, third, second, third)))
    assert sum(isinstance(result, AdjustmentProposal) for result in results) == 1
    assert sum(isinstance(result, AdjustmentError) for result in results) == 3
    assert balances(wallet)[1] == 15
