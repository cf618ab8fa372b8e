"""OpenRouter: the activity page's CSV, a line a request, or a line a day and model. Credits are USD, times are UTC.

Its counts of tokens are normalised or native by the page that they come from, so none is compared.
"""

from proxy.bills.formats.base import Format
from proxy.bills.lines import BadCell, BillLine, Cells

USUAL = ("", "standard")


def _requests(cells: Cells) -> BillLine:
    request_id = cells.text("generation_id")
    if not request_id:
        raise BadCell("generation_id is empty")
    variant = cells.text("variant").lower()
    model = cells.text("model_permaslug", "model")
    return BillLine(
        cells.number,
        cells.day("created_at"),
        model=model if variant in USUAL or model.endswith(f":{variant}") else f"{model}:{variant}",
        request_id=request_id,
        amount=cells.required("cost_total"),
    )


def _days(cells: Cells) -> BillLine:
    return BillLine(
        cells.number,
        cells.day("date"),
        model=cells.text("slug"),
        amount=cells.required("usage"),
        requests=cells.count("requests"),
    )


FORMATS = (
    Format("openrouter", "OpenRouter, requests", frozenset({"generation_id", "created_at", "cost_total"}), _requests),
    Format("openrouter-days", "OpenRouter, days", frozenset({"date", "slug", "usage"}), _days),
)
