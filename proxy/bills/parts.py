"""What our requests cost by part, for bills that tell those apart: what was paid, split by its price."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from proxy.bills.lines import CACHED, COUNTS, INPUT, OTHER, OUTPUT, WRITTEN, WRITTEN_1H
from proxy.bills.requests import Asked
from proxy.prices.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, INPUT_SIDE, OUTPUT_SIDE, TABLE, Unit
from proxy.purchases.costs import COLUMNS, OF_ATTEMPT, Prices, Used

_ABOUT = (
    "q.id, (q.created_at AT TIME ZONE %(zone)s)::date, (q.ended_at AT TIME ZONE %(zone)s)::date, q.upstream_model,"
    " q.tier, q.cost"
)
READ = f"""
WITH q AS MATERIALIZED (SELECT * FROM ({{asked}}) asked WHERE cost > 0)
SELECT {_ABOUT}, {", ".join(f"g.{name}" for name in COLUMNS)}
FROM q JOIN proxy_generation g ON g.id = q.id WHERE q.attempt IS NULL
UNION ALL
SELECT {_ABOUT}, {", ".join(OF_ATTEMPT.get(name, f"g.{name}") for name in COLUMNS)}
FROM q JOIN proxy_attempt a ON a.id = q.attempt JOIN proxy_generation g ON g.id = q.id"""
AT_ONCE = 2_000
Row = tuple[Any, ...]


def by_part(asked: Asked) -> Iterator[tuple[str, Row]]:
    """Groups of requests as `sums.OURS` has them, without counts, each with its part."""
    rows: list[Row] = []
    for row in asked.pages(READ, {}):
        rows.append(row)
        if len(rows) == AT_ONCE:
            yield from _grouped(rows)
            rows = []
    if rows:
        yield from _grouped(rows)


def _grouped(rows: list[Row]) -> Iterator[tuple[str, Row]]:
    used = [Used(*row[6:]) for row in rows]
    prices = Prices(used)
    amounts: dict[Row, Decimal] = defaultdict(Decimal)
    ids: dict[Row, list[str]] = defaultdict(list)
    for one, (generation_id, began, ended, model, tier, cost, *_more) in zip(used, rows, strict=True):
        for part, amount in _parts(prices, one, cost).items():
            amounts[part, began, ended, model, tier] += amount
            ids[part, began, ended, model, tier].append(generation_id)
    for (part, *about), amount in amounts.items():
        yield part, (*about, amount, *[None] * len(COUNTS), ids[part, *about][:10])


def _parts(prices: Prices, one: Used, cost: Decimal) -> dict[str, Decimal]:
    """What was paid, in proportion to what each unit comes to."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for line in prices.lines_of(one):
        found[PARTS[line.unit]] += line.amount
    whole = sum(found.values())
    return {part: cost * amount / whole for part, amount in found.items()} if whole else {OTHER: cost}


def _part(unit: Unit) -> str:
    if unit.side == OUTPUT_SIDE:
        return OUTPUT
    if unit.side != INPUT_SIDE:
        return OTHER
    states = ((CACHE_READ, CACHED), (CACHE_WRITE_1H, WRITTEN_1H), (CACHE_WRITE, WRITTEN))
    return next((part for name, part in states if unit.name.startswith(name)), INPUT)


PARTS = {unit.line: _part(unit) for unit in TABLE}
