"""What staff do with a request that has something to look at, once somebody has."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.requests.four_eyes import objection
from proxy.models import Generation
from proxy.settlement.quarantine import RIGHT

State = Generation.State
OPEN = (State.HELD, State.METERED, State.QUARANTINED)


class FlagError(Exception):
    """The flag stays; the text is for whoever asked."""


def clear(*, generation_id: str, by: User) -> None:
    """Take the flag off a request that has ended; nothing else of it changes. Raises `FlagError`."""
    if not by.has_perm(RIGHT):
        raise FlagError(_("Flagged requests are for finance."))
    with transaction.atomic():
        generation = Generation.objects.select_for_update(no_key=True).get(pk=generation_id)
        if not generation.is_flagged or generation.state in OPEN:
            raise FlagError(_("It has not ended, or there is nothing to look at."))
        if words := objection(by=by, customer_id=generation.customer_id):
            raise FlagError(words)
        Generation.objects.filter(pk=generation_id).update(is_flagged=False)
