"""What there is to do for re-ratings. The work list is their rows; a worker that dies loses nothing."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from proxy.models import Rerate
from proxy.rerating.announcing import announce
from proxy.rerating.counting import count
from proxy.rerating.posting import post

log = logging.getLogger(__name__)

State = Rerate.State
STEPS: Mapping[str, Callable[..., bool]] = {State.COUNTING: count, State.APPROVED: announce, State.POSTING: post}


def step(*, now: datetime) -> bool:
    """Do the next page of the oldest re-rating that has one; False where there is nothing to do.

    One that fails says so on its row, and keeps none behind it waiting.
    """
    for pk, state in Rerate.objects.filter(state__in=STEPS).order_by("pk").values_list("pk", "state"):
        try:
            if STEPS[state](pk, now=now):
                return True
        except Exception as error:
            log.exception("re-rating %s could not go on", pk)
            Rerate.objects.filter(pk=pk).update(problem=f"{type(error).__name__}: {error}"[:300])
    return False
