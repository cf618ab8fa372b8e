"""Other gateways: the log of new-api and one-api as their table has it, and another Chuizi's `/v1/usage.csv`.

A log's `quota` is in 500,000th of a dollar, a whole number; of its types 2 is what was consumed. Its `created_at` is in
seconds since 1970.
"""

from decimal import Decimal

from proxy.bills.formats.base import Format
from proxy.bills.lines import BadCell, BillLine, Cells

QUOTA = 500_000
CONSUMED = ("", "2", "consume")


def _log(cells: Cells) -> BillLine | None:
    if cells.text("type").lower() not in CONSUMED:
        return None
    quota = cells.count("quota")
    if quota is None:
        raise BadCell("quota is empty")
    return BillLine(
        cells.number,
        cells.day("created_at"),
        model=cells.text("model_name"),
        request_id=cells.text("request_id"),
        amount=Decimal(quota) / QUOTA,
    )


def _usage(cells: Cells) -> BillLine | None:
    cost = cells.amount("cost")
    if not cost:
        return None
    return BillLine(
        cells.number,
        cells.day("created_at"),
        model=cells.text("model"),
        request_id=cells.text("generation_id"),
        amount=cost,
    )


FORMATS = (
    Format("chuizi", "Chuizi, usage.csv", frozenset({"settled_at", "created_at", "generation_id", "cost"}), _usage),
    Format(
        "new-api",
        "new-api or one-api, log",
        frozenset({"created_at", "model_name", "quota"}),
        _log,
        rounding=Decimal(1) / QUOTA,
    ),
)
