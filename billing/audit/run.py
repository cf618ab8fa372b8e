"""The audit: every cached or derived figure against the rows it follows from.

Wallets are looked at customer by customer, the other tables in pages by key, each in a read-only snapshot of its own:
what belongs together was committed together, so live traffic raises no false alarm, and no transaction grows old.
Apps above billing add the checks of their tables with `register`; billing knows none of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from accounts.models import Customer
from billing.books import ledger
from billing.books.money import ZERO

Check = Callable[[int | None], Iterable[str]]
"""Given a customer's id, or None for everybody: the drifts found, each a sentence that names its customer."""

PAGE = 5_000
SECONDS = 60
"""A page takes milliseconds; on a cold disk the 5 s of a request may be too few."""
_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add an app's check; the same name again replaces it."""
    _checks[name] = check


@dataclass(slots=True)
class Report:
    """What was compared, and what does not fit."""

    customers: int = 0
    drifts: list[str] = field(default_factory=list)


def audit(*, customer_ids: Sequence[int] | None = None, tell: Callable[[str], None] = lambda drift: None) -> Report:
    """Audit these customers, or everybody and the house's accounts; `tell` hears each drift as it is found."""
    report = Report()
    for drift in _drifts(report, customer_ids):
        report.drifts.append(drift)
        tell(drift)
    return report


def _drifts(report: Report, customer_ids: Sequence[int] | None) -> Iterator[str]:
    for customer_id in _all_customers() if customer_ids is None else customer_ids:
        report.customers += 1
        yield from check_wallet(customer_id)
    if customer_ids is None:
        yield from check_holds()
        yield from check_transfers()
    for check in _checks.values():
        for whose in (None,) if customer_ids is None else customer_ids:
            yield from check(whose)


@contextmanager
def snapshot(*, seconds: int | None = SECONDS) -> Iterator[CursorWrapper]:
    """A cursor in a read-only snapshot, with a page's time instead of a request's, which None leaves."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:  # a test's own transaction has begun already
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if seconds is not None:
                cursor.execute(f"SET LOCAL statement_timeout = '{seconds}s'")
        yield cursor


def pages(
    query: str, *, table: str, key: str, first: Any, customer_id: int | None = None, most: int | None = None
) -> Iterator[Any]:
    """The rows that `query` finds in page after page of `table`, which is `{page}` in the query.

    Pages go by `key`, from above `first`, and hold the rows of one customer if one is named; the table then needs an
    index on customer and key. A page has `most` rows, or `PAGE`. A query selects drifts alone: rows that are as they
    should be stay in the database.
    """
    whose = "true" if customer_id is None else f"customer_id = {customer_id:d}"
    last_key = (
        f"SELECT max({key}) FROM"
        f" (SELECT {key} FROM {table} WHERE {whose} AND {key} > %(after)s ORDER BY {key} LIMIT {most or PAGE}) p"
    )
    page = f"(SELECT * FROM {table} WHERE {whose} AND {key} > %(after)s AND {key} <= %(upto)s)"
    after = first
    while True:
        with snapshot() as cursor:
            cursor.execute(last_key, {"after": after})
            [upto] = cursor.fetchone()
            if upto is None:
                return
            cursor.execute(query.replace("{page}", page), {"after": after, "upto": upto})
            rows = cursor.fetchall()
        yield from rows
        after = upto


def _all_customers() -> Iterator[int]:
    last = 0
    while page := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        yield from page
        last = page[-1]


SIDES = (("paid", "credit", 1), ("paid", "debit", -1), ("bonus", "credit", 1), ("bonus", "debit", -1))
WALLET = """
SELECT w.paid, w.bonus, w.held, w.exposure, w.paid_in + w.disputed, w.written_off,
 (SELECT coalesce(sum(amount - captured), 0) FROM billing_hold WHERE customer_id = w.customer_id AND state = 'open'),
 (SELECT coalesce(sum(bound - amount), 0) FROM billing_hold
   WHERE customer_id = w.customer_id AND state = 'open' AND kind IN ('request', 'job')),
 (SELECT count(*) FROM billing_ledgeraccount a WHERE a.customer_id = w.customer_id
   AND (a.id, a.kind) IN ((w.paid_account_id, 'paid'), (w.bonus_account_id, 'bonus')))"""
PAID_IN, WRITTEN_OFF = (", ".join(f"'{kind}'" for kind in kinds) for kinds in (ledger.PAID_IN, ledger.WRITTEN_OFF))
for _kind, _side, _ in SIDES:
    # "= ANY" and the order by account are the index's own, so that no plan walks through everybody's transfers by id.
    WALLET += f""",
 (SELECT ARRAY[count(*), max(id), sum(amount), coalesce(sum(amount) FILTER (WHERE kind IN ({PAID_IN})), 0),
   coalesce(sum(amount) FILTER (WHERE kind IN ({WRITTEN_OFF})), 0)] FROM (SELECT id, amount, kind FROM billing_transfer
   WHERE {_side}_id = ANY(ARRAY[w.{_kind}_account_id]) AND id > %s ORDER BY {_side}_id DESC, id LIMIT %s) t)"""
WALLET += " FROM billing_wallet w WHERE w.customer_id = %s"


def check_wallet(customer_id: int) -> Iterator[str]:
    """The wallet's paid, bonus, paid in and written off against its transfers, its held and exposure against its open
    holds.

    A customer of many transfers is summed up in several snapshots: an account's transfers are written under its
    wallet's lock, so their ids come in the order of their commits, and what was summed is not added to. The wallet is
    compared in the snapshot that reaches the end.
    """
    whose = f"customer {customer_id}"
    seen, is_behind = [0] * len(SIDES), True
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    while is_behind:
        with snapshot() as cursor:
            cursor.execute(WALLET, [*(value for last in seen for value in (last, PAGE)), customer_id])
            row = cursor.fetchone()
        if row is None:
            yield f"{whose} has no wallet"
            return
        is_behind = False
        for index, ((kind, _, sign), (count, last, *amounts)) in enumerate(zip(SIDES, row[9:], strict=True)):
            if count:
                seen[index] = int(last)
                names = (kind, "paid in", "written off") if kind == "paid" else (kind,)
                for name, amount in zip(names, amounts, strict=False):
                    totals[name] += sign * amount
            is_behind = is_behind or count == PAGE
    paid, bonus, held, exposure, paid_in, written_off, open_holds, open_bounds, accounts = row[:9]
    for name, has, source, should in (
        ("paid", paid, "transfers", totals["paid"]),
        ("bonus", bonus, "transfers", totals["bonus"]),
        ("paid in with what is disputed", paid_in, "transfers", totals["paid in"]),
        ("written off", written_off, "transfers", totals["written off"]),
        ("held", held, "open holds", open_holds),
        ("exposure", exposure, "open holds", open_bounds),
    ):
        if has != should:
            yield f"{whose}: the wallet's {name} is {has:f}, by its {source} it is {should:f}"
    if bonus < 0:
        yield f"{whose}: bonus is below zero: {bonus:f}"
    if accounts != 2:
        yield f"{whose}: the wallet's accounts are not this customer's paid and bonus accounts"


HOLDS = """
SELECT customer_id, key, state, captured, charged, stray, elsewhere FROM (
 SELECT h.customer_id, h.key, h.kind, h.state, h.captured, coalesce(b.amount, 0) + coalesce(p.amount, 0) AS charged,
  w.customer_id IS NULL AS stray,
  coalesce(b.debit_id <> w.bonus_account_id, false) OR coalesce(p.debit_id <> w.paid_account_id, false) AS elsewhere
 FROM {page} h
 LEFT JOIN billing_wallet w ON w.customer_id = h.customer_id
 LEFT JOIN billing_transfer b ON h.kind IN ('request', 'job') AND b.key = h.key || ':bonus'
 LEFT JOIN billing_transfer p ON h.kind IN ('request', 'job') AND p.key = h.key || ':paid'
) found
WHERE stray OR elsewhere
 OR (kind IN ('request', 'job') AND (captured <> charged OR (captured > 0) <> (state = 'captured')))
