"""The totals of days that margins are read from: written where purchases are posted and charges corrected.

They are written last in their transaction, after every lock: models' days first, then customers', each in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from billing.books.money import ZERO
from billing.months.periods import day_of
from core.arrays import array, columns

FIGURES = (
    *("requests", "charged", "corrected", "bonus", "listed", "purchase", "unknown", "unknown_listed", "unrated"),
)
COUNTS = frozenset({"requests", "unknown", "unrated"})


class Row(NamedTuple):
    """What one request adds to its day. Amounts in USD.

    `charged` is what was settled, `corrected` what was changed of it, `bonus` what of both was bonus; `purchase` is
    None where its currency has no rate, and `is_rated_late` says that one was counted so before. A claim that is not
    `is_believed` has no purchase cost. What is no request of its own, such as an attempt before the one that answered,
    has 0 `requests`.
    """

    day: date
    model_id: int
    upstream_id: int
    customer_id: int
    charged: Decimal
    listed: Decimal
    purchase: Decimal | None
    is_believed: bool = True
    corrected: Decimal = ZERO
    bonus: Decimal = ZERO
    requests: int = 1
    is_rated_late: bool = False

    @property
    def figures(self) -> tuple[Any, ...]:
        """As `FIGURES`."""
        is_known = self.is_believed and self.purchase is not None
        return (
            *(self.requests, self.charged, self.corrected, self.bonus, self.listed),
            self.purchase if is_known else ZERO,
            *((0, ZERO) if self.is_believed else (1, self.listed)),
            int(self.is_believed and self.purchase is None) - self.is_rated_late,
        )


def add(rows: Iterable[Row]) -> None:
    """Add these to their days, in the caller's transaction and as its last act."""
    models: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    customers: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        figures = row.figures
        for found, key in ((models, (row.day, row.model_id, row.upstream_id)), (customers, (row.day, row.customer_id))):
            before = found.get(key)
            found[key] = figures if before is None else tuple(map(sum, zip(before, figures, strict=True)))
    with connection.cursor() as cursor:
        for query, totals in ((_ADD_MODELS, models), (_ADD_CUSTOMERS, customers)):
            if totals:
                cursor.execute(query, columns([(*key, *figures) for key, figures in totals.items()]))


def _adding(table: str, key: Mapping[str, str]) -> str:
    names = ", ".join((*key, *FIGURES))
    types = [*key.values(), *("bigint" if name in COUNTS else "numeric" for name in FIGURES)]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    sums = ", ".join(f"{name} = t.{name} + EXCLUDED.{name}" for name in FIGURES)
    by = ", ".join(key)
    return (
        f"INSERT INTO {table} AS t ({names}) SELECT {names} FROM unnest({arrays}) AS r({names}) ORDER BY {by}"
        f" ON CONFLICT ({by}) DO UPDATE SET {sums}"
    )


_ADD_MODELS = _adding("proxy_marginday", {"day": "date", "model_id": "bigint", "upstream_id": "bigint"})
_ADD_CUSTOMERS = _adding("proxy_customermarginday", {"day": "date", "customer_id": "bigint"})

BONUS = "SELECT left(key, -6), amount FROM billing_transfer WHERE key = ANY(%s)"
COUNTED = """
SELECT g.id, g.model_id, g.upstream_id, g.customer_id FROM proxy_generation g
JOIN proxy_purchasebatch b ON b.id = g.purchase_batch AND b.is_counted WHERE g.id = ANY(%s)"""


def bonus_of(generation_ids: Sequence[str]) -> dict[str, Decimal]:
    """What of these requests' charges was taken from bonus, USD; those of which nothing was are left out."""
    with connection.cursor() as cursor:
        cursor.execute(BONUS, [array([f"{pk}:bonus" for pk in generation_ids])])
        return dict(cursor.fetchall())


def correct(changes: Mapping[str, Decimal], *, bonus: Mapping[str, Decimal], now: datetime) -> None:
    """Count corrections of charges, by request, on the day of `now`: below zero is what was given back, USD.

    `bonus` is what of each was bonus. The caller has locked the requests. One whose purchase waits is counted with it,
    and one from before there were totals stays out of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, [array(changes)])
        found = cursor.fetchall()
    day, nothing = day_of(now), (ZERO, ZERO, ZERO, True)
    add(
        Row(*(day, model_id, upstream_id, customer_id), *nothing, changes[pk], bonus.get(pk, ZERO), requests=0)
        for pk, model_id, upstream_id, customer_id in found
    )
