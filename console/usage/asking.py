"""What a reader of usage asks for: days, what of them, and in which groups. What cannot be meant is said in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ApiKey, Customer, Membership
from proxy.models import Generation, Model, UsageDay
from proxy.records.sums import Chosen

State = Generation.State
SHOWN_STATES = (State.HELD, State.METERED, State.SETTLED, State.RELEASED)
MOST_DAYS = 366
PRESETS = {
    "today": gettext_lazy("Today"),
    "7-days": gettext_lazy("7 days"),
    "30-days": gettext_lazy("30 days"),
    "this-month": gettext_lazy("This month"),
    "last-month": gettext_lazy("Last month"),
}
GROUPS = {
    "day": gettext_lazy("Day"),
    "model": gettext_lazy("Model"),
    "key": gettext_lazy("Key"),
    "member": gettext_lazy("Member"),
    "session": gettext_lazy("Session"),
    "requests": gettext_lazy("Requests"),
}
DEFAULT_PRESET, DEFAULT_GROUP = "30-days", "day"


@dataclass(slots=True)
class Asked:
    """What was asked for, and by field what is wrong with it; then `chosen` is what would have been shown without."""

    chosen: Chosen
    preset: str
    by: str
    state: str = ""
    session: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def names_days(self) -> bool:
        return any(self.typed.get(name) for name in ("range", "from", "to", "day"))


def preset_days(name: str, *, today: date) -> tuple[date, date]:
    """The first and the last day of a preset."""
    if name == "this-month":
        return today.replace(day=1), today
    if name == "last-month":
        last = today.replace(day=1) - timedelta(days=1)
        return last.replace(day=1), last
    days = {"today": 1, "7-days": 7}.get(name, 30)
    return today - timedelta(days=days - 1), today


def asked(query: Mapping[str, str], *, customer: Customer, today: date, most_days: int | None = MOST_DAYS) -> Asked:
    """Read an address, of `most_days` at most. `day` alone is that day, as links to one say."""
    typed = {name: text.replace("\0", "").strip() for name, text in query.items()}
    errors: dict[str, str] = {}
    first, last, preset = _days(typed, errors, today=today, most=most_days)
    by = typed.get("by") or ("requests" if typed.get("session") or typed.get("state") else DEFAULT_GROUP)
    if by not in GROUPS:
        errors["by"] = _("There is no such grouping; choose one of those above the table.")
        by = DEFAULT_GROUP
    state = typed.get("state", "")
    if state and state not in SHOWN_STATES:
        errors["state"] = _("There is no such state; choose one of the list.")
        state = ""
    chosen = Chosen(
        first=first,
        last=last,
        model_id=_model(typed.get("model", ""), errors),
        key_id=_key(typed.get("key", ""), errors, customer=customer),
        member_id=_member(typed.get("member", ""), errors, customer=customer),
    )
    return Asked(chosen, preset, by, state, typed.get("session", "")[:200], typed, errors)


def _days(typed: Mapping[str, str], errors: dict[str, str], *, today: date, most: int | None) -> tuple[date, date, str]:
    preset = typed.get("range", "")
    if preset and preset not in PRESETS:
        errors["range"] = _("There is no such range; choose one above, or two days.")
        preset = ""
    fallback = preset_days(preset or DEFAULT_PRESET, today=today)
    if typed.get("day"):
        day = _day(typed["day"], "day", errors)
        return (day, day, "") if day else (*fallback, "")
    if preset or not (typed.get("from") or typed.get("to")):
        return (*fallback, preset or DEFAULT_PRESET)
    last = _day(typed["to"], "to", errors) if typed.get("to") else today
    first = _day(typed["from"], "from", errors) if typed.get("from") else last and last - timedelta(days=29)
    if first is None or last is None:
        return (*fallback, "")
    if first > last:
        errors["from"] = _("The first day is after the last one.")
        return (*fallback, "")
    if most is not None and (last - first).days >= most:
        errors["from"] = _("A page shows %(days)s days at most; the CSV has as many as you like.") % {"days": most}
        return (*fallback, "")
    return first, last, ""


def _day(text: str, name: str, errors: dict[str, str]) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year < 2200:
        errors[name] = _("“%(text)s” is no day; write it as 2026-11-23.") % {"text": text[:40]}
        return None
    return day


def _model(slug: str, errors: dict[str, str]) -> int | None:
    if not slug:
        return None
    found = Model.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        errors["model"] = _("There is no such model; choose one of the list.")
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _key(text: str, errors: dict[str, str], *, customer: Customer) -> int | None:
    if not text:
        return None
    number = _number(text)
    if number is None or not ApiKey.objects.filter(customer=customer, pk=number).exists():
        errors["key"] = _("There is no such key; choose one of the list.")
        return None
    return number


def _member(text: str, errors: dict[str, str], *, customer: Customer) -> int | None:
    if not text:
        return None
    number = _number(text)
    is_known = number == 0 or (
        number is not None
        and (
            Membership.objects.filter(customer=customer, user_id=number).exists()
            or UsageDay.objects.filter(customer=customer, maker_id=number).exists()
        )
    )
    if not is_known:
        errors["member"] = _("There is no such member; choose one of the list.")
        return None
    return number
