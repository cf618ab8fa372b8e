"""What a month of an account comes to. One query reads the wallet and the transfers as they are at one moment.

The closing balance is the wallet's less what moved since; the lines are what moved within. So the two are told by
different rows, and a statement that does not add up shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField

from accounts.limits.periods import start_of, zone_of
from accounts.models import Customer
from billing.books.kinds import Kind
from billing.books.money import ZERO, api_amount
from billing.models import MonthStatement
from billing.outbox.objects import moment
from billing.statements.corrections import KINDS as CORRECTIONS
from billing.statements.corrections import Share, by_month
from billing.statements.lines import LINES
from billing.statements.usage import By, Used, lists

# A fee stands in the same business act as its top-up, in the currency that was charged.
MOVED = """
SELECT w.paid + w.bonus, m.kind, m.within, m.amount, m.count, m.first
FROM billing_wallet w LEFT JOIN LATERAL (
 SELECT kind, created_at < %(closes_at)s AS within, sum(amount) AS amount, count(*) AS count, min(id) AS first FROM (
  SELECT id, kind, created_at, amount FROM billing_transfer
   WHERE credit_id IN (w.paid_account_id, w.bonus_account_id) AND id >= %(moves_from)s AND created_at >= %(opens_at)s
  UNION ALL
  SELECT id, kind, created_at, -amount FROM billing_transfer
   WHERE debit_id IN (w.paid_account_id, w.bonus_account_id) AND id >= %(moves_from)s AND created_at >= %(opens_at)s
 ) each GROUP BY 1, 2
) m ON true
WHERE w.customer_id = %(customer_id)s"""
FEES = """
SELECT fee.currency, sum(fee.amount) FROM billing_transfer t
JOIN billing_transfer fee ON fee.key = t."group" || ':fee' AND fee.kind = 'topup_fee'
WHERE t.credit_id = (SELECT paid_account_id FROM billing_wallet WHERE customer_id = %(customer_id)s)
 AND t.kind = 'topup' AND t.id >= %(moves_from)s AND t.created_at >= %(opens_at)s AND t.created_at < %(closes_at)s
