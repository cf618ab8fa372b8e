"""What two of finance do together: a proposal's row is decided once, by somebody who may."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.models.proposals import Proposal
from core import states

Row = TypeVar("Row", bound=Proposal)


class ProposalError(Exception):
    """What cannot be proposed or decided like this; `field` is at fault, the text is for whoever asked."""

    def __init__(self, message: str, *, field: str = "amount") -> None:
        super().__init__(message)
        self.field = field


@contextmanager
def undecided(model: type[Row], pk: int, *, error: type[ProposalError]) -> Iterator[Row]:
    """A transaction with the proposal's row locked; raises `error` if it is decided already."""
    with transaction.atomic():
        proposal: Row = model._default_manager.select_for_update(no_key=True).get(pk=pk)
        if proposal.state != Proposal.State.PROPOSED:
            raise error(_already(proposal), field="state")
        yield proposal


def decide(proposal: Proposal, state: str, *, by: User, now: datetime, why: str = "") -> None:
    """Write who decided, and why not; raises `ProposalError` if it is decided already."""
    states.move(
        proposal,
        to=state,
        error=lambda row: ProposalError(_already(row), field="state"),
        decided_by=by,
        decided_at=now,
        decision=why[:500],
    )


def _already(proposal: Proposal) -> str:
    return _("It is %(state)s already.") % {"state": proposal.get_state_display()}


def given(text: str, *, field: str, error: type[ProposalError], most: int = 500) -> str:
    """A text that may not be left out."""
    if not text.strip():
        raise error(_("Say why.") if field != "reference" else _("Name the paper it rests on."), field=field)
    return text.strip()[:most]
