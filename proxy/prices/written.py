"""A price as a catalog, a form or an importer writes it: checked, and turned into the columns of a version. Pure.

What is wrong is told with its place: `price.variants[1].when.colour`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from proxy.prices.units import MILLION, PER_REQUEST, PER_SECOND, PER_TOKEN, SECOND, UNITS, billing_of, missing_join
from proxy.prices.versions import SERVICE_TIER, TERMS

BILLINGS = (PER_TOKEN, PER_REQUEST, PER_SECOND)
OF_SECONDS = ("minimum", "round")
"""Seconds of sound that a request is charged for at least, and in multiples of which."""
MOST_SECONDS = 3_601
FIELDS = frozenset({"billing", "margin", "tiers", "variants", "service_tiers", "fallback", "applies_from", *OF_SECONDS})
MOST_RATE = MILLION
MOST_PLACES = 18
MOST_VARIANTS, MOST_TIERS = 200, 20
LONGEST_INPUT = 2**31 - 1
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/x-]{0,39}", re.ASCII)
"""Of a term: `flex`, `1024x1536`, `24h`."""


class InvalidCatalog(ValueError):
    """Something in the data that cannot be meant; the message says where."""


def price_columns(price: Any, *, where: str, margin: Any, field: str = "price") -> dict[str, Any]:
    """The columns of a version that say what it costs; `margin` where the price names none.

    Raises `InvalidCatalog`. `applies_from` is a moment, or None.
    """
    at = f"{where}: `{field}"
    if not isinstance(price, Mapping):
        raise InvalidCatalog(f"{at}` is missing, or no mapping")
    rates = _rates({name: value for name, value in price.items() if name not in FIELDS}, at)
    variants = [_variant(one, f"{at}.variants[{index}]") for index, one in enumerate(_list(price, "variants", at))]
    variants += _service_tiers(price.get("service_tiers"), f"{at}.service_tiers")
    if len(variants) > MOST_VARIANTS:
        raise InvalidCatalog(f"{at}.variants` may be at most {MOST_VARIANTS}")
    tiers = _tiers(price, at)
    named = _named(rates, tiers, variants)
    if not named:
        raise InvalidCatalog(f"{where}: the price names no rate")
    if (join := missing_join(named)) is not None:
        raise InvalidCatalog(
            f"{at}` names {join.joins[0]} and {join.joins[1]}, which have tokens in common: it needs {join.name} too"
        )
    fallback = _fallback(price, at)
    more = {"variants": variants, "fallback": fallback, **_of_seconds(price, named, at)}
    return {
        "billing": _billing(price.get("billing"), named, at),
        "rates": rates,
        "tiers": tiers,
        "more": {name: value for name, value in more.items() if value} or None,
        "margin": _decimal(price.get("margin", margin), f"{at}.margin`", least=1, most=10_000, places=4),
        "applies_from": moment(price.get("applies_from"), f"{at}.applies_from`"),
    }


def _named(rates: Mapping[str, str], tiers: list[dict[str, Any]], variants: list[dict[str, Any]]) -> set[str]:
    """Every unit with a rate, wherever it stands."""
    holders = [rates, *(tier["rates"] for tier in tiers)]
    for variant in variants:
        holders += [variant["rates"], *(tier["rates"] for tier in variant.get("tiers", ()))]
    return set().union(*holders)


def _billing(said: Any, named: set[str], at: str) -> str:
    found = billing_of(named)
    if said is None:
        return found
    if said not in BILLINGS:
        raise InvalidCatalog(f"{at}.billing` must be one of {', '.join(BILLINGS)}")
    # Characters were asked for as requests before prices held any units at once.
    if said != found:
        raise InvalidCatalog(f"{at}.billing` is {said}, and its rates are {found}")
    return found


def _variant(one: Any, at: str) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        raise InvalidCatalog(f"{at}` must be a mapping")
    when = one.get("when")
    if not isinstance(when, Mapping) or not when:
        raise InvalidCatalog(f"{at}.when` must say for which requests: {', '.join(TERMS)}")
    for name, value in when.items():
        if name not in TERMS:
            raise InvalidCatalog(f"{at}.when.{name}` is not known: a price may go by {', '.join(TERMS)}")
        if not isinstance(value, str) or not VALUE.fullmatch(value):
            raise InvalidCatalog(f"{at}.when.{name}` must be a short text, not {value!r}")
    return _part({name: value for name, value in one.items() if name != "when"}, at, when=dict(when))


def _service_tiers(said: Any, at: str) -> list[dict[str, Any]]:
    """`{flex: {...}}` is short for a variant of that service tier; these come after the variants."""
    if said is None:
        return []
    if not isinstance(said, Mapping):
        raise InvalidCatalog(f"{at}` must be a mapping by the tier's name")
    found = []
    for name, part in said.items():
        if not isinstance(name, str) or not VALUE.fullmatch(name):
            raise InvalidCatalog(f"{at}` has a tier named {name!r}")
        if not isinstance(part, Mapping):
            raise InvalidCatalog(f"{at}.{name}` must be a mapping of rates")
        found.append(_part(part, f"{at}.{name}", when={SERVICE_TIER: name}))
    return found


def _part(part: Mapping[str, Any], at: str, *, when: dict[str, str]) -> dict[str, Any]:
    rates = _rates({name: value for name, value in part.items() if name not in ("tiers", "rates")}, at)
    rates |= _rates(part.get("rates") or {}, at)
    tiers = _tiers(part, at)
    if not rates and not tiers:
        raise InvalidCatalog(f"{at}` names no rate")
    return {"when": when, "rates": rates, **({"tiers": tiers} if tiers else {})}


def _tiers(holder: Mapping[str, Any], at: str) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = []
    for index, tier in enumerate(_list(holder, "tiers", at)):
        place = f"{at}.tiers[{index}]"
        above = tier.get("above") if isinstance(tier, Mapping) else None
        if not isinstance(tier, Mapping) or type(above) is not int or not 0 <= above <= LONGEST_INPUT:
            raise InvalidCatalog(f"{place}` needs `above`, a whole number of input tokens")
        if tiers and above <= tiers[-1]["above"]:
            raise InvalidCatalog(f"{place}.above` is {above}: tiers ascend, and the one before is {tiers[-1]['above']}")
        said = tier.get("rates") or {name: value for name, value in tier.items() if name != "above"}
        tiers.append({"above": above, "rates": _rates(said, place)})
    if len(tiers) > MOST_TIERS:
        raise InvalidCatalog(f"{at}.tiers` may be at most {MOST_TIERS}")
    return tiers


def _fallback(price: Mapping[str, Any], at: str) -> list[str]:
    said = _list(price, "fallback", at)
    for index, name in enumerate(said):
        if not isinstance(name, str) or name not in UNITS:
            raise InvalidCatalog(f"{at}.fallback[{index}]`: there is no unit {name!r}")
        if not UNITS[name].ancestors:
            raise InvalidCatalog(f"{at}.fallback[{index}]`: nothing stands for {name}, so it needs a rate")
    return sorted(set(said))


def _of_seconds(price: Mapping[str, Any], named: set[str], at: str) -> dict[str, str]:
    said = {name: price[name] for name in OF_SECONDS if price.get(name) is not None}
    if said and SECOND not in named:
        raise InvalidCatalog(f"{at}.{next(iter(said))}` is of seconds, and the price names no `{SECOND}`")
    return {
        name: f"{_decimal(value, f'{at}.{name}`', least=Decimal('0.001'), most=MOST_SECONDS, places=3):f}"
        for name, value in said.items()
    }


def _list(holder: Mapping[str, Any], name: str, at: str) -> list[Any]:
    said = holder.get(name)
    if said is None:
        return []
    if not isinstance(said, list):
        raise InvalidCatalog(f"{at}.{name}` must be a list")
    return said


def _rates(named: Any, at: str) -> dict[str, str]:
    if not isinstance(named, Mapping):
        raise InvalidCatalog(f"{at}`: rates are a mapping")
    for name in named:
        if name not in UNITS:
            raise InvalidCatalog(f"{at}`: there is no field {name!r}")
    return {
        name: f"{_decimal(value, f'{at}.{name}`'):f}" for name, value in named.items() if value is not None
    }  # fmt: skip


def _decimal(
    said: Any, at: str, *, least: Decimal | int = 0, most: Decimal | int = MOST_RATE, places: int = MOST_PLACES
) -> Decimal:
    text = "" if isinstance(said, bool) else str(said)
    try:
        # YAML reads an unquoted 0.10 as a binary number; its shortest text is what was written.
        number = Decimal(text) if len(text) <= 60 else Decimal("NaN")
    except InvalidOperation:
        raise InvalidCatalog(f"{at}: {said!r} is not a price") from None
    if not number.is_finite() or not least <= number < most:
        raise InvalidCatalog(f"{at}: {said!r} is not a price from {least} to below {most}")
    if number != round(number, places) or int(number.as_tuple().exponent) < -60:
        raise InvalidCatalog(f"{at}: {said!r} has more than {places} decimal places")
    return number


def moment(said: Any, at: str) -> datetime | None:
    """A day (its beginning in UTC) or a moment with its zone; None for nothing."""
    if said is None:
        return None
    found = said
    if isinstance(said, str):
        try:
            found = date.fromisoformat(said) if len(said) == 10 else datetime.fromisoformat(said)
        except ValueError:
            raise InvalidCatalog(f"{at}: {said!r} is no day such as 2027-01-31") from None
    if isinstance(found, datetime):
        # YAML gives a moment in UTC without its zone.
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    if isinstance(found, date):
        return datetime.combine(found, time(), tzinfo=UTC)
    raise InvalidCatalog(f"{at}: {said!r} is no day such as 2027-01-31")
