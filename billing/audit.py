"""The audit: every cached or derived figure against the rows it follows from, customer by customer.

Each customer is read in a snapshot of its own, so live traffic raises no false alarm and no transaction grows old.
Apps above billing add their checks with `register`; billing knows none of their tables.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from billing.models import Wallet

Check = Callable[[CursorWrapper, int], Iterator[str]]
"""Given a cursor in a snapshot and a customer's id, the drifts it finds, each a sentence."""

PAGE = 5_000
_checks: list[Check] = []


def register(check: Check) -> None:
    """Add a check of another app; a second time changes nothing."""
    if check not in _checks:
        _checks.append(check)


@dataclass(slots=True)
class Report:
    """What was compared, and what does not fit."""

    customers: int = 0
    drifts: list[str] = field(default_factory=list)


def audit(*, customer_ids: Sequence[int] | None = None) -> Report:
    """Audit these customers, or all of them and the house's accounts."""
    report = Report()
    wanted = _all_customers() if customer_ids is None else iter(customer_ids)
    for customer_id in wanted:
        report.customers += 1
        report.drifts += [f"customer {customer_id}: {drift}" for drift in audit_customer(customer_id)]
    if customer_ids is None:
        with snapshot() as cursor:
            report.drifts += _check_accounts(cursor)
    return report


def audit_customer(customer_id: int) -> list[str]:
    with snapshot() as cursor:
        drifts = [*_check_wallet(cursor, customer_id), *_check_holds(cursor, customer_id)]
        for check in _checks:
            drifts += check(cursor, customer_id)
    return drifts


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """A cursor in a read-only snapshot, not bound to a request's statement timeout."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:  # a test's own transaction has begun already
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = 0")
        yield cursor


def _all_customers() -> Iterator[int]:
    last = 0
    while page := list(
        Wallet.objects.filter(customer_id__gt=last).order_by("customer_id").values_list("customer_id", flat=True)[:PAGE]
    ):
        yield from page
        last = page[-1]


WALLET = """
SELECT w.paid, w.bonus, w.held, w.exposure,
 (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE credit_id = w.paid_account_id)
 - (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE debit_id = w.paid_account_id),
 (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE credit_id = w.bonus_account_id)
 - (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE debit_id = w.bonus_account_id),
 (SELECT coalesce(sum(amount - captured), 0) FROM billing_hold WHERE customer_id = w.customer_id AND state = 'open'),
 (SELECT coalesce(sum(bound - amount), 0) FROM billing_hold
   WHERE customer_id = w.customer_id AND state = 'open' AND kind = 'request'),
 (SELECT count(*) FROM billing_ledgeraccount a WHERE a.customer_id = w.customer_id
   AND a.id IN (w.paid_account_id, w.bonus_account_id)),
 (SELECT count(*) FROM accounts_customer c WHERE c.id = w.customer_id)
FROM billing_wallet w WHERE w.customer_id = %s"""


def _check_wallet(cursor: CursorWrapper, customer_id: int) -> Iterator[str]:
    cursor.execute(WALLET, [customer_id])
    row = cursor.fetchone()
    if row is None:
        yield "there is no wallet"
        return
    cached, counted = row[:4], row[4:8]
    sources = ("its transfers", "its transfers", "its open holds", "its open holds")
    for name, source, has, should in zip(("paid", "bonus", "held", "exposure"), sources, cached, counted, strict=True):
        if has != should:
            yield f"the wallet's {name} is {has:f}, by {source} it is {should:f}"
    if row[1] < 0:
        yield f"bonus is below zero: {row[1]:f}"
    if row[8] != 2 or row[9] != 1:
        yield "the wallet's accounts or its customer are missing"


HOLDS = """
SELECT h.key, h.state, h.captured, coalesce(b.amount, 0) + coalesce(p.amount, 0)
FROM (SELECT * FROM billing_hold WHERE customer_id = %s AND kind = 'request' AND state <> 'open' AND key > %s
      ORDER BY key LIMIT %s) h
LEFT JOIN billing_transfer b ON b.key = h.key || ':bonus'
LEFT JOIN billing_transfer p ON p.key = h.key || ':paid'
ORDER BY h.key"""


def _check_holds(cursor: CursorWrapper, customer_id: int) -> Iterator[str]:
    """Each resolved request hold: what was captured is what was charged, and nothing for a released one."""
    for key, state, captured, charged in pages(cursor, HOLDS, customer_id):
        if captured != charged:
            yield f"hold {key} ({state}) captured {captured:f}, charged {charged:f}"
        if state == "released" and captured:
            yield f"hold {key} is released and captured {captured:f}"


def pages(cursor: CursorWrapper, query: str, customer_id: int) -> Iterator[Any]:
    """Rows of a query with the parameters customer, last key and page size, whose first column is the key."""
    last = ""
    while True:
        cursor.execute(query, [customer_id, last, PAGE])
        rows = cursor.fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


ACCOUNTS = """
SELECT t.currency, sum(CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END)
FROM billing_ledgeraccount a JOIN billing_transfer t ON t.credit_id = a.id OR t.debit_id = a.id
GROUP BY t.currency"""
STRAY = """
SELECT 'hold ' || h.key FROM billing_hold h LEFT JOIN billing_wallet w ON w.customer_id = h.customer_id
WHERE w.customer_id IS NULL AND h.state = 'open' LIMIT 100"""


def _check_accounts(cursor: CursorWrapper) -> Iterator[str]:
    cursor.execute(ACCOUNTS)
    for currency, total in cursor.fetchall():
        if total:
            yield f"the accounts in {currency} sum to {total:f}, not to zero"
    cursor.execute(STRAY)
    for (name,) in cursor.fetchall():
        yield f"{name} belongs to no wallet"
