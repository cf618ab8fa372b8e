"""What a price may name: every unit in one table, with what follows from it elsewhere.

From here come the rates that a catalog takes, bounds at the dearest rate, the lines of a receipt, labels, the form of a
price and the importer's names. A unit that a price does not name costs what its fallback costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.books.money import ZERO
from core.records import value

PER_TOKEN, PER_REQUEST, PER_SECOND = "per_token", "per_request", "per_second"
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Unit:
    """`name` is the rate's in a catalog, `line` the unit's in a receipt and the API.

    `side` tells what its most is multiplied with: tokens of input or of output; "" for a unit of its own.
    """

    name: str
    line: str
    billing: str
    label: Any
    """In a receipt: "cached input"."""
    field: Any
    """In the form of a price."""
    side: str = ""
    fallback: str = ""
    """The unit whose rate it has where a price does not name it."""
    per: Decimal = Decimal(1)
    """A rate is for so many."""
    offered: Any = ""
    """In a list of prices, where that is not the label: "per request"."""
    genai: str = ""
    """Its name in genai-prices."""


TABLE = (
    Unit(
        "input", "input_token", PER_TOKEN, _("input"), _("Input, per million tokens"),
        side="input", per=MILLION, genai="input_mtok",
    ),
    Unit(
        "output", "output_token", PER_TOKEN, _("output"), _("Output, per million tokens"),
        side="output", per=MILLION, genai="output_mtok",
    ),
    Unit(
        "cache_read", "cache_read_token", PER_TOKEN, _("cached input"), _("Cached input, per million tokens"),
        side="input", fallback="input", per=MILLION, genai="cache_read_mtok",
    ),
    Unit(
        "cache_write", "cache_write_token", PER_TOKEN, _("cache write"), _("Cache write, per million tokens"),
        side="input", fallback="input", per=MILLION, genai="cache_write_mtok",
    ),
    Unit(
        "cache_write_1h", "cache_write_1h_token", PER_TOKEN, _("cache write, 1 hour"),
        _("Cache write for 1 hour, per million tokens"),
        side="input", fallback="cache_write", per=MILLION, genai="cache_write_1h_mtok",
    ),
    Unit(
        "reasoning", "reasoning_token", PER_TOKEN, _("reasoning"), _("Reasoning, per million tokens"),
        side="output", fallback="output", per=MILLION,
    ),
    Unit("request", "request", PER_REQUEST, _("requests"), _("Per request"), offered=_("per request")),
    Unit("second", "second", PER_SECOND, _("seconds"), _("Per second"), offered=_("per second")),
    Unit(
        "character", "character", PER_REQUEST, _("characters"), _("Per million characters"),
        per=MILLION, offered=_("per million characters"),
    ),
)  # fmt: skip
INPUT, OUTPUT, CACHE_READ = "input", "output", "cache_read"
"""What a list of prices shows in columns of their own."""
UNITS = {unit.name: unit for unit in TABLE}
BY_LINE = {unit.line: unit for unit in TABLE}


def names(*, billing: str = "", side: str = "") -> tuple[str, ...]:
    """Names of the units of one way of billing, or of one side of a text, in the table's order."""
    return tuple(unit.name for unit in TABLE if billing in ("", unit.billing) and side in ("", unit.side))


def rate_of(rates: Mapping[str, Decimal], name: str) -> Decimal:
    """A unit's rate, or its fallback's, or nothing."""
    while name:
        if (found := rates.get(name)) is not None:
            return found
        name = UNITS[name].fallback
    return ZERO


@value
class Usage:
    """What one request used. Tokens; `units` are requests, seconds or characters."""

    input_tokens: int = 0
    """All input, cached and cache-written included."""
    output_tokens: int = 0
    """All output, reasoning included."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    """5-minute and 1-hour writes together."""
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    units: Decimal = ZERO


def tokens_of(usage: Usage, rates: Mapping[str, Decimal]) -> list[tuple[str, int]]:
    """Each token of a request once, by the unit that it is charged as.

    A provider's own counts may not add up; what is cached is never more than what came in.
    """
    if not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens):
        return [("input", usage.input_tokens), ("output", usage.output_tokens)]
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    for_an_hour = min(usage.cache_write_1h_tokens, written)
    # Where reasoning has no rate of its own it is output like any other.
    reasoning = min(usage.reasoning_tokens, usage.output_tokens) if "reasoning" in rates else 0
    return [
        ("input", usage.input_tokens - cached - written),
        ("cache_read", cached),
        ("cache_write", written - for_an_hour),
        ("cache_write_1h", for_an_hour),
        ("output", usage.output_tokens - reasoning),
        ("reasoning", reasoning),
    ]
