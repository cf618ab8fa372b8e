"""A discrepancy that a journal entry resolves: they are proposed together, and closed together when it is posted.

Lock order: the entry, then the discrepancy.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils.translation import gettext as _

from accounts.models import User
from billing.books import entries
from billing.books.entries import EntryError
from billing.books.money import step_of
from billing.discrepancies import sources
from billing.discrepancies.queue import FINANCE
from billing.models import Discrepancy, JournalEntry
from billing.signals import entry_posted, entry_refused
from core import states

State = Discrepancy.State


def suggestion(row: Discrepancy) -> dict[str, Any]:
    """What the form begins with: the difference on the source's account, less what an entry has put there for it
    before it changed, and the day and name of the row.
    """
    difference = (row.theirs or Decimal(0)) - (row.ours or Decimal(0))
    account = sources.get(row.provider).account(row)
    values = {"about": row.day, "reference": f"{row.provider} {row.key}"[:120], "reason": row.detail}
    if row.entry is not None and row.entry.state == JournalEntry.State.POSTED:
        sides = {row.entry.debit.name: row.entry.amount, row.entry.credit.name: -row.entry.amount}
        difference -= sides.get(account, Decimal(0))
    if not difference or not account:
        return values
    amount = abs(difference).quantize(step_of(row.currency))
    return values | {"debit" if difference > 0 else "credit": account, "amount": f"{amount:f}"}


def propose(
    *,
    discrepancy_id: int,
    debit: str,
    credit: str,
    amount: Decimal | str,
    about: date,
    reference: str,
    reason: str,
    by: User,
    now: datetime,
) -> JournalEntry:
    """Propose the entry that resolves an open discrepancy. Raises `EntryError`."""
    if not by.has_perm(FINANCE):
        raise EntryError(_("Discrepancies are for finance."), field="state")
    with transaction.atomic():
        row = Discrepancy.objects.select_for_update(no_key=True).get(pk=discrepancy_id)
        if row.state != State.OPEN:
            raise EntryError(_("It was closed meanwhile."), field="state")
        if row.entry is not None and row.entry.state == JournalEntry.State.PROPOSED:
            raise EntryError(_("An entry is proposed already: %(entry)s.") % {"entry": row.entry}, field="state")
        entry = entries.propose(
            debit=debit,
            credit=credit,
            amount=amount,
            about=about,
            reference=reference,
            reason=reason,
            by=by,
            now=now,
        )
        Discrepancy.objects.filter(pk=row.pk).update(entry=entry, entry_found_at=row.found_at)
    return entry


@receiver(entry_posted)
def resolve(sender: Any, *, entry: JournalEntry, by: User, now: datetime, **_kwargs: Any) -> None:
    """Close what the entry was proposed for; one that was closed or changed meanwhile refuses the entry."""
    row = Discrepancy.objects.select_for_update(no_key=True).filter(entry=entry).first()
    if row is None:
        return
    if row.state != State.OPEN or row.found_at != row.entry_found_at:
        raise _has_changed(row)
    note = f"{entry}: {entry.reason}"[:500]
    states.move(row, to=State.RESOLVED, error=_has_changed, note=note, decided_by=by, decided_at=now)


def _has_changed(row: Discrepancy) -> EntryError:
    words = _("%(row)s was closed or has changed since this entry was proposed: refuse it, and look again.")
    return EntryError(words % {"row": row}, field="state")


@receiver(entry_refused)
def forget(sender: Any, *, entry: JournalEntry, **_kwargs: Any) -> None:
    """A discrepancy whose entry was refused waits for another."""
    Discrepancy.objects.filter(entry=entry).update(entry=None, entry_found_at=None)