ORDER BY key"""


def check_holds() -> Iterator[str]:
    """Each hold has a wallet, and a request's captured exactly what was charged under its key, once, and to its own
    customer: nothing while it is open or when it was released."""
    for customer_id, key, state, captured, charged, is_stray, is_elsewhere in pages(
        HOLDS, table="billing_hold", key="key", first=""
    ):
        if is_stray:
            yield f"customer {customer_id}: hold {key} belongs to no wallet"
        elif is_elsewhere:
            yield f"customer {customer_id}: {key} was charged to another account"
        else:
            yield f"customer {customer_id}: hold {key} ({state}) captured {captured:f}, charged {charged:f}"


TRANSFERS = """
SELECT t.key, t.currency, d.name, d.currency, c.name, c.currency
FROM {page} t
LEFT JOIN billing_ledgeraccount d ON d.id = t.debit_id
LEFT JOIN billing_ledgeraccount c ON c.id = t.credit_id
WHERE d.currency IS DISTINCT FROM t.currency OR c.currency IS DISTINCT FROM t.currency
ORDER BY t.id"""
SUMS = """
SELECT a.currency, sum(m.amount)
FROM {page} t
CROSS JOIN LATERAL (VALUES (t.credit_id, t.amount), (t.debit_id, -t.amount)) m(account_id, amount)
JOIN billing_ledgeraccount a ON a.id = m.account_id
GROUP BY a.currency"""


MISNAMED = """
SELECT name, currency FROM billing_ledgeraccount
WHERE kind = 'system' AND name ~ ':[A-Z]{3}$' AND right(name, 3) <> currency ORDER BY name"""


def check_transfers() -> Iterator[str]:
    """Each transfer is between two accounts of its currency, each account in the one that it names, and a currency's
    accounts sum to zero."""
    with snapshot() as cursor:
        cursor.execute(MISNAMED)
        misnamed = cursor.fetchall()
    for name, currency in misnamed:
        yield f"the account {name} is kept in {currency}"
    for key, currency, debit, debit_currency, credit, credit_currency in pages(
        TRANSFERS, table="billing_transfer", key="id", first=0
    ):
        yield f"{key} moves {currency} from {debit} ({debit_currency}) to {credit} ({credit_currency})"
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for currency, amount in pages(SUMS, table="billing_transfer", key="id", first=0):
        totals[currency] += amount
    for currency, total in totals.items():
        if total:
            yield f"the accounts in {currency} sum to {total:f}, not to zero"
