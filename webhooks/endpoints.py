"""A customer's endpoints: made, changed, switched off and on, deleted. Owners do that, and read what an error says.

Lock order: the endpoint, then its deliveries.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.customers import language_of
from billing.outbox import events
from billing.outbox.kinds import Fact
from core import states
from core.records import value
from webhooks import places, signing
from webhooks.kinds import EVENTS
from webhooks.models import Delivery, Endpoint

MOST = 10
"""Endpoints an account."""


class EndpointError(Exception):
    """An endpoint that there cannot be; `field` names what is at fault, "" where it is none of them."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


@value
class Made:
    """An endpoint and its secret, which is shown this once."""

    endpoint: Endpoint
    secret: str


def make(
    *,
    customer: Customer,
    url: str,
    wanted: Sequence[str],
    now: datetime,
    description: str = "",
    made_by: User | None = None,
    in_transaction: Callable[[Made], None] = lambda made: None,
) -> Made:
    """Add an endpoint; raises `EndpointError`. Its name is resolved first, outside of any transaction."""
    place, secret = _place(url), signing.new_secret()
    chosen = checked_events(wanted)
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)  # counts one after another
        if Endpoint.objects.of(customer.pk).count() >= MOST:
            words = _("An account has at most %(most)s endpoints. Delete one first.")
            raise EndpointError(words % {"most": MOST})
        endpoint = Endpoint.objects.create(
            customer=customer,
            number="we_" + get_random_string(20),
            url=place,
            events=chosen,
            description=description.strip()[:200],
            secret=secret,
            old_secret="",
            created_by=made_by,
            shown_to=made_by,
            created_at=now,
        )
        made = Made(endpoint, secret)
        in_transaction(made)
    return made


def change(
    endpoint: Endpoint,
    *,
    now: datetime,
    url: str | None = None,
    wanted: Sequence[str] | None = None,
    description: str | None = None,
    active: bool | None = None,
) -> None:
    """Change what is named, and leave the rest; raises `EndpointError`.

    Switched on again it begins anew: what happened meanwhile is not sent. Another address is another machine, which has
    failed at nothing yet.
    """
    values: dict[str, object] = {}
    if url is not None and url != endpoint.url:
        values |= {"url": _place(url), "failing_since": None}
    if wanted is not None:
        values["events"] = checked_events(wanted)
    if description is not None:
        values["description"] = description.strip()[:200]
    with transaction.atomic():
        row = locked(endpoint.pk)
        if row is None:
            raise EndpointError(_("This endpoint is deleted."))
        if active and row.rotate_by is not None and row.rotate_by <= now:
            raise EndpointError(_("Rotate its secret first: somebody who is no owner any more knows it."))
        if active and row.off_at is not None:
            values |= {"off_at": None, "off_why": "", "failing_since": None}
        Endpoint.objects.filter(pk=row.pk).update(**values)
        if active is False and row.off_at is None:
            switch_off(row, why=Endpoint.Off.OWNER, now=now)


def rotate(
    endpoint: Endpoint,
    *,
    now: datetime,
    by: User | None = None,
    in_transaction: Callable[[str], None] = lambda secret: None,
) -> str:
    """A new secret, which is returned this once; the one before signs too, for a day. Nobody who is no owner any more
    knows the new one. Raises `EndpointError`.
    """
    secret = signing.new_secret()
    with transaction.atomic():
        row = locked(endpoint.pk)
        if row is None:
            raise EndpointError(_("This endpoint is deleted."))
        until = now + signing.BOTH_SIGN
        Endpoint.objects.filter(pk=row.pk).update(
            secret=secret,
            old_secret=row.secret,
            old_secret_until=until,
            shown_to=by,
            known_to=None,
            rotate_by=None,
        )
        in_transaction(secret)
    return secret


def secrets_of(endpoint: Endpoint, *, now: datetime) -> list[str]:
    """What signs now, the newest first."""
    both = endpoint.old_secret and endpoint.old_secret_until is not None and endpoint.old_secret_until > now
    return [endpoint.secret, endpoint.old_secret] if both else [endpoint.secret]


def delete(endpoint: Endpoint, *, now: datetime) -> None:
    """Nothing is sent to it any more, and its secrets are gone; staff may look at its deliveries for a while."""
    with transaction.atomic():
        row = locked(endpoint.pk)
        if row is not None:
            Endpoint.objects.filter(pk=row.pk).update(deleted_at=now, secret="", old_secret="", old_secret_until=None)
            _drop_waiting(row)


def end(*, endpoint_id: int, why: str, now: datetime) -> bool:
    """Switch one off by itself, and have its owners told; False if it is off already."""
    with transaction.atomic():
        row = locked(endpoint_id)
        if row is None or row.off_at is not None:
            return False
        switch_off(row, why=why, now=now)
        events.record(
            Fact.WEBHOOK_DISABLED,
            key=f"webhook:{row.pk}:disabled",
            subject=row.number,
            data={"place": row.place, "number": row.number, "why": why, "locale": language_of(row.customer)},
            now=now,
            customer_id=row.customer_id,
            may_come_again=True,
        )
    return True


def switch_off(row: Endpoint, *, why: str, now: datetime) -> None:
    """A locked one; what waits for it is not sent."""
    Endpoint.objects.filter(pk=row.pk).update(off_at=now, off_why=why)
    _drop_waiting(row)


def locked(endpoint_id: int) -> Endpoint | None:
    """The row, locked; None for a deleted one."""
    rows = Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint_id, deleted_at__isnull=True)
    return rows.first()


def checked_events(wanted: Sequence[str]) -> list[str]:
    """Names of events, without doubles, in our order; raises `EndpointError`."""
    if strangers := [name for name in wanted if name not in EVENTS]:
        raise EndpointError(_("There is no event %(name)s.") % {"name": strangers[0][:40]}, field="events")
    if not wanted:
        raise EndpointError(_("Choose at least one event."), field="events")
    return [name for name in EVENTS if name in wanted]


def _drop_waiting(row: Endpoint) -> None:
    waiting = Delivery.objects.filter(endpoint_id=row.pk)
    states.move_all(waiting, to=Delivery.State.DROPPED, send_at=None, claimed_until=None)


def _place(url: str) -> str:
    try:
        return places.check(url)
    except places.PlaceRefused as error:
        raise EndpointError(str(error), field="url") from None
