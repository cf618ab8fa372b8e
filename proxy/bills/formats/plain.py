"""A plain table: `day`, `amount` and, where there are any, `model`, `currency`, `request_id`, `tier` and counts."""

from proxy.bills.formats.base import Format
from proxy.bills.lines import BillLine, Cells, tier_of


def _line(cells: Cells) -> BillLine:
    return BillLine(
        cells.number,
        cells.day("day"),
        model=cells.text("model"),
        tier=tier_of(cells.text("tier")),
        request_id=cells.text("request_id"),
        amount=cells.required("amount"),
        currency=cells.currency("currency"),
        input_tokens=cells.count("input_tokens"),
        cached_tokens=cells.count("cached_tokens"),
        output_tokens=cells.count("output_tokens"),
        tokens=cells.count("tokens"),
        requests=cells.count("requests"),
    )


FORMATS = (Format("plain", "day, model, amount", frozenset({"day", "amount"}), _line),)
