"""The audit's look at the totals of days: what they say is what their requests come to."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.conf import settings

from billing.audit.run import pages, snapshot
from billing.books.money import ZERO
from proxy.models import Model, Upstream

MOST_BATCHES = 50
"""In a page: each has up to thousands of requests."""
COMPARED = ("requests", "charged", "purchase", "unknown", "unrated")
BY_REQUESTS = """
SELECT (paid.at AT TIME ZONE '{zone}')::date, paid.model_id, paid.upstream_id, sum(paid.requests),
 sum(paid.charged), sum(coalesce(paid.usd, 0)), count(*) FILTER (WHERE paid.cost IS NULL),
 count(*) FILTER (WHERE paid.cost IS NOT NULL AND paid.usd IS NULL), sum(paid.corrected)
FROM {page} b CROSS JOIN LATERAL (
 SELECT g.settled_at AS at, g.model_id, g.upstream_id, 1 AS requests, coalesce(g.cost, 0) AS charged,
  g.purchase_usd AS usd, g.purchase_cost AS cost,
  coalesce(g.corrected_cost, g.cost, 0) - coalesce(g.cost, 0) AS corrected
 FROM proxy_generation g WHERE g.id = ANY(b.generations) AND g.purchase_batch = b.id
 UNION ALL
 SELECT a.ended_at, a.model_id, a.upstream_id, 0, 0, a.purchase_usd, a.purchase_cost, 0
 FROM proxy_attempt a WHERE a.id = ANY(b.attempts) AND a.purchase_batch = b.id
) paid
WHERE b.is_counted GROUP BY 1, 2, 3"""
TOTALS = f"SELECT day, model_id, upstream_id, {', '.join(COMPARED)}, corrected FROM proxy_marginday"
SUMS = ", ".join(f"sum({name}) AS {name}" for name in (*COMPARED, "corrected", "bonus", "listed", "unknown_listed"))
BY_CUSTOMER = f"""
SELECT day FROM (SELECT day, {SUMS} FROM proxy_marginday GROUP BY day) m
FULL JOIN (SELECT day, {SUMS} FROM proxy_customermarginday GROUP BY day) c USING (day)
WHERE to_jsonb(m) IS DISTINCT FROM to_jsonb(c) ORDER BY day"""
Figures = dict[tuple[Any, ...], tuple[Any, ...]]
NOTHING = (0, ZERO, ZERO, 0, 0)


def check_margin(customer_id: int | None) -> Iterator[str]:
    """Each day's totals are the sums of the requests counted in it, corrections apart, by customer as by model.

    What was added to while the requests were read is left for the next audit: as a rule the running day.
    """
    if customer_id is not None:
        return
    before = _totals()
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    query = BY_REQUESTS.replace("{zone}", settings.BOOKS_TIME_ZONE.key)
    for row in pages(query, table="proxy_purchasebatch", key="id", first=0, most=MOST_BATCHES):
        old = found.get(row[:3], (*NOTHING, ZERO))
        found[row[:3]] = tuple(map(sum, zip(old, row[3:], strict=True)))
    after = _totals()
    names = (dict(Model.objects.values_list("pk", "slug")), dict(Upstream.objects.values_list("pk", "name")))
    days = [{key: row[:-1] for key, row in totals.items()} for totals in (before, after, found)]
    for (day, *place), name, stored, summed in _differing(*days, names=COMPARED):
        whose = f"margin of {_place(place, names)} on {day}"
        yield f"{whose}: {name} is {Decimal(stored):f}, by its requests it is {Decimal(summed):f}"
    corrections = [_by_place(totals) for totals in (before, after, found)]
    for place, _name, stored, summed in _differing(*corrections, names=("corrected",)):
        yield f"margin of {_place(place, names)}: corrections are {stored:f}, by its requests they are {summed:f}"
    with snapshot() as cursor:
        cursor.execute(BY_CUSTOMER)
        rows = cursor.fetchall()
    for (day,) in rows:
        yield f"margin on {day}: the totals by customer are not those by model"


def _totals() -> Figures:
    with snapshot() as cursor:
        cursor.execute(TOTALS)
        return {row[:3]: row[3:] for row in cursor.fetchall()}


def _by_place(totals: Figures) -> Figures:
    """Corrections by model and upstream: their days are not those of their requests."""
    sums: dict[tuple[Any, ...], Any] = defaultdict(lambda: ZERO)
    for (_day, *place), row in totals.items():
        sums[tuple(place)] += row[-1]
    return {place: (amount,) for place, amount in sums.items()}


def _differing(
    before: Figures, after: Figures, found: Figures, *, names: tuple[str, ...]
) -> Iterator[tuple[Any, str, Any, Any]]:
    nothing = (0,) * len(names)
    for key in sorted(after.keys() | found.keys()):
        stored, summed = after.get(key, nothing), found.get(key, nothing)
        if before.get(key, nothing) == stored:
            yield from (
                (key, name, had, has) for name, had, has in zip(names, stored, summed, strict=True) if had != has
            )


def _place(place: Any, names: tuple[dict[int, str], dict[int, str]]) -> str:
    model, upstream = place
    return f"{names[0].get(model, model)} at {names[1].get(upstream, upstream)}"