GROUP BY 1 ORDER BY 1"""

# By id, which an index has for each account and side: no account's whole past is sorted.
FIRST = """
SELECT min(t.created_at) FROM billing_wallet w
CROSS JOIN LATERAL (VALUES (w.paid_account_id), (w.bonus_account_id)) a(id)
CROSS JOIN LATERAL (
 (SELECT created_at FROM billing_transfer WHERE debit_id = a.id ORDER BY id LIMIT 1)
 UNION ALL (SELECT created_at FROM billing_transfer WHERE credit_id = a.id ORDER BY id LIMIT 1)
) t WHERE w.customer_id = %s"""


@dataclass(frozen=True, slots=True)
class Span:
    """A month of an account and when it begins and ends; `opening` is None where no closed month is before it, and no
    transfer below the id `moves_from` is of it, or later.
    """

    month: date
    zone: str
    opens_at: datetime
    closes_at: datetime
    opening: Decimal | None
    moves_from: int


@dataclass(frozen=True, slots=True)
class Figures:
    """USD at 8 places. `lines` has (sum, how many) by kind, `fees` sums by currency. `next_id` is the lowest id of a
    transfer after the month, among those that can be read.
    """

    opening: Decimal
    lines: Mapping[str, tuple[Decimal, int]]
    fees: Mapping[str, Decimal]
    closing: Decimal
    next_id: int
    corrected: Mapping[str, Sequence[Share]] = field(default_factory=dict)
    """By kind, the months that corrections of charges are about."""

    @property
    def difference(self) -> Decimal:
        """What opening and lines are more than the closing; nothing, or it does not add up."""
        return self.opening + sum((amount for amount, _count in self.lines.values()), ZERO) - self.closing


def next_span(customer: Customer, last: MonthStatement | None) -> Span:
    """The first month that is not closed."""
    if last is None:
        zone = zone_of(customer.time_zone)
        month = _begin(customer).astimezone(zone).date().replace(day=1)
        return Span(month, customer.time_zone, start_of(month, zone=zone), _end(month, customer), None, 0)
    month, moves_from = _after(last.month), last.moves_from or 0
    return Span(month, customer.time_zone, last.closes_at, _end(month, customer), last.closing, moves_from)


def following(span: Span, customer: Customer) -> Span:
    """The month after one that is not closed."""
    month = _after(span.month)
    return Span(month, customer.time_zone, span.closes_at, _end(month, customer), None, span.moves_from)


def figures(span: Span, *, customer_id: int, most_corrections: int | None = None) -> Figures:
    """What moved in a month, up to now if it is not over. Raises `LookupError` for a kind that has no line.

    Of more than `most_corrections` it is not told which months they are about.
    """
    given: dict[str, int | datetime] = {
        "customer_id": customer_id,
        "opens_at": span.opens_at,
        "closes_at": span.closes_at,
        "moves_from": span.moves_from,
    }
    fees: dict[str, Decimal] = {}
    with connection.cursor() as cursor:
        cursor.execute(MOVED, given)
        rows = cursor.fetchall()
        if any(kind == Kind.TOPUP for _balance, kind, *_rest in rows):
            cursor.execute(FEES, given)
            fees = dict(cursor.fetchall())
    closing, next_id = rows[0][0] if rows else ZERO, BigIntegerField.MAX_BIGINT
    lines: dict[str, tuple[Decimal, int]] = {}
    for _balance, kind, is_within, amount, count, first in rows:
        if kind is None:
            continue
        if is_within:
            lines[kind] = (amount, count)
        else:
            closing -= amount
            next_id = min(next_id, first)
    if unknown := lines.keys() - LINES.keys():
        raise LookupError(f"no line for {', '.join(sorted(unknown))}")
    moved = sum((amount for amount, _count in lines.values()), ZERO)
    opening = span.opening if span.opening is not None else closing - moved
    corrections = sum(count for kind, (_amount, count) in lines.items() if kind in CORRECTIONS)
    corrected: Mapping[str, Sequence[Share]] = {}
    if most_corrections is None or corrections <= most_corrections:
        corrected = by_month(
            lines,
            customer_id=customer_id,
            zone=span.zone,
            opens_at=span.opens_at,
            closes_at=span.closes_at,
            moves_from=span.moves_from,
        )
    ordered = {kind: lines[kind] for kind in LINES if kind in lines}
    return Figures(opening, ordered, fees, closing, next_id, corrected)


def head(row: Span | MonthStatement, *, opening: Decimal, closing: Decimal, state: str) -> dict[str, Any]:
    """A statement without what moved in its month."""
    return {
        "month": f"{row.month:%Y-%m}",
        "time_zone": row.zone,
        "opens_at": moment(row.opens_at),
        "closes_at": moment(row.closes_at),
        "state": state,
        "opening": api_amount(opening),
        "closing": api_amount(closing),
    }


def body(span: Span, found: Figures, used: Mapping[By, Sequence[Used]], *, state: str) -> dict[str, Any]:
    """The statement as it is kept and given out; what a line is called is said by whoever shows it."""
    paid, bonus = (-found.lines.get(kind, (ZERO, 0))[0] for kind in (Kind.USAGE, Kind.USAGE_BONUS))
    return {
        **head(span, opening=found.opening, closing=found.closing, state=state),
        "lines": [
            {
                "kind": kind,
                "count": count,
                "amount": api_amount(amount),
                "fees": [{"currency": name, "amount": api_amount(fee)} for name, fee in found.fees.items()]
                if kind == Kind.TOPUP
                else [],
                "months": [
                    {"month": share.month, "count": share.count, "amount": api_amount(share.amount)}
                    for share in found.corrected.get(kind, ())
                ],
            }
            for kind, (amount, count) in found.lines.items()
        ],
        "usage": {
            "charged": api_amount(paid + bonus),
            "from_paid": api_amount(paid),
            "from_bonus": api_amount(bonus),
            **lists(used, charged=paid + bonus),
        },
    }


def _begin(customer: Customer) -> datetime:
    """When an account's first month begins to be told: its making, or its first transfer where that came before."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST, [customer.pk])
        [(first,)] = cursor.fetchall()
    return min(customer.created_at, first or customer.created_at)


def _after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _end(month: date, customer: Customer) -> datetime:
    return start_of(_after(month), zone=zone_of(customer.time_zone))
