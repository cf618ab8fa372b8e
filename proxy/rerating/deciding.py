"""Re-ratings are proposed by one of finance and approved by another, who sees the difference by customer first."""

from datetime import UTC, date, datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Membership, User
from billing.requests.four_eyes import objection
from billing.requests.proposals import ProposalError, decide, given, undecided
from proxy.models import Model, Price, Rerate, RerateShare, Upstream
from proxy.rerating.reading import ids_of
from proxy.rerating.rows import save

FINANCE = "proxy.rerate_requests"
State = Rerate.State
OPEN = (State.COUNTING, State.PROPOSED, State.APPROVED, State.POSTING)


class RerateError(ProposalError):
    """A re-rating that cannot be proposed or decided like this; the text is for whoever asked."""


def propose(
    *,
    model: Model,
    first_day: date,
    last_day: date,
    price: Price,
    reason: str,
    by: User,
    now: datetime,
    upstream: Upstream | None = None,
    held_at: Price | None = None,
    upwards: bool = False,
) -> Rerate:
    """Choose requests and the version that they should have been priced by; a worker counts the difference.

    Days are in UTC, both included. Requests that were settled after `now` are left out. Raises `RerateError`.
    """
    _must_be_allowed(by)
    if price.model_id != model.pk:
        raise RerateError(_("This version is of another model."), field="price")
    if held_at is not None and held_at.model_id != model.pk:
        raise RerateError(_("This version is of another model."), field="held_at")
    if held_at is not None and held_at.pk == price.pk:
        raise RerateError(_("They were held at this very version."), field="price")
    if last_day < first_day:
        raise RerateError(_("The last day is before the first."), field="last_day")
    if first_day > now.astimezone(UTC).date():
        raise RerateError(_("These days are still to come."), field="first_day")
    if upwards and not settings.RERATE_UPWARDS:
        raise RerateError(_("What was charged too little stays: RERATE_UPWARDS is off."), field="upwards")
    first_id, end_id = ids_of(first_day, last_day)
    with transaction.atomic():
        Model.objects.select_for_update(no_key=True).get(pk=model.pk)
        beside = Rerate.objects.filter(model=model, state__in=OPEN, first_id__lt=end_id, end_id__gt=first_id).first()
        if beside is not None:
            words = _("Re-rating %(number)s is about some of these days, and is still open.")
            raise RerateError(words % {"number": beside.pk}, field="first_day")
        return Rerate.objects.create(
            model=model,
            first_day=first_day,
            last_day=last_day,
            upstream=upstream,
            held_at=held_at,
            price=price,
            upwards=upwards,
            first_id=first_id,
            end_id=end_id,
            cursor=first_id,
            settled_by=now,
            reason=given(reason, field="reason", error=RerateError),
            proposed_by=by,
            proposed_at=now,
        )


def approve(*, proposal_id: int, by: User, now: datetime) -> Rerate:
    """Let a worker post what another proposed, 7 days after it is announced if it takes something. Raises
    `RerateError`.
    """
    with undecided(Rerate, proposal_id, error=RerateError) as rerate:
        _must_be_allowed(by, proposed_by_id=rerate.proposed_by_id)
        if rerate.upwards and not settings.RERATE_UPWARDS:
            raise RerateError(_("What was charged too little stays: RERATE_UPWARDS is off."), field="state")
        _must_not_be_theirs(rerate, by)
        decide(rerate, State.APPROVED, by=by, now=now)
    return rerate


def refuse(*, proposal_id: int, why: str, by: User, now: datetime) -> Rerate:
    """Close a re-rating that has not begun to post; whoever proposed it may take it back so. Raises `RerateError`."""
    why = given(why, field="why", error=RerateError)
    _must_be_allowed(by)
    with transaction.atomic():
        rerate = Rerate.objects.select_for_update(no_key=True).get(pk=proposal_id)
        if not Rerate.MACHINE.allows(rerate.state, State.REFUSED):
            words = _("It is %(state)s already.") % {"state": rerate.get_state_display()}
            raise RerateError(words, field="state")
        decide(rerate, State.REFUSED, by=by, now=now, why=why)
        save(rerate)
    return rerate


def _must_be_allowed(by: User, *, proposed_by_id: int | None = None) -> None:
    if not by.has_perm(FINANCE):
        raise RerateError(_("Re-ratings are for finance."), field="state")
    if words := objection(by=by, customer_id=None, proposed_by_id=proposed_by_id):
        raise RerateError(words, field="state")


def _must_not_be_theirs(rerate: Rerate, by: User) -> None:
    shares = RerateShare.objects.filter(rerate=rerate).values("customer_id")
    theirs = Membership.objects.filter(customer_id__in=shares, user_id__in=[by.pk, rerate.proposed_by_id])
    own = theirs.select_related("user", "customer").first()
    if own is not None:
        words = _("%(who)s belongs to %(customer)s, whose requests are among these: two others have to decide.")
        raise RerateError(words % {"who": own.user, "customer": own.customer}, field="state")
