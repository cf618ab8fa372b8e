"""What becomes of a request: held, metered, then settled or released."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.states import Machine


class State(models.TextChoices):
    HELD = "held", _("held")
    METERED = "metered", _("metered")
    SETTLED = "settled", _("settled")
    RELEASED = "released", _("released")
    QUARANTINED = "quarantined", _("quarantined")


GENERATION = Machine(
    "generation",
    State,
    starts=(State.HELD,),
    ends=(State.SETTLED, State.RELEASED),
    moves={
        State.METERED: (State.HELD, State.QUARANTINED),
        State.SETTLED: (State.METERED,),
        # One that is metered and cost nothing gives its hold back.
        State.RELEASED: (State.HELD, State.METERED, State.QUARANTINED),
        State.QUARANTINED: (State.METERED,),
    },
)
