"""What stands at a provider is explained by its statements and by what they do not tell yet; the rest is a drift."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.books import entries
from billing.books.ledger import Posting, house_account, post
from billing.months import journal
from payments.models import Discrepancy, Statement, StatementLine, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.statements import clearing, reconcile
from payments.topups import orders
from tests.conftest import NOW
from tests.staffing import in_role

pytestmark = pytest.mark.django_db
DAY = NOW.date()


@pytest.fixture
def customer(make_customer):
    return make_customer("0")


def pay(customer, number: str) -> TopUp:
    """20 USD by card."""
    topup = TopUp.objects.create(
        customer=customer,
        number=number,
        method="stripe",
        amount=Decimal(20),
        charge_amount=Decimal(20),
        charge_currency="USD",
        expires_at=NOW,
        created_at=NOW,
    )
    fact = PaymentFact(Outcome.OK, number, f"pi_{number}", Decimal(20), "USD", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=NOW)
    return topup


def line(key: str, kind: str, amount: str, fee: str = "0", *, payment: str = "", day=DAY, **more) -> StatementLine:
    statement, _ = Statement.objects.get_or_create(
        provider="stripe", day=day, defaults={"raw": b"", "sha256": "", "lines": 1}
    )
    values = {"amount": Decimal(amount), "fee": Decimal(fee), "currency": "USD", "at": NOW, "transaction_id": payment}
    return StatementLine.objects.create(statement=statement, provider="stripe", key=key, kind=kind, **(values | more))


def match() -> None:
    reconcile.match(provider="stripe", day=DAY, now=NOW)


def account() -> clearing.Clearing:
    [found] = clearing.accounts()
    assert found.name == "clearing:stripe:USD"
    return found


def drifts() -> list[str]:
    return list(clearing.check_clearing(None))


@pytest.fixture
def told(customer):
    """A payment of 20 and its fee, a fee by itself, a payout, and a payment that no statement tells of yet."""
    pay(customer, "topup_1")
    pay(customer, "topup_2")
    line("txn_1", "payment", "20", "0.88", payment="pi_topup_1")
    line("txn_2", "fee", "-0.05")
    line("txn_3", "payout", "-19")
    match()


def test_statements_and_what_they_do_not_tell_yet_explain_the_account(told):
    found = account()
    assert (found.balance, found.settled, found.untold, found.rest) == (Decimal("20.07"), Decimal("0.07"), 20, 0)
    assert drifts() == []
    journal.close_days(now=NOW + timedelta(days=2))
    assert account() == found


def test_a_line_that_names_no_payment_is_none_of_an_order_that_nobody_paid(customer):
    values = {"method": "stripe", "amount": Decimal(20), "charge_amount": Decimal(20), "charge_currency": "USD"}
    TopUp.objects.create(customer=customer, number="topup_open", expires_at=NOW, created_at=NOW, **values)
    line("txn_1", "payment", "20")
    match()
    assert Discrepancy.objects.get().kind == "missing_here"


def test_a_transfer_that_rests_on_nothing_is_a_drift(told):
    there, bank = house_account("clearing:stripe:USD"), house_account("bank:USD")
    post([Posting("stray", "payout", bank, there, Decimal(3))], now=NOW)
    [drift] = drifts()
    assert drift.startswith("clearing:stripe:USD holds 17.07 USD: statements settle 0.07 USD")
    assert drift.endswith("nothing explains -3.00 USD")


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        ({"fee": Decimal("0.80")}, "-0.08"),  # its fee was posted as 0.88
        ({"amount": Decimal(21)}, "-1"),
        ({"kind": "refund"}, "0"),  # it names nothing of ours: what was posted for it counts
    ],
)
def test_a_line_that_changed_after_it_was_matched_is_a_drift(told, change, rest):
    StatementLine.objects.filter(key="txn_1").update(**change)
    assert account().rest == Decimal(rest)


def test_a_payment_that_is_told_twice_is_a_drift(told):
    line("txn_4", "payment", "20", payment="pi_topup_1")
    match()
    assert not Discrepancy.objects.filter(key="txn_4").exists()
    assert account().rest == -20


def test_a_row_whose_line_is_gone_is_a_drift(told):
    StatementLine.objects.filter(key="txn_3").delete()
    assert account().rest == -19


def test_what_waits_in_the_queue_of_differences_is_no_drift(told, customer):
    pay(customer, "topup_3")
    line("txn_4", "payment", "19", "0.80", payment="pi_topup_3")  # we booked 20
    line("txn_5", "payment", "7", "0.50", payment="pi_unknown", number="topup_9")
    line("txn_6", "other", "-3")
    match()
    assert Discrepancy.objects.filter(state="open").count() == 4
    found = account()
    assert (found.balance, found.posted, found.rest) == (Decimal("39.27"), Decimal("-0.80"), 0)
    Discrepancy.objects.update(state="explained")
    assert drifts() == []
    Discrepancy.objects.update(state="cured")
    assert account().rest == 1  # of the 19 that are told of 20


def test_a_day_with_another_shops_payments_is_no_drift_whatever_finance_says_of_it(told):
    line("txn_4", "payment", "1000", "29.30", payment="pi_shoes")
    line("txn_5", "payout", "-900")
    match()
    assert Statement.objects.get().held_back == 4
    assert account().rest == 0
    reconcile.share(provider="stripe", day=DAY, by_id=in_role("finance").pk, now=NOW)
    found = account()
    assert (found.balance, found.posted, found.rest) == (Decimal("90.77"), Decimal("970.70"), 0)


def test_a_statement_that_is_fetched_anew_is_no_drift_until_it_is_matched(told):
    Statement.objects.update(matched_at=None)
    found = account()
    assert (found.settled, found.untold, found.posted, found.rest) == (0, 40, Decimal("-19.93"), 0)


def test_an_entry_by_hand_explains_itself(told):
    one, other = in_role("finance"), in_role("finance", "second@staff.example.org")
    entry = entries.propose(
        debit="reserve:stripe:USD",
        credit="clearing:stripe:USD",
        amount="5.00",
        about=DAY,
        reference="re_1",
        reason="held back",
        by=one,
        now=NOW,
    )
    entries.approve(entry_id=entry.pk, by=other, now=NOW)
    found = account()
    assert (found.by_hand, found.rest) == (-5, 0)


def test_what_settles_in_another_currency_leaves_the_one_account_and_comes_to_the_other(customer):
    pay(customer, "topup_1")
    there = {"currency": "EUR", "charge_amount": 20, "charge_currency": "USD"}
    line("txn_1", "payment", "18.40", "0.80", payment="pi_topup_1", **there)
    match()
    euro, dollars = clearing.accounts()
    assert (euro.balance, euro.settled, euro.rest) == (Decimal("17.60"), Decimal("17.60"), 0)
    assert (dollars.balance, dollars.untold, dollars.rest) == (0, 0, 0)
    StatementLine.objects.update(amount=Decimal("18.50"))
    assert [found.rest for found in clearing.accounts()] == [Decimal("-0.10"), 0]
