"""What is still open in a month that finance is about to lock: each app adds what it knows, as it does to the desk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _

from billing.models import AdjustmentProposal, ClosedDay, JournalEntry, Transfer
from billing.months.journal import start_of
from billing.months.periods import next_month, start_of_day


@dataclass(frozen=True, slots=True)
class Open:
    """What waits, how much of it, and whose list shows it: `app.model`, and the filter of that list."""

    label: str
    count: int
    model: str
    filter: str = ""


Look = Callable[[date], Iterable[Open]]
"""Given the first day after the month: what is open up to it. A lock takes in all months before."""
_looks: dict[str, Look] = {}


def register(name: str, look: Look) -> None:
    """Add what an app knows; the same name again replaces it."""
    _looks[name] = look


def still_open(month: date) -> list[Open]:
    """What is open in the month that begins on that day, and before; nothing where nothing is."""
    after = next_month(month.replace(day=1))
    return [found for look in _looks.values() for found in look(after) if found.count]


def of_the_books(after: date) -> Iterable[Open]:
    """Proposals that nobody has decided, and days whose totals are not stored yet."""
    proposed = JournalEntry.objects.filter(state=JournalEntry.State.PROPOSED, about__lt=after)
    yield Open(_("Journal entries to decide"), proposed.count(), "billing.journalentry", "state__exact=proposed")
    waiting = AdjustmentProposal.objects.filter(state="proposed", proposed_at__lt=start_of_day(after))
    yield Open(_("Adjustments to decide"), waiting.count(), "billing.adjustmentproposal", "queue=proposed")
    yield Open(_("Days that are not closed"), _days_to_close(after), "billing.accountday")


def _days_to_close(after: date) -> int:
    last = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    if last is None:
        first = Transfer.objects.filter(created_at__lt=start_of(after)).order_by("pk").first()
        return (after - first.created_at.date()).days if first is not None else 0
    return max((after - last).days - 1, 0)
