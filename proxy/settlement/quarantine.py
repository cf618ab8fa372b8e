"""What staff do with a request that could not be settled: have it tried again, or give its hold back uncharged."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.requests.four_eyes import objection
from core import states
from proxy.models import Generation
from proxy.settlement import settle

RIGHT = "proxy.handle_quarantined"
State = Generation.State


class QuarantineError(Exception):
    """This cannot be done with this request; the text is for whoever asked."""


def try_again(*, generation_id: str, by: User) -> None:
    """Let the settler take it up again, its failures forgotten. Raises `QuarantineError`."""
    with transaction.atomic():
        generation = _must_be_quarantined(generation_id, by=by)
        states.move(generation, to=State.METERED, error=_not_quarantined, failures=0)


def release(*, generation_id: str, by: User, now: datetime) -> None:
    """Charge nothing and give the hold back; what was used stays on the row, flagged. Raises `QuarantineError`."""
    with transaction.atomic():
        _must_be_quarantined(generation_id, by=by)
        settle.release_quarantined(generation_id, now=now)


def _must_be_quarantined(generation_id: str, *, by: User) -> Generation:
    """Lock it, and look."""
    if not by.has_perm(RIGHT):
        raise QuarantineError(_("Quarantined requests are for finance."))
    generation = Generation.objects.select_for_update(no_key=True).get(pk=generation_id)
    if generation.state != State.QUARANTINED:
        raise _not_quarantined(generation)
    if words := objection(by=by, customer_id=generation.customer_id):
        raise QuarantineError(words)
    return generation


def _not_quarantined(generation: Generation) -> QuarantineError:
    return QuarantineError(_("It is %(state)s, not quarantined.") % {"state": generation.get_state_display()})
