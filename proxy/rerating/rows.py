"""A re-rating's own row: taken by one worker at a time, and moved on in the transaction of what it did."""

from typing import Any

from proxy.models import Rerate


def locked(rerate_id: int, state: str) -> Rerate | None:
    """The row, locked, if it is in that state and no other worker has it."""
    rows = Rerate.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
    return rows.filter(pk=rerate_id, state=state).first()


def save(rerate: Rerate, **fields: Any) -> None:
    """Write how far a locked re-rating came; nothing keeps it from going on any more."""
    Rerate.objects.filter(pk=rerate.pk).update(problem="", **fields)
