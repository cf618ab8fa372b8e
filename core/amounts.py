"""Amounts as people read them; here, so that accounts can write a balance without knowing billing."""

from decimal import ROUND_HALF_EVEN, Decimal

SIGNS = {"USD": "$", "CNY": "¥"}


def written(value: Decimal, *, places: int, currency: str = "USD") -> str:
    """`value` with its sign, currency and thousands apart: `-$1,234.5000`."""
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    return f"{'-' if rounded < 0 else ''}{SIGNS.get(currency, currency + ' ')}{abs(rounded):,f}"
