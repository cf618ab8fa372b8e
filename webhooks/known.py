"""Endpoints whose secret somebody knows who is no owner any more: they are the account's, and work on for some days.

Whoever knows the secret can sign posts of their own, and the address may be theirs. So the owners are told, see it on
the endpoint's page, and rotate the secret; an endpoint whose secret was not rotated in time is switched off.
"""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Membership
from accounts.people.customers import language_of
from accounts.roles import Right, rights_of
from billing.outbox import events
from billing.outbox.kinds import Fact
from webhooks import endpoints
from webhooks.models import Endpoint

KEEPS = timedelta(days=7)
"""How long a secret may be known, as a key of theirs may (`accounts/keys/known.py`)."""


def changed(member: Membership, *, what: str, now: datetime) -> None:
    """What a change of a membership makes of the endpoints whose secret was shown to its person."""
    if what in ("role", "joined", "added") and Right.WEBHOOKS in rights_of(member.role):
        Endpoint.objects.of(member.customer_id).filter(known_to=member.user).update(known_to=None, rotate_by=None)
    elif what in ("role", "left", "removed"):
        _mark(member, now=now)


def _mark(member: Membership, *, now: datetime) -> None:
    by = now + KEEPS
    theirs = Endpoint.objects.of(member.customer_id).filter(shown_to=member.user, rotate_by=None).order_by("pk")
    marked = list(theirs.select_for_update(no_key=True).values_list("pk", flat=True))
    if not marked:
        return
    Endpoint.objects.filter(pk__in=marked).update(known_to=member.user, rotate_by=by)
    events.record(
        Fact.WEBHOOK_KNOWN,
        key=f"webhooks:{member.customer_id}:known:{member.pk}",
        subject=f"webhooks known to {member.pk}",
        data={
            "email": member.user.email,
            "count": len(marked),
            "until": f"{by:%Y-%m-%d %H:%M} UTC",
            "locale": language_of(member.customer),
        },
        now=now,
        customer_id=member.customer_id,
        may_come_again=True,
    )


def end_overdue(*, now: datetime) -> int:
    """Switch those off whose secret was not rotated in time; return how many."""
    overdue = Endpoint.objects.working().filter(rotate_by__lte=now).order_by("pk")
    ended = 0
    for pk in list(overdue.values_list("pk", flat=True)):
        with transaction.atomic():
            row = endpoints.locked(pk)
            if row is not None and row.rotate_by is not None and row.rotate_by <= now:
                ended += endpoints.end(endpoint_id=pk, why=Endpoint.Off.KNOWN, now=now)
    return ended
