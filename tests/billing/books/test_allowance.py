"""How far usage may overdraw a wallet: 5 % of what was paid in and not taken back, after a week or a second payment."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from billing.audit.run import audit
from billing.books.allowance import Overrun, Payments, allowance
from billing.books.ledger import Posting, house_account, post, set_disputed
from billing.models import Wallet
from tests.conftest import NOW, pay_in, use_up

DAY = timedelta(days=1)
RULE = Overrun(limit=Decimal("1.00"), after=7 * DAY)


@pytest.fixture
def customer(make_customer):
    return make_customer("0.50")


def of(customer, *, at, overrun: Overrun = RULE) -> Decimal:
    wallet = Wallet.objects.get(customer=customer)
    payments = Payments(wallet.paid_in, wallet.first_paid_at, wallet.paid_again, wallet.disputed, wallet.written_off)
    return allowance(payments, overrun=overrun, now=at)


def move(customer, kind: str, amount: str, *, back: bool = False) -> None:
    """Between the paid balance and the house, as refunds, disputes and write-offs do it."""
    own, house = Wallet.objects.get(customer=customer).paid_account, house_account("clearing:stripe:USD")
    debit, credit = (house, own) if back else (own, house)
    post([Posting(f"{kind}:{amount}:{back}", kind, debit, credit, Decimal(amount))], now=NOW)


def test_who_never_paid_has_none_whatever_bonus_there_is(customer):
    assert of(customer, at=NOW + 100 * DAY) == 0


@pytest.mark.parametrize(
    ("after", "share"),
    [(timedelta(0), "0"), (6 * DAY, "0"), (7 * DAY - timedelta(seconds=1), "0"), (7 * DAY, "0.05"), (8 * DAY, "0.05")],
)
def test_one_dollar_gives_five_cents_from_the_eighth_day_on(customer, after, share):
    pay_in(customer, "1.00", at=NOW)
    assert of(customer, at=NOW + after) == Decimal(share)


def test_a_second_payment_on_the_same_day_is_not_waited_for_less(customer):
    pay_in(customer, "1.00", at=NOW)
    pay_in(customer, "1.00", at=NOW + timedelta(hours=11))
    assert of(customer, at=NOW + 6 * DAY) == 0
    assert of(customer, at=NOW + 7 * DAY) == Decimal("0.10")


def test_a_second_payment_on_the_next_day_gives_it_at_once(customer):
    pay_in(customer, "1.00", at=NOW)
    pay_in(customer, "1.00", at=NOW + timedelta(hours=13))
    assert of(customer, at=NOW + timedelta(hours=14)) == Decimal("0.10")


def test_with_no_days_set_the_first_payment_gives_it(customer):
    pay_in(customer, "3.00", at=NOW)
    assert of(customer, at=NOW, overrun=Overrun(Decimal(1), timedelta(0))) == Decimal("0.15")


@pytest.mark.parametrize(("limit", "share"), [("1.00", "1.00"), ("0.30", "0.30"), ("0", "0")])
def test_it_is_never_more_than_the_limit(customer, limit, share):
    pay_in(customer, "500.00", at=NOW)
    assert of(customer, at=NOW + 8 * DAY, overrun=Overrun(Decimal(limit), 7 * DAY)) == Decimal(share)


def test_what_is_spent_stays_paid_in_and_what_went_back_does_not(customer):
    pay_in(customer, "10.00", at=NOW)
    use_up(customer, "4.00")
    assert of(customer, at=NOW + 8 * DAY) == Decimal("0.50")
    move(customer, "refund", "6.00")
    assert of(customer, at=NOW + 8 * DAY) == Decimal("0.20")
    move(customer, "refund_failed", "6.00", back=True)
    assert of(customer, at=NOW + 8 * DAY) == Decimal("0.50")
    move(customer, "refund", "10.00")
    assert of(customer, at=NOW + 8 * DAY) == 0


def test_there_is_none_while_something_is_disputed(customer):
    pay_in(customer, "40.00", at=NOW)
    set_disputed(customer_id=customer.pk, amount=Decimal(5))
    assert Wallet.objects.get(customer=customer).paid_in == 35
    assert of(customer, at=NOW + 8 * DAY) == 0
    set_disputed(customer_id=customer.pk, amount=Decimal(0))
    assert of(customer, at=NOW + 8 * DAY) == Decimal("1.00")


def test_there_is_none_after_a_write_off_until_it_is_recovered(customer):
    pay_in(customer, "40.00", at=NOW)
    move(customer, "write_off", "3.00", back=True)
    assert of(customer, at=NOW + 8 * DAY) == 0
    move(customer, "write_off_recovered", "3.00")
    assert of(customer, at=NOW + 8 * DAY) == Decimal("1.00")


def test_adjustments_are_no_payment(customer):
    move(customer, "adjustment", "40.00", back=True)
    assert of(customer, at=NOW + 100 * DAY) == 0


@pytest.mark.parametrize("column", ["paid_in", "written_off"])
def test_the_audit_finds_a_sum_of_payments_that_its_transfers_do_not_make(customer, column):
    pay_in(customer, "40.00", at=NOW)
    move(customer, "write_off", "3.00", back=True)
    Wallet.objects.filter(customer=customer).update(**{column: 7})
    [drift] = [drift for drift in audit().drifts if column.replace("_", " ") in drift]
    assert "by its transfers it is" in drift


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"disputed": -1}, "wallet_disputed_not_negative"),
        ({"written_off": -1}, "wallet_written_off_not_negative"),
        ({"paid_again": True}, "wallet_paid_again_after_first"),
        ({"paid_in": 1}, "wallet_paid_in_has_first"),
    ],
)
def test_what_must_never_be_is_refused_by_the_database(customer, values, name):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Wallet.objects.filter(customer=customer).update(**values)
