"""Finance pays upstreams: bills and what is paid beforehand are entries by hand against what is owed."""

from decimal import Decimal

import pytest

from billing.audit.run import audit
from billing.books import entries
from billing.models import Transfer
from billing.months import journal
from proxy.purchases import posting
from tests.conftest import NOW
from tests.proxy.purchases.conftest import LIST, load
from tests.staffing import in_role

pytestmark = pytest.mark.django_db
PREPAID = {"debit": "payable:upstream:domestic:CNY", "credit": "bank:CNY", "amount": "1000.00", "reference": "DS-1"}


def book(**fields: str) -> Transfer:
    """As two of finance do."""
    first, second = in_role("finance"), in_role("finance", "second@staff.example.org")
    entry = entries.propose(**{**PREPAID, **fields}, about=NOW.date(), reason="credit bought", by=first, now=NOW)
    return entries.approve(entry_id=entry.pk, by=second, now=NOW)


def balance(name: str) -> Decimal:
    return next((found.amount for found in journal.house_balances(name) if found.account.name == name), Decimal(0))


def test_credit_is_bought_before_the_first_request():
    load()
    booked = book()
    assert (booked.debit.name, booked.credit.name, booked.amount) == (PREPAID["debit"], "bank:CNY", Decimal(1000))
    assert not audit().drifts


def test_a_bill_is_paid_against_what_was_posted(answered):
    load()
    for _ in range(3):
        answered()
    posting.post_all_purchases(now=NOW)
    book(debit="payable:upstream:main:USD", credit="bank:USD", amount="0.04")
    assert balance("payable:upstream:main:USD") == 3 * LIST - Decimal("0.04")
    assert not audit().drifts


def test_an_upstream_that_there_is_not_has_no_account():
    load()
    with pytest.raises(entries.EntryError, match="Choose an account of the house"):
        book(debit="payable:upstream:other:CNY")


def test_what_is_paid_is_in_cash():
    load()
    with pytest.raises(entries.EntryError, match="Write an amount in CNY"):
        book(amount="1000.001")
