"""Why a stream is ended that nothing more can be held for: by what is settled with, in words, and of which cap."""

from collections.abc import Mapping
from decimal import Decimal

from accounts.limits.meters import CapReached
from billing.books.money import api_amount
from billing.warnings.spending import BudgetShort
from core.records import value
from proxy.admission.rule import NoMore, TooLittle
from proxy.errors import Refusal, spent
from proxy.models import Generation

Reason = Generation.Reason
STATUS_OF_CAPS = 403


@value
class Ending:
    """`refusal` says it to the caller, with the code that a request would be refused with; `reason` is the same for the
    receipt; `by` is what stands there beside it, of a cap or a budget that is `full`.
    """

    reason: Reason
    refusal: Refusal
    by: Mapping[str, str | None] | None = None
    full: CapReached | BudgetShort | None = None


def ending_of(refused: NoMore, *, needed: Decimal, purse: str) -> Ending:
    """`needed` is what would have done, in USD; `purse` names the budget's hold that it is inside, "" for none."""
    if isinstance(refused, CapReached):
        return _of_cap(refused)
    if refused is TooLittle.BUDGET:
        by, full = {"of": "budget", "id": purse.partition(":")[2]}, BudgetShort(purse, needed)
        return Ending(Reason.BUDGET_EXHAUSTED, spent(is_budget=True), by=by, full=full)
    return Ending(Reason.INSUFFICIENT_BALANCE, spent(is_budget=False))


def _of_cap(cap: CapReached) -> Ending:
    refusal = Refusal(STATUS_OF_CAPS, cap.code, f"A cap has no room for more, so the answer ends here. {cap.message}")
    by = {
        "of": str(cap.whose),
        "id": str(cap.meter_id),
        "period": cap.period.name.lower(),
        "limit": api_amount(cap.limit),
        "charged": api_amount(cap.spent - cap.held),
        "held": api_amount(cap.held),
        "resets_at": None if cap.resets_at is None else f"{cap.resets_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return Ending(Reason(cap.code), refusal, by=by, full=cap)
