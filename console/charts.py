"""The chart of what was spent: a column a day, a part of it for each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from core.charts import Bar, Plot, at
from proxy.records.spending import Spending

WIDTH, HEIGHT = 420, 120


@dataclass(frozen=True, slots=True)
class Column:
    """One day, or the days up to `last`: its parts, the whole area that answers to the pointer, and what it says."""

    day: date
    last: date
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
    plot = Plot(WIDTH, HEIGHT, days=len(spending.days), most=most)
    columns = []
    for number, day in enumerate(spending.days):
        top, bars = Decimal(HEIGHT), []
        for name in sorted(day.costs, key=lambda name: series[name]):
            # A cost too small to see still shows as a hairline: the day was not free.
            tall = max(plot.tall(day.costs[name]), Decimal("0.8"))
            top -= tall
            bars.append(plot.bar(number, top=top, tall=tall, series=series[name]))
        x, width = at(plot.step * number), at(plot.step)
        columns.append(Column(day=day.day, last=day.last, total=day.total, x=x, width=width, bars=bars))
    return Chart(width=WIDTH, height=HEIGHT, columns=columns, most=most)
