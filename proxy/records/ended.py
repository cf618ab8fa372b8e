"""Why an answer was ended that nothing more could be held for, in words: what stood in its way, and what helps."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.amounts import written
from proxy.models import ENDED_EARLY, Generation

Reason = Generation.Reason
PERIODS = {
    "day": gettext_lazy("a day"),
    "week": gettext_lazy("a week"),
    "month": gettext_lazy("a month"),
    "total": gettext_lazy("in all"),
}


def is_ended_early(generation: Generation) -> bool:
    return generation.settlement_reason in ENDED_EARLY


def why_words(generation: Generation) -> str:
    """A sentence or two; "" for an answer that ended otherwise."""
    reason, by = generation.settlement_reason, generation.ended_by
    if reason == Reason.INSUFFICIENT_BALANCE:
        words = _("The balance did not cover more of the answer, so it was ended.")
    elif reason == Reason.BUDGET_EXHAUSTED:
        words = _("The budget that its key spends from was used up, so the answer was ended.")
    elif reason not in ENDED_EARLY:
        return ""
    elif (cap := _cap(by)) is None:
        words = _("A cap left no room for more of the answer, so it was ended.")
    else:
        said = {name: written(Decimal(cap[name]), places=8) for name in ("limit", "charged", "held")}
        said["period"] = str(PERIODS[cap["period"]])
        if cap["of"] == "member":
            words = _("The member who made its key may spend %(limit)s %(period)s with all keys together.") % said
        else:
            words = _("Its key may spend %(limit)s %(period)s.") % said
        held = _(
            "%(charged)s were charged and %(held)s held for requests under way, this one among them. There was no room"
            " for more of the answer, so it was ended."
        )
        words += f" {held % said}"
    return words + " " + _("What it wrote is charged.")


def advice_words(generation: Generation) -> str:
    """What helps; "" for an answer that ended otherwise."""
    reason, by = generation.settlement_reason, generation.ended_by
    if reason == Reason.INSUFFICIENT_BALANCE:
        return _("Top up, and ask again for the rest.")
    if reason == Reason.BUDGET_EXHAUSTED:
        return _("Make another budget, and ask again for the rest with its key.")
    if reason not in ENDED_EARLY:
        return ""
    if reason == Reason.MEMBER_LIMIT:
        words = _("An owner may raise the member's cap.")
    else:
        words = _("Raise the key's cap, and ask again for the rest.")
    cap = _cap(by)
    resets = None if cap is None else cap["resets_at"]
    return words if resets is None else words + " " + _("It begins anew on %(at)s.") % {"at": _moment(resets)}


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def _cap(by: Any) -> Mapping[str, Any] | None:
    """What `proxy.relay.answers.ending` wrote of a cap; None where it wrote nothing, or of something else."""
    return by if isinstance(by, Mapping) and by.get("period") in PERIODS else None
