"""What is to be delivered: made of facts, asked for again by hand, and forgotten after a month."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox.kinds import EVENTS, Fact
from billing.outbox.objects import moment
from core import states
from core.crypto import keyed_hash
from core.records import value
from webhooks.endpoints import EndpointError, locked
from webhooks.kinds import TEST
from webhooks.models import Attempt, Delivery, Endpoint

READER = "webhooks"
KEPT = timedelta(days=30)
State = Delivery.State


class NotSent(EndpointError):
    """A delivery that cannot be sent now: its endpoint is off."""


def read(fact: Event) -> None:
    """Write a delivery for each of the customer's endpoints that were there and wanted the fact's event."""
    event = EVENTS[Fact(fact.kind)][0]
    working = Endpoint.objects.working().filter(customer_id=fact.customer_id or 0, events__contains=[event])
    found = list(working.filter(created_at__lte=fact.created_at))
    if found:
        message_id = "evt_" + keyed_hash(str(fact.pk), purpose="webhook-id")[:24]
        body = _body(event, fact.shown or {}, at=fact.created_at)
        rows = [_delivery(endpoint, event, message_id, body, now=fact.created_at) for endpoint in found]
        Delivery.objects.bulk_create(rows)


def send_test(
    endpoint: Endpoint, *, now: datetime, in_transaction: Callable[[Delivery], None] = lambda made: None
) -> Delivery:
    """One post that says nothing, to see whether it arrives; raises `NotSent`."""
    with transaction.atomic():
        _must_be_on(endpoint)
        body = _body(TEST, {"endpoint": endpoint.number}, at=now)
        row = _delivery(endpoint, TEST, "evt_" + get_random_string(24), body, now=now)
        row.is_test = True
        row.save(force_insert=True)
        in_transaction(row)
    return row


def send_again(delivery: Delivery, *, now: datetime) -> None:
    """From the beginning and at once, under the same id; raises `NotSent`. One that waits has its turn now."""
    with transaction.atomic():
        _must_be_on(delivery.endpoint)
        own = Delivery.objects.filter(pk=delivery.pk)
        if not states.move_all(own, to=State.WAITING, send_at=now, attempts=0, claimed_until=None):
            own.filter(state=State.WAITING).update(send_at=now)


def forget(*, now: datetime, limit: int = 2000) -> int:
    """Throw away the oldest of what is over `KEPT` old, and endpoints that were deleted as long ago; return how many
    deliveries.
    """
    old = Delivery.objects.filter(created_at__lt=now - KEPT).exclude(state=State.WAITING).order_by("created_at")
    gone = list(old.values_list("pk", flat=True)[:limit])
    with transaction.atomic():
        Attempt.objects.filter(delivery_id__in=gone).delete()
        count = Delivery.objects.filter(pk__in=gone).delete()[0]
    left = Exists(Delivery.objects.filter(endpoint_id=OuterRef("pk")))
    Endpoint.objects.filter(~left, deleted_at__lt=now - KEPT).delete()
    return count


@value
class Page:
    """Some of an endpoint's deliveries, newest first; `newer` and `older` are ids to go on from, None at an end."""

    rows: list[Delivery]
    newer: int | None
    older: int | None


def page_of(endpoint: Endpoint, *, before: int | None = None, after: int | None = None, limit: int = 20) -> Page:
    """Up to `limit`: older than the id `before`, or newer than `after`, or the newest."""
    tries = Prefetch("tries", queryset=Attempt.objects.order_by("-pk"))
    found = Delivery.objects.filter(endpoint=endpoint).prefetch_related(tries)
    if after is not None:
        rows = list(found.filter(pk__gt=after).order_by("pk")[: limit + 1])
        more, rows = len(rows) > limit, rows[:limit][::-1]
        return Page(rows, rows[0].pk if rows and more else None, rows[-1].pk if rows else None)
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found.order_by("-pk")[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows, rows[0].pk if rows and before is not None else None, rows[-1].pk if rows and more else None)


def _must_be_on(endpoint: Endpoint) -> None:
    row = locked(endpoint.pk)
    if row is None or row.off_at is not None:
        raise NotSent(_("This endpoint is switched off. Switch it on first."))


def _body(event: str, data: Mapping[str, Any], *, at: datetime) -> str:
    return json.dumps({"type": event, "timestamp": moment(at), "data": data}, ensure_ascii=False)


def _delivery(endpoint: Endpoint, event: str, message_id: str, body: str, *, now: datetime) -> Delivery:
    return Delivery(
        endpoint=endpoint,
        number="wd_" + get_random_string(20),
        message_id=message_id,
        event=event,
        body=body,
        send_at=now,
        created_at=now,
    )
