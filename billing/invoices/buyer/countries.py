"""The countries of ISO 3166 and what they are called."""

import gettext
from functools import cache
from importlib import resources

import pycountry

CHINESE = "zh_CN"


@cache
def countries() -> frozenset[str]:
    """Their two letters."""
    return frozenset(country.alpha_2 for country in pycountry.countries)


@cache
def named(locale: str) -> tuple[tuple[str, str], ...]:
    """Two letters and name, in Chinese for any Chinese, else in English; in the order of the English names."""
    languages = [CHINESE] if locale.lower().startswith("zh") else []
    say = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=languages, fallback=True).gettext
    names = {one.alpha_2: getattr(one, "common_name", one.name) for one in pycountry.countries}
    return tuple((code, say(names[code])) for code in sorted(names, key=lambda code: names[code]))


def country_of(zone: str) -> str:
    """Where a time zone is, by the time zone database; "" for one that is nowhere, such as UTC."""
    return _zones().get(zone, "")


@cache
def _zones() -> dict[str, str]:
    table = (resources.files("tzdata.zoneinfo") / "zone.tab").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    return {row[2]: row[0] for row in rows}
