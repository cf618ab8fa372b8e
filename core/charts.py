"""Bars drawn on the server: where each rectangle stands, in the units of an SVG view box."""

from dataclasses import dataclass
from decimal import Decimal

GAP = Decimal("0.25")
"""The share of a day's width that stays empty."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, and what it says or which series it belongs to."""

    x: str
    y: str
    width: str
    height: str
    title: str = ""
    series: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """`days` side by side in a box; an amount of `most` reaches from its bottom to its top."""

    width: int
    height: int
    days: int
    most: Decimal

    @property
    def step(self) -> Decimal:
        return Decimal(self.width) / max(1, self.days)

    def tall(self, amount: Decimal) -> Decimal:
        return max(amount, Decimal(0)) / self.most * self.height if self.most else Decimal(0)

    def bar(self, number: int, *, top: Decimal, tall: Decimal, title: str = "", series: int = 0) -> Bar:
        """A bar of the day `number`, from `top` downwards."""
        x, width = self.step * number + self.step * GAP / 2, self.step * (1 - GAP)
        return Bar(at(x), at(top), at(width), at(tall), title, series)


def at(value: Decimal) -> str:
    return f"{value:.2f}"
