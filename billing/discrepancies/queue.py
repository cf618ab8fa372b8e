"""The queue of what statements and books do not agree on. Nothing posts by itself; finance explains or resolves it.

Whoever compares hands in all that differs on one source's day. What was there and differs no more is cured.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from billing.discrepancies import sources
from billing.models import Discrepancy
from core import states

FINANCE = "payments.handle_discrepancies"
"""The right to explain one, or to resolve it with an entry."""
State = Discrepancy.State


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not fit, before it is a row. `key` is the source's row or our number; `theirs` and `ours`
    are in `currency`, at 3 places.
    """

    kind: Discrepancy.Kind
    key: str
    currency: str
    theirs: Decimal | None = None
    ours: Decimal | None = None
    detail: str = ""


@dataclass(slots=True)
class Queued:
    """What of a source's day waits for staff, and how many have been cured."""

    open: list[Discrepancy] = field(default_factory=list)
    cured: int = 0


def put(found: Iterable[Difference], *, source: str, day: date, now: datetime, about: str = "") -> Queued:
    """Write what is new of a source's day, leave what staff have explained, close what is cured.

    With `about` that is done with those alone whose key begins so, as all that are handed in do.
    Other amounts than were explained are open again. Doing a day again changes nothing that was right. Raises
    `LookupError` for a source that nobody registered.
    """
    sources.get(source)
    queued = Queued()
    with transaction.atomic():
        rows = Discrepancy.objects.filter(provider=source, day=day, key__startswith=about)
        there = {(row.kind, row.key): row for row in rows}
        for difference in found:
            values = {
                "theirs": difference.theirs,
                "ours": difference.ours,
                "currency": difference.currency[:3],
                "detail": difference.detail[:300],
            }
            row = there.pop((difference.kind, difference.key), None)
            if row is None:
                row = Discrepancy.objects.create(
                    provider=source, day=day, kind=difference.kind, key=difference.key, found_at=now, **values
                )
            elif row.state == State.CURED or (row.theirs, row.ours) != (difference.theirs, difference.ours):
                states.move_all(Discrepancy.objects.filter(pk=row.pk), to=State.OPEN, found_at=now, **values)
                row.refresh_from_db()
            if row.state == State.OPEN:
                queued.open.append(row)
        cured = [row.pk for row in there.values() if row.state == State.OPEN]
        queued.cured = states.move_all(Discrepancy.objects.filter(pk__in=cured), to=State.CURED, decided_at=now)
    return queued


def waiting(*, source: str = "") -> QuerySet[Discrepancy]:
    """What is open, of one source or of all."""
    found = Discrepancy.objects.filter(state=State.OPEN)
    return found.filter(provider=source) if source else found


def explain(*, discrepancy_id: int, note: str, by_id: int, now: datetime) -> bool:
    """Staff close one with a note; False if it was closed meanwhile."""
    chosen = Discrepancy.objects.filter(pk=discrepancy_id)
    decided = {"note": note.strip()[:500], "decided_by_id": by_id, "decided_at": now}
    return bool(states.move_all(chosen, to=State.EXPLAINED, **decided))
