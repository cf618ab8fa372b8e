"""The audit's look at the sums of days: they are what their requests were charged, and what was corrected of that."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.audit.run import pages, snapshot
from proxy.settlement.counting import FIGURES, KEY

STORED = f"SELECT {KEY}, {', '.join(FIGURES)} FROM proxy_usageday WHERE customer_id = %s"
CHARGED = """
SELECT customer_id, charged_on, model_id, key_id, coalesce(maker_id, 0), count(*), sum(input_tokens),
 sum(output_tokens), sum(cached_tokens), sum(coalesce(cost, 0)), 0::numeric
FROM {page} g WHERE charged_on IS NOT NULL GROUP BY 1, 2, 3, 4, 5"""
CORRECTED = """
SELECT g.customer_id, c.day, g.model_id, g.key_id, coalesce(g.maker_id, 0), 0, 0, 0, 0, 0::numeric, sum(c.amount)
FROM {page} c JOIN proxy_generation g ON g.id = c.generation_id GROUP BY 1, 2, 3, 4, 5"""
UNTOLD = """
SELECT g.customer_id, g.id, g.state, coalesce(g.corrected_cost, g.cost) - g.cost, coalesce(c.amount, 0)
FROM {page} g LEFT JOIN LATERAL
 (SELECT sum(amount) AS amount FROM proxy_chargecorrection WHERE generation_id = g.id) c ON g.corrected_cost IS NOT NULL
WHERE g.charged_on IS NOT NULL AND coalesce(g.corrected_cost, g.cost) - g.cost <> coalesce(c.amount, 0)
 OR g.charged_on IS NOT NULL AND g.state <> 'settled'
ORDER BY g.id"""
WITH_SUMS = (
    "SELECT customer_id FROM (SELECT DISTINCT customer_id FROM proxy_usageday"
    " UNION SELECT customer_id FROM billing_wallet) w ORDER BY 1"
)
Sums = dict[tuple[Any, ...], tuple[Any, ...]]


def check_sums(customer_id: int | None) -> Iterator[str]:
    """Each row of an account's days is the sum of its requests, and what is corrected of them is what was counted.

    What was added to while the requests were read is left for the next audit: as a rule the running day.
    """
    for whose in _customers() if customer_id is None else [customer_id]:
        yield from _check(whose)
    for customer, request, state, due, counted in pages(
        UNTOLD, table="proxy_generation", key="id", first="", customer_id=customer_id
    ):
        said = f"customer {customer}: request {request}, counted among its account's days, is {state}"
        yield f"{said}, corrected by {due:f} and counted as corrected by {counted:f}"


def _check(customer_id: int) -> Iterator[str]:
    before = _stored(customer_id)
    found: Sums = defaultdict(lambda: (0, 0, 0, 0, Decimal(0), Decimal(0)))
    for query, table, key, first in (
        (CHARGED, "proxy_generation", "id", ""),
        (CORRECTED, "proxy_chargecorrection", "id", 0),
    ):
        for row in pages(query, table=table, key=key, first=first, customer_id=customer_id):
            found[row[:5]] = tuple(map(sum, zip(found[row[:5]], row[5:], strict=True)))
    after = _stored(customer_id)
    nothing = (0, 0, 0, 0, Decimal(0), Decimal(0))
    for place in sorted(after.keys() | found.keys()):
        stored, summed = after.get(place, nothing), found.get(place, nothing)
        if before.get(place, nothing) != stored:
            continue
        for name, has, due in zip(FIGURES, stored, summed, strict=True):
            if has != due:
                _, day, model, key, member = place
                yield (
                    f"customer {customer_id}: usage on {day} of model {model} by key {key} of user {member}: {name} is"
                    f" {has}, by its requests it is {due}"
                )


def _stored(customer_id: int) -> Sums:
    with snapshot() as cursor:
        cursor.execute(STORED, [customer_id])
        return {row[:5]: row[5:] for row in cursor.fetchall()}


def _customers() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(WITH_SUMS)
        return [pk for (pk,) in cursor.fetchall()]
