"""What a charge that is given back leaves behind: its request's net cost, and the spend of its key. And the charge of
an answer that never left, which the house bears.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.limits.correcting import MeterChange, correct
from billing.books import reversals
from billing.books.money import ZERO
from proxy.models import Generation
from proxy.purchases import margin
from proxy.rerating.reading import moved
from proxy.settlement import counting, settle

State = Generation.State


def corrections(generation_id: str) -> dict[str, Decimal]:
    """What re-ratings took of each balance after a request's charge, USD, below zero where they gave back."""
    generation = Generation.objects.filter(pk=generation_id, corrected_cost__isnull=False).first()
    return {} if generation is None else dict(moved(generation.model_id, [generation_id])[generation_id])


@contextmanager
def netted(generation_id: str) -> Iterator[None]:
    """Lock the request before its wallet; once its charge is back, take it off its key's spend and its own cost.

    Of the key's periods the one that it was counted in, if that still runs, and the total.
    """
    generation = Generation.objects.select_for_update(no_key=True).filter(pk=generation_id).first()
    yield
    if generation is None or generation.state != State.SETTLED or not generation.net_cost:
        return
    now = reversals.posted_at(generation_id)
    correct([MeterChange(generation.key_id, generation.counted_day, -generation.net_cost, -generation.net_cost)])
    counting.correct({generation_id: -generation.net_cost}, now=now)
    Generation.objects.filter(pk=generation_id).update(corrected_cost=ZERO)
    bonus = -reversals.left_of(generation_id).get("bonus", ZERO)
    margin.correct({generation_id: -generation.net_cost}, bonus={generation_id: bonus}, now=now)


def bear(generation_id: str, *, now: datetime, refused: str = "") -> None:
    """Let the house bear a request whose caller got no answer, flagged, whatever has become of its charge by now.

    Where the database refused its usage the hold is given back, `refused` saying why the request ended. Doing it again
    changes nothing.
    """
    with transaction.atomic():
        generation = Generation.objects.select_for_update(no_key=True).filter(pk=generation_id).first()
        if generation is None or (generation.state == State.HELD and not refused):
            return
        if generation.state == State.HELD:
            settle.release([generation_id], reason=refused, now=now)
        elif generation.state in (State.METERED, State.QUARANTINED):
            Generation.objects.filter(pk=generation_id).update(cost=ZERO)
        elif generation.net_cost:
            reversals.reverse(generation_id=generation_id, now=now)
        Generation.objects.filter(pk=generation_id).update(is_flagged=True)
