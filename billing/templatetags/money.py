"""Amounts as people read them: a currency sign always; 4 decimals for balances, 6 in lists, 8 on a receipt."""

from decimal import Decimal

from django import template

from core.amounts import written

register = template.Library()

NOTHING = "–"


@register.filter
def usd(value: Decimal | None) -> str:
    """A price or a cap: as many decimals as it has, at least 2."""
    if value is None:
        return NOTHING
    return written(value, places=max(2, -int(value.normalize().as_tuple().exponent)))


@register.filter
def usd4(value: Decimal | None) -> str:
    """A balance."""
    return NOTHING if value is None else written(value, places=4)


@register.filter
def usd6(value: Decimal | None) -> str:
    """An amount in a list."""
    return NOTHING if value is None else written(value, places=6)


@register.filter
def usd8(value: Decimal | None) -> str:
    """An amount on a receipt."""
    return NOTHING if value is None else written(value, places=8)


@register.filter
def signed6(value: Decimal) -> str:
    """What came in or went out, in a list."""
    return ("+" if value > 0 else "") + written(value, places=6)


@register.filter
def cash(value: Decimal | None, currency: str = "USD") -> str:
    """Cash in its currency: `$20.00`, `¥142.00`."""
    return NOTHING if value is None else written(value, places=2, currency=currency)


@register.filter
def count(value: int | Decimal | None) -> str:
    """A number of things, its thousands apart; decimals only where there are any."""
    return NOTHING if value is None else f"{Decimal(value).normalize():,f}"


@register.filter
def exact(value: Decimal) -> str:
    """All its places that are not zero, at least 2: `1,234.50`, `0.00000001`."""
    places = max(2, -int(value.normalize().as_tuple().exponent))
    return f"{value.quantize(Decimal(1).scaleb(-places)):,f}"
