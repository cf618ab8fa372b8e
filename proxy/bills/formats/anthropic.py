"""Anthropic: `/v1/organizations/cost_report` and `usage_report/messages` as pages, and the console's two CSV files.

The cost report writes cents, as a text; the console's costs are dollars, each line rounded to the cent. Input is told
without what was read from the cache or written to it.
"""

from decimal import Decimal

from proxy.bills.formats.base import Format
from proxy.bills.lines import CACHED, INPUT, OTHER, OUTPUT, WRITTEN, WRITTEN_1H, BillLine, Cells, tier_of

PARTS = {
    "uncached_input_tokens": INPUT,
    "cache_read_input_tokens": CACHED,
    "cache_creation.ephemeral_5m_input_tokens": WRITTEN,
    "cache_creation.ephemeral_1h_input_tokens": WRITTEN_1H,
    "output_tokens": OUTPUT,
    "input_no_cache": INPUT,
    "input_cache_read": CACHED,
    "input_cache_write_5m": WRITTEN,
    "input_cache_write_1h": WRITTEN_1H,
    "output": OUTPUT,
}
CENTS = 100


def _part(cells: Cells) -> str:
    """Searches and sandboxes are told by another kind of cost, and name no tokens."""
    named = cells.text("token_type")
    return PARTS.get(named, OTHER) if named or cells.text("cost_type") else ""


def _costs(cells: Cells) -> BillLine:
    return BillLine(
        cells.number,
        cells.day("starting_at"),
        model=cells.text("model"),
        tier=tier_of(cells.text("service_tier")),
        part=_part(cells),
        amount=cells.required("amount", per=CENTS),
        currency=cells.currency("currency"),
    )


def _usage(cells: Cells) -> BillLine:
    hour, minutes = "cache_creation_ephemeral_1h_input_tokens", "cache_creation_ephemeral_5m_input_tokens"
    return BillLine(
        cells.number,
        cells.day("starting_at"),
        model=cells.text("model"),
        tier=tier_of(cells.text("service_tier")),
        input_tokens=cells.sum("uncached_input_tokens", "cache_read_input_tokens", hour, minutes),
        cached_tokens=cells.count("cache_read_input_tokens"),
        cache_write_tokens=cells.sum(hour, minutes),
        cache_write_1h_tokens=cells.count(hour),
        output_tokens=cells.count("output_tokens"),
    )


def _console(cells: Cells) -> BillLine:
    return BillLine(
        cells.number,
        cells.day("usage_date_utc"),
        model=cells.text("model"),
        tier=tier_of(cells.text("usage_type")),
        part=_part(cells),
        amount=cells.required("cost_usd"),
    )


def _tokens(cells: Cells) -> BillLine:
    fresh, read = "usage_input_tokens_no_cache", "usage_input_tokens_cache_read"
    minutes, hour = "usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"
    return BillLine(
        cells.number,
        cells.day("usage_date_utc"),
        model=cells.text("model_version"),
        tier=tier_of(cells.text("usage_type")),
        input_tokens=cells.sum(fresh, read, minutes, hour),
        cached_tokens=cells.count(read),
        cache_write_tokens=cells.sum(minutes, hour),
        cache_write_1h_tokens=cells.count(hour),
        output_tokens=cells.count("usage_output_tokens"),
    )


FORMATS = (
    Format("anthropic-costs", "Anthropic, cost report", frozenset({"starting_at", "amount"}), _costs),
    Format("anthropic-usage", "Anthropic, usage report", frozenset({"starting_at", "uncached_input_tokens"}), _usage),
    Format(
        "anthropic-console",
        "Anthropic, console costs",
        frozenset({"usage_date_utc", "model", "cost_usd"}),
        _console,
        rounding=Decimal("0.01"),
    ),
    Format(
        "anthropic-tokens",
        "Anthropic, console usage",
        frozenset({"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"}),
        _tokens,
    ),
)
