"""A changed price in words for staff, in the language of the moment."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from core.amounts import SIGNS
from payments.topups import fx
from proxy.models import Model, Price
from proxy.prices.below_cost import Loss
from proxy.prices.listed.differences import Difference, differences
from proxy.prices.loading import new_versions
from proxy.prices.units import UNITS
from proxy.prices.versions import PriceVersion


def lines(steps: Iterable[tuple[datetime | None, list[Difference]]]) -> list[str]:
    """A line for each rate that is another one, under the day from which it is."""
    found: list[str] = []
    for at, changed in steps:
        if at is not None:
            found.append(_("From %(moment)s on:") % {"moment": f"{at:%Y-%m-%d %H:%M} UTC"})
        found += [line(one) for one in changed]
    return found


def line(one: Difference, *, currency: str = "USD", without: str = "") -> str:
    """`without` is what an old rate is called that is none."""
    unit = UNITS[one.unit]
    old = without if without and one.old is None else _rate(one.old, currency)
    facts = {"what": _place(one), "old": old, "new": _rate(one.new, currency), "per": unit.measure}
    said = _("%(what)s: %(old)s → %(new)s %(per)s") % facts
    return f"{said} ({one.share * 100:+.1f} %)" if one.share is not None else said


def loss(one: Loss) -> str:
    facts = {"what": _place(one), "price": _rate(one.price), "cost": _rate(one.cost), "upstream": one.upstream}
    if one.group:
        words = _("%(what)s: sold to the group %(group)s at %(price)s, bought at %(cost)s from %(upstream)s, %(per)s.")
    else:
        words = _("%(what)s: sold at %(price)s with the margin, bought at %(cost)s from %(upstream)s, %(per)s.")
    return words % {**facts, "group": one.group, "per": UNITS[one.unit].measure}


def beside_list(model: Model, price: Price | None, *, now: datetime) -> list[str]:
    """What the list would change of a model's price, a line each; nothing where the list has none."""
    from proxy.prices.listed import wanted  # the list takes 13 MB, which no gateway needs

    listed, info = (model.listed_as, wanted.named(model.listed_as)) if model.listed_as else (None, None)
    if info is None:
        listed, info = wanted.likely(model.slug) or (None, None)
    if info is None:
        return []
    found = wanted.prices(info, now=now, dates=set(), has_tools=model.max_tool_calls > 0)
    if not found:
        return []
    [(columns, _none)] = new_versions([], found[0], where=model.slug, now=now)
    old = None if price is None else PriceVersion.from_row(price)
    told = [line(one) for one in differences(old, PriceVersion.from_row(Price(model=model, **columns)))]
    if not told:
        return [_("The list has the same price for %(listed)s.") % {"listed": listed}]
    return [_("The list's price of %(listed)s beside it:") % {"listed": listed}, *told]


def _place(one: Difference | Loss) -> str:
    where = [str(UNITS[one.unit].label), *one.when.values()]
    if one.above >= 0:
        where.append(_("over %(above)s input tokens") % {"above": f"{one.above:,}"})
    return str(capfirst(", ".join(where)))


def dollars(*, now: datetime) -> dict[str, Decimal]:
    """What one of each currency is worth in USD, as far as there is a rate."""
    rate = fx.latest(now=now)
    return {"USD": Decimal(1), **({"CNY": 1 / rate.rate} if rate is not None else {})}


def _rate(rate: Decimal | None, currency: str = "USD") -> str:
    return _("not sold") if rate is None else f"{SIGNS[currency]}{round(rate, 6).normalize():f}"
