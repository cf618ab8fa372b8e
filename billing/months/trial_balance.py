"""The trial balance: each account of the house, and all customers together, as of the end of any day of the books.

Closed days give the bulk of it, cut by the time of making; around the day asked for, and for what was booked on an
earlier day than it was made, transfers are summed themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from billing.audit.run import snapshot
from billing.books.money import ZERO
from billing.models import LedgerAccount
from billing.months.journal import csv_line

SUMS = """
WITH closed AS (SELECT max(day) AS day FROM billing_closedday WHERE day <= %(sure)s),
edge AS (SELECT coalesce(((day + 1)::timestamp AT TIME ZONE 'UTC'), '-infinity') AS moment FROM closed),
moved AS (
 SELECT account_id, debits, credits FROM billing_accountday WHERE day <= (SELECT day FROM closed)
 UNION ALL
 SELECT debit_id, amount, 0 FROM billing_transfer
  WHERE booked_on <= %(day)s AND created_at >= (SELECT moment FROM edge)
 UNION ALL
 SELECT credit_id, 0, amount FROM billing_transfer
  WHERE booked_on <= %(day)s AND created_at >= (SELECT moment FROM edge)
),
balances AS (
 SELECT account_id, sum(debits) AS debits, sum(credits) AS credits FROM moved GROUP BY account_id
)
SELECT
 CASE WHEN a.kind = 'system' THEN a.name
  WHEN b.credits < b.debits THEN 'customers:owing' ELSE 'customers:' || a.kind END,
 a.currency, sum(b.debits), sum(b.credits)
FROM balances b JOIN billing_ledgeraccount a ON a.id = b.account_id
GROUP BY 1, 2"""
MARGIN = timedelta(days=2)
"""In no zone does a day end so much later than in UTC: what was made before is booked on the day itself or before."""


@dataclass(frozen=True, slots=True)
class Line:
    """An account, or a kind of the customers' accounts, in its currency: `balance` is credits less debits."""

    name: str
    currency: str
    debits: Decimal
    credits: Decimal

    @property
    def balance(self) -> Decimal:
        return self.credits - self.debits


@dataclass(frozen=True, slots=True)
class Liability:
    """What is owed to customers, USD, and what some of them owe: a debt of one pays no other."""

    paid: Decimal
    bonus: Decimal
    receivable: Decimal


def as_of(day: date) -> list[Line]:
    """The balances at the end of a day of the books, by name; those of a currency sum to zero.

    Customers stand in up to three lines: `customers:paid` and `customers:bonus`, what is owed to them, and
    `customers:owing`, the accounts that are below zero.
    """
    with snapshot() as cursor:
        cursor.execute(SUMS, {"day": day, "sure": day - MARGIN})
        found = [Line(*row) for row in cursor.fetchall()]
    return sorted(found, key=lambda line: (line.currency, line.name))


def liability(lines: list[Line]) -> Liability:
    """What a trial balance says of the customers."""
    sums = {line.name: line.balance for line in lines}
    return Liability(
        paid=sums.get(f"customers:{LedgerAccount.Kind.PAID}", ZERO),
        bonus=sums.get(f"customers:{LedgerAccount.Kind.BONUS}", ZERO),
        receivable=-sums.get("customers:owing", ZERO),
    )


def csv(day: date) -> Iterator[str]:
    """The trial balance of a day as CSV."""
    yield csv_line(["as of", "account", "currency", "debits", "credits", "credits less debits"])
    for line in as_of(day):
        yield csv_line([str(day), line.name, line.currency, line.debits, line.credits, line.balance])
