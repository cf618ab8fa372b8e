"""A changed price in words for staff, in the language of the moment."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from proxy.prices.listed.differences import Difference
from proxy.prices.units import UNITS


def lines(steps: Iterable[tuple[datetime | None, list[Difference]]]) -> list[str]:
    """A line for each rate that is another one, under the day from which it is."""
    found: list[str] = []
    for at, differences in steps:
        if at is not None:
            found.append(_("From %(moment)s on:") % {"moment": f"{at:%Y-%m-%d %H:%M} UTC"})
        found += [line(one) for one in differences]
    return found


def line(one: Difference) -> str:
    unit = UNITS[one.unit]
    where = [str(unit.label), *one.when.values()]
    if one.above >= 0:
        where.append(_("over %(above)s input tokens") % {"above": f"{one.above:,}"})
    facts = {"what": capfirst(", ".join(where)), "old": _rate(one.old), "new": _rate(one.new), "per": unit.measure}
    said = _("%(what)s: %(old)s → %(new)s %(per)s") % facts
    return f"{said} ({one.share * 100:+.1f} %)" if one.share is not None else said


def _rate(rate: Decimal | None) -> str:
    return _("not sold") if rate is None else f"${rate.normalize():f}"
