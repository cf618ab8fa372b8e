"""A bill's sums beside ours, by day and model, and by tier and part where the bill tells them apart."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from proxy.bills.figures import AMOUNT, Figures, Key
from proxy.bills.lines import COUNTS, OTHER, tier_of
from proxy.bills.names import Names
from proxy.bills.parts import by_part
from proxy.bills.requests import Asked
from proxy.models import UpstreamBill

Found = dict[Key, Figures]
ADDED = ", ".join(f"sum({name})" for name in COUNTS)

TOLD = "SELECT DISTINCT ON (1) day FROM proxy_upstreambillline WHERE bill_id = %s AND day > %s ORDER BY day LIMIT 1"
SHAPE = (
    "SELECT coalesce(bool_or(model <> ''), false), coalesce(bool_or(model = ''), false),"
    " coalesce(bool_or(tier <> ''), false), coalesce(bool_or(part <> ''), false),"
    f" coalesce(bool_or(request_id <> ''), false), count(amount), {', '.join(f'count({name})' for name in COUNTS)}"
    " FROM proxy_upstreambillline WHERE bill_id = %s AND day = %s"
)
THEIRS = (
    f"SELECT model, tier, part, sum(amount), count(*), {ADDED} FROM proxy_upstreambillline"
    " WHERE bill_id = %s AND day = %s GROUP BY 1, 2, 3"
)
OURS = f"""
SELECT (created_at AT TIME ZONE %(zone)s)::date, (ended_at AT TIME ZONE %(zone)s)::date, upstream_model, tier,
 sum(cost), {ADDED}, (array_agg(id ORDER BY cost DESC))[:10]
FROM ({{asked}}) asked GROUP BY 1, 2, 3, 4"""


@dataclass(slots=True)
class Shape:
    """What a bill tells at all. `told` are the names of its figures."""

    days: list[date]
    has_models: bool = False
    has_without_model: bool = False
    has_tiers: bool = False
    has_parts: bool = False
    has_ids: bool = False
    told: frozenset[str] = frozenset()


def shape_of(bill: UpstreamBill) -> Shape:
    """Looked up day by day, as bills are long."""
    shape, day = Shape([]), date.min
    counted = [0] * (1 + len(COUNTS))
    with connection.cursor() as cursor:
        while True:
            cursor.execute(TOLD, [bill.pk, day])
            row = cursor.fetchone()
            if row is None:
                break
            [day] = row
            shape.days.append(day)
            cursor.execute(SHAPE, [bill.pk, day])
            models, without, tiers, parts, ids, *counts = cursor.fetchone()
            shape.has_models |= models
            shape.has_without_model |= without
            shape.has_tiers |= tiers
            shape.has_parts |= parts
            shape.has_ids |= ids
            counted = [before + more for before, more in zip(counted, counts, strict=True)]
    shape.told = frozenset(name for name, count in zip((AMOUNT, *COUNTS), counted, strict=True) if count)
    return shape


def compared(bill: UpstreamBill, shape: Shape, names: Names, asked: Asked) -> Found:
    """Both sides of a bill whose lines name no requests."""
    found: Found = defaultdict(Figures)
    add_theirs(found, bill, shape, names)
    if shape.has_parts:
        for part, row in by_part(asked):
            add_ours(found, row, shape, names, asked, part=part)
    else:
        for row in asked.pages(OURS, {}):
            add_ours(found, row, shape, names, asked)
    return found


def add_theirs(found: Found, bill: UpstreamBill, shape: Shape, names: Names) -> None:
    with connection.cursor() as cursor:
        for day in shape.days:
            cursor.execute(THEIRS, [bill.pk, day])
            for model, tier, part, amount, lines, *counts in cursor.fetchall():
                figures = found[Key(day, names.of(model) if model else "", tier, part if shape.has_parts else "")]
                figures.lines += lines
                _add(figures.theirs, amount, counts)


def add_ours(found: Found, row: tuple[Any, ...], shape: Shape, names: Names, asked: Asked, part: str = "") -> None:
    """A group of requests to the day they began on, and as what may be told of the day they ended on."""
    began, ended, model, tier, amount, *counts, ids = row
    about = (names.of(model) if shape.has_models else "", tier_of(tier) if shape.has_tiers else "", part)
    if part == OTHER and shape.has_without_model:
        about = ("", "", part)  # searches and their like are billed without the model's name
    if asked.first <= began <= asked.last:
        figures = found[Key(began, *about)]
        figures.requests += int(counts[-1] or 0)
        figures.add_ids(ids)
        _add(figures.ours, amount, counts)
        if ended != began:
            _add(figures.out, amount, counts)
    if ended != began and asked.first <= ended <= asked.last:
        figures = found[Key(ended, *about)]
        figures.add_ids(ids)
        _add(figures.into, amount, counts)


def _add(into: dict[str, Decimal], amount: Decimal | None, counts: list[Decimal | int | None]) -> None:
    for name, more in zip((AMOUNT, *COUNTS), (amount, *counts), strict=True):
        if more is not None:
            into[name] = into.get(name, Decimal(0)) + more
