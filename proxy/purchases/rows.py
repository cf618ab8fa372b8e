"""What a batch is made of: requests, and attempts beside them. Read under lock, and written as it is posted."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from core.arrays import array, columns
from proxy.purchases.costs import COLUMNS, OF_ATTEMPT, Purchase, Used

READ = (
    f"SELECT {', '.join(COLUMNS)} FROM proxy_generation"
    " WHERE id = ANY(%s) AND purchase_batch IS NULL AND metered_at IS NOT NULL AND usage_source <> 'none'"
    " AND upstream_id IS NOT NULL ORDER BY id FOR NO KEY UPDATE"
)
READ_ATTEMPTS = (
    f"SELECT {', '.join(OF_ATTEMPT.get(name, f'g.{name}') for name in COLUMNS)}, a.id"
    " FROM proxy_attempt a JOIN proxy_generation g ON g.id = a.generation_id"
    " WHERE a.id = ANY(%s) AND a.purchase_batch IS NULL AND a.is_known ORDER BY a.id FOR NO KEY UPDATE OF a"
)
_SETS = (
    "purchase_batch = %s, purchase_cost = r.cost, purchase_currency = r.currency, purchase_usd = r.usd{more}"
    " FROM unnest(%s::{key}[], %s::numeric[], %s::text[], %s::numeric[]) AS r(id, cost, currency, usd)"
    " WHERE t.id = r.id"
)
WRITE = "UPDATE proxy_generation t SET " + _SETS.format(
    key="text", more=", is_flagged = t.is_flagged OR r.cost IS NULL"
)
WRITE_ATTEMPTS = "UPDATE proxy_attempt t SET " + _SETS.format(key="bigint", more="")


class Batch(NamedTuple):
    """A locked one; of several that are put together, the first."""

    pk: int
    generations: list[str]
    attempts: list[int]

    @property
    def size(self) -> int:
        return len(self.generations) + len(self.attempts)

    def halves(self) -> tuple[tuple[list[str], list[int]], tuple[list[str], list[int]]]:
        """Of two or more."""
        middle, requests = self.size // 2, len(self.generations)
        first = self.generations[:middle], self.attempts[: max(0, middle - requests)]
        return first, (self.generations[middle:], self.attempts[max(0, middle - requests) :])


def together(batches: Sequence[Batch]) -> Batch:
    return Batch(
        batches[0].pk,
        [pk for batch in batches for pk in batch.generations],
        [pk for batch in batches for pk in batch.attempts],
    )


def read(batch: Batch) -> list[Used]:
    """Lock what is to be posted of it: what was posted already, or told no usage, is left out."""
    found: list[Used] = []
    with connection.cursor() as cursor:
        for query, ids in ((READ, batch.generations), (READ_ATTEMPTS, batch.attempts)):
            if ids:
                cursor.execute(query, [array(ids)])
                found += (Used(*row) for row in cursor.fetchall())
    return found


def write(batch: int, purchases: Sequence[tuple[Used, Purchase, Decimal | None]]) -> None:
    """Write what each cost, with its worth in USD; what cannot be believed has no cost, and is flagged.

    Raises `LookupError` where one is not where it was when it was locked.
    """
    requests = [_row(one.pk, paid, worth) for one, paid, worth in purchases if one.attempt is None]
    attempts = [_row(one.attempt, paid, worth) for one, paid, worth in purchases if one.attempt is not None]
    with connection.cursor() as cursor:
        for query, rows in ((WRITE, requests), (WRITE_ATTEMPTS, attempts)):
            if rows:
                cursor.execute(query, [batch, *columns(rows)])
                if cursor.rowcount != len(rows):
                    raise LookupError("a locked request is not where it was")


def _row(key: str | int | None, paid: Purchase, dollars: Decimal | None) -> tuple[Any, ...]:
    return (key, paid.cost, paid.currency, dollars) if paid.is_believed else (key, None, "", None)
