"""OpenAI: `/v1/organization/costs` and `/v1/organization/usage/completions`, as pages or as the dashboard's CSV.

Amounts are USD with many places. A line item is "[tier | ]model[ kind], what[, more]", or names no model. Its
`input_tokens` hold what was cached. An empty period has a line of its own in the CSV, without amounts.
"""

from datetime import date

from proxy.bills.formats.base import Format
from proxy.bills.lines import CACHED, INPUT, OTHER, OUTPUT, WRITTEN, BadCell, BillLine, Cells, tier_of

WIDEST = 86_400


def _costs(cells: Cells) -> BillLine | None:
    amount = cells.amount("amount_value")
    if amount is None:
        return None
    tier, model, part = _item(cells.text("line_item"))
    return BillLine(
        cells.number,
        _day(cells),
        model=model,
        tier=tier,
        part=part,
        amount=amount,
        currency=cells.currency("amount_currency"),
    )


def _usage(cells: Cells) -> BillLine | None:
    if cells.count("num_model_requests") is None:
        return None
    is_batch = cells.text("batch").lower() == "true"
    return BillLine(
        cells.number,
        _day(cells),
        model=cells.text("model"),
        tier="batch" if is_batch else tier_of(cells.text("service_tier")),
        input_tokens=cells.count("input_tokens"),
        cached_tokens=cells.count("input_cached_tokens"),
        output_tokens=cells.count("output_tokens"),
        requests=cells.count("num_model_requests"),
    )


def _day(cells: Cells) -> date:
    begins, ends = cells.count("start_time"), cells.count("end_time")
    if begins is None or (ends is not None and not begins < ends <= begins + WIDEST):
        raise BadCell("the period is longer than a day: ask for bucket_width=1d")
    return cells.day("start_time")


def _item(text: str) -> tuple[str, str, str]:
    """Tier, model and part of a line item."""
    tier, _bar, rest = text.rpartition("|")
    name, comma, what = rest.partition(",")
    if not comma:
        return tier_of(tier.strip()), "", OTHER if rest.strip() else ""
    what = what.lower()
    return tier_of(tier.strip()), name.split()[0] if name.strip() else "", _part(what)


def _part(what: str) -> str:
    if "output" in what:
        return OUTPUT
    if "cached" in what:
        return CACHED
    if "write" in what:
        return WRITTEN
    return INPUT if "input" in what else OTHER


FORMATS = (
    Format("openai-costs", "OpenAI, costs", frozenset({"start_time", "amount_value"}), _costs),
    Format("openai-usage", "OpenAI, usage", frozenset({"start_time", "input_tokens", "num_model_requests"}), _usage),
)
