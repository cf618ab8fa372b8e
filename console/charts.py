"""Bars drawn on the server: where each rectangle stands, in the units of an SVG view box."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from proxy.records.lists import Spending

WIDTH, HEIGHT = 420, 120
GAP = Decimal("0.3")
"""The share of a day's width that stays empty."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's part of one day."""

    x: str
    y: str
    width: str
    height: str
    series: int


@dataclass(frozen=True, slots=True)
class Column:
    """One day: its parts, the whole area that answers to the pointer, and what it says."""

    day: date
    total: Decimal
    x: str
    width: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: int
    columns: Sequence[Column]
    most: Decimal
    """The dearest day, USD."""


def stacked(spending: Spending) -> Chart:
    """A column a day, the dearest model at the bottom. Heights are to the scale of the dearest day."""
    most = max((day.total for day in spending.days), default=Decimal(0))
    series = {name: number for number, (name, _cost) in enumerate(spending.models)}
    step = Decimal(WIDTH) / max(1, len(spending.days))
    columns = []
    for number, day in enumerate(spending.days):
        x, top, bars = step * number + step * GAP / 2, Decimal(HEIGHT), []
        for name in sorted(day.costs, key=lambda name: series[name]):
            # A cost too small to see still shows as a hairline: the day was not free.
            height = max(day.costs[name] / most * HEIGHT, Decimal("0.8"))
            top -= height
            bars.append(Bar(_at(x), _at(top), _at(step * (1 - GAP)), _at(height), series[name]))
        columns.append(Column(day=day.day, total=day.total, x=_at(step * number), width=_at(step), bars=bars))
    return Chart(width=WIDTH, height=HEIGHT, columns=columns, most=most)


def _at(value: Decimal) -> str:
    return f"{value:.2f}"
