"""Debts up to 1 USD that are 30 days old stand on finance's list, and two of finance write them off."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.audit.run import audit
from billing.books import adjustments
from billing.books.adjustments import AdjustmentError
from billing.books.history import page_of
from billing.books.ledger import Posting, house_account, post
from billing.books.small_debts import small_debts
from billing.models import AdjustmentProposal, Transfer, Wallet
from tests.billing.conftest import balances, topup
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def customer(make_customer):
    return make_customer()


@pytest.fixture
def first(db):
    return in_role("finance", "first@staff.example.org")


@pytest.fixture
def second(db):
    return in_role("finance", "second@staff.example.org")


def owe(wallet: Wallet, debt: str, *, at=NOW) -> None:
    charged = Posting(f"gen-{debt}:paid", "usage", wallet.paid_account, house_account("revenue:usage"), Decimal(debt))
    post([charged], now=at)


def listed(at) -> list[int]:
    return list(small_debts(now=at).values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("debt", "days", "is_listed"),
    [("0.95", 30, True), ("0.95", 29, False), ("1.00", 31, True), ("1.00000001", 31, False), ("0.00000001", 31, True)],
)
def test_a_debt_up_to_a_dollar_is_listed_after_thirty_days(wallet, debt, days, is_listed):
    owe(wallet, debt)
    assert listed(NOW + days * DAY) == ([wallet.pk] if is_listed else [])


def test_a_wallet_that_owes_nothing_or_was_moved_lately_is_not_listed(wallet):
    assert listed(NOW + 31 * DAY) == []
    owe(wallet, "0.95")
    clearing = house_account("clearing:stripe:USD")
    post([Posting("topup:9", "topup", clearing, wallet.paid_account, Decimal("0.50"))], now=NOW + 10 * DAY)
    assert listed(NOW + 31 * DAY) == []
    assert listed(NOW + 40 * DAY) == [wallet.pk]


def test_two_of_finance_write_all_of_it_off(wallet, customer, first, second):
    owe(wallet, "0.95000001")
    later = NOW + 31 * DAY
    proposal = adjustments.propose_write_off(customer_id=customer.pk, reason="too small", by=first, now=later)
    assert (proposal.amount, balances(wallet)[0]) == (Decimal("0.95000001"), Decimal("-0.95000001"))
    with pytest.raises(AdjustmentError, match="You proposed it"):
        adjustments.approve(proposal_id=proposal.pk, by=first, now=later)
    adjustments.approve(proposal_id=proposal.pk, by=second, now=later)
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.written_off) == (0, Decimal("0.95000001"))
    transfer = Transfer.objects.get(key=f"adjustment:{proposal.pk}")
    assert (transfer.kind, transfer.debit.name, transfer.actor) == ("write_off", "expense:bad_debt", second)
    assert page_of(customer=customer).entries[0].description == "A small balance below zero is waived"
    assert listed(later) == []
    assert audit().drifts == []


def test_what_is_not_listed_cannot_be_written_off_and_nothing_twice(wallet, customer, first):
    owe(wallet, "0.95")
    with pytest.raises(AdjustmentError, match="on no list"):
        adjustments.propose_write_off(customer_id=customer.pk, reason="young", by=first, now=NOW)
    later = NOW + 31 * DAY
    adjustments.propose_write_off(customer_id=customer.pk, reason="small", by=first, now=later)
    with pytest.raises(AdjustmentError, match="proposed it already"):
        adjustments.propose_write_off(customer_id=customer.pk, reason="small", by=first, now=later)
    with pytest.raises(AdjustmentError, match="which balance"):
        adjustments.propose(
            customer=customer, kind="write_off", amount="5", reason="freely", words="", by=first, now=later
        )


def test_who_pays_meanwhile_is_written_nothing_off(wallet, customer, first, second):
    owe(wallet, "0.95")
    later = NOW + 31 * DAY
    proposal = adjustments.propose_write_off(customer_id=customer.pk, reason="small", by=first, now=later)
    topup(wallet, "1.00")
    with pytest.raises(AdjustmentError, match="another one by now"):
        adjustments.approve(proposal_id=proposal.pk, by=second, now=later)
    assert balances(wallet)[0] == Decimal("0.05")


def test_the_desk_lists_them_and_proposes_from_the_wallets_page(wallet, first):
    owe(wallet, "0.95", at=timezone.now() - 31 * DAY)
    desk = at_desk(first)
    assert "Small debts to write off" in desk.get("/admin/").content.decode()
    listing = desk.get("/admin/billing/wallet/?queue=small")
    assert list(listing.context["cl"].queryset) == [wallet]
    page = reverse("admin:billing_wallet_write_off", args=[wallet.pk])
    assert "owes $0.95" in desk.get(page).content.decode()
    assert desk.post(page, {"reason": "too small to pursue"}).status_code == 302
    assert AdjustmentProposal.objects.get().kind == "write_off"


def test_support_writes_nothing_off(wallet):
    owe(wallet, "0.95", at=timezone.now() - 31 * DAY)
    page = reverse("admin:billing_wallet_write_off", args=[wallet.pk])
    at_desk(in_role("support")).post(page, {"reason": "too small to pursue"})
    assert not AdjustmentProposal.objects.exists()
