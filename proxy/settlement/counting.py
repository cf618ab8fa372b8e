"""The sums of days: added to where charges are made and where they are corrected, in the same transaction.

Whoever adds has locked the wallet, which keeps a customer's rows to one writer at a time. A request is in the sums once
it has `charged_on`, so what a version without sums settled is found, and counted, by `count_left`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from accounts.limits.periods import zone_of
from accounts.models import Customer
from billing.books.ledger import lock_wallets
from core.arrays import array, columns
from proxy.models import Generation

BATCH = 2_000
KEY = "customer_id, day, model_id, key_id, maker_id"
FIGURES = ("requests", "input_tokens", "output_tokens", "cached_tokens", "charged", "corrected")
_SUMS = ", ".join(f"{name} = t.{name} + EXCLUDED.{name}" for name in FIGURES)


def _adding(selected: str) -> str:
    """SQL that adds rows of `KEY` and `FIGURES`, each key once, to the sums."""
    return (
        f"INSERT INTO proxy_usageday AS t ({KEY}, {', '.join(FIGURES)}) {selected} ORDER BY 1, 2, 3, 4, 5"
        f" ON CONFLICT ({KEY}) DO UPDATE SET {_SUMS}"
    )


COUNTED = (
    "g.customer_id, g.charged_on, g.model_id, g.key_id, g.maker_id, g.input_tokens, g.output_tokens, g.cached_tokens,"
    " g.cost"
)
"""What a statement that charges requests `g` returns as `done`, for `COUNT` to add up."""
COUNT = _adding(
    "SELECT customer_id, charged_on, model_id, key_id, coalesce(maker_id, 0), count(*), sum(input_tokens),"
    " sum(output_tokens), sum(cached_tokens), sum(coalesce(cost, 0)), 0 FROM done WHERE charged_on IS NOT NULL"
    " GROUP BY 1, 2, 3, 4, 5"
)

LEFT = (
    "SELECT id, customer_id, settled_at, corrected_cost - cost FROM proxy_generation"
    " WHERE state = 'settled' AND charged_on IS NULL AND"
)
LEFT_OF = f"{LEFT} customer_id = %s AND id > %s ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"
LEFT_AMONG = f"{LEFT} id = ANY(%s) ORDER BY id"
NEXT_LEFT = (
    "SELECT customer_id FROM proxy_generation WHERE state = 'settled' AND charged_on IS NULL AND customer_id > %s"
    " ORDER BY customer_id, id LIMIT 1"
)
COUNT_LEFT = f"""
WITH done AS (
 UPDATE proxy_generation g SET charged_on = d.day, maker_id = k.created_by_id
 FROM unnest(%s::text[], %s::date[]) AS d(id, day), accounts_apikey k WHERE g.id = d.id AND k.id = g.key_id
 RETURNING {COUNTED}
) {COUNT}"""
CORRECT = (
    "WITH done AS (INSERT INTO proxy_chargecorrection AS c (generation_id, customer_id, day, posted_at, amount)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::date[], %s::timestamptz[], %s::numeric[])"
    " RETURNING generation_id, day, amount) "
) + _adding(
    "SELECT g.customer_id, done.day, g.model_id, g.key_id, coalesce(g.maker_id, 0), 0, 0, 0, 0, 0, sum(done.amount)"
    " FROM done JOIN proxy_generation g ON g.id = done.generation_id GROUP BY 1, 2, 3, 4, 5"
)


def day_of(moment: datetime, *, zone: str) -> date:
    """The day on which a charge counts for an account in that zone."""
    return moment.astimezone(zone_of(zone)).date()


def correct(changes: Mapping[str, Decimal], *, now: datetime) -> None:
    """Count corrections of charges, by request, on the day of `now` in its account's zone; below zero is what was given
    back, USD. The caller has locked the requests and their wallets, and `corrected_cost` does not tell of it yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(LEFT_AMONG, [array(changes)])
        _count(cursor.fetchall())
    owners = dict(Generation.objects.filter(pk__in=changes).values_list("pk", "customer_id"))
    zones = _zones(owners.values())
    _correct(
        [
            (pk, owners[pk], day_of(now, zone=zones[owners[pk]]), now, amount)
            for pk, amount in sorted(changes.items())
            if amount
        ]
    )


def count_left(*, most: int = BATCH) -> int:
    """Count up to `most` requests of one customer that were settled without being counted; return how many.

    A correction from before there were sums counts with its request. Killed anywhere it goes on where it was.
    """
    customer = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(NEXT_LEFT, [customer])
            found = cursor.fetchone()
            if found is None:
                return 0
            [customer] = found
            cursor.execute(LEFT_OF, [customer, "", most])
            rows = cursor.fetchall()
            if rows:  # else another worker has them
                lock_wallets([customer])
                _count(rows)
                return len(rows)


def _count(rows: Sequence[tuple[str, int, datetime, Decimal | None]]) -> None:
    """Count locked requests, each `(id, customer_id, settled_at, what was corrected of it)`."""
    if not rows:
        return
    zones = _zones({customer_id for _, customer_id, *_ in rows})
    days = {pk: day_of(at, zone=zones[customer_id]) for pk, customer_id, at, _ in rows}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_LEFT, columns(list(days.items())))
    _correct([(pk, customer_id, days[pk], at, amount) for pk, customer_id, at, amount in rows if amount])


def _correct(rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(CORRECT, columns(rows))


def _zones(customer_ids: Any) -> dict[int, str]:
    return dict(Customer.objects.filter(pk__in=set(customer_ids)).values_list("pk", "time_zone"))
