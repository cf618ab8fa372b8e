"""A customer's requests as lists; ids are ordered by time, so days are stretches of an index."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Q, QuerySet

from accounts.limits.periods import start_of, zone_of
from accounts.models import Customer
from proxy.ids import first_id_of
from proxy.models import Generation


@dataclass(frozen=True, slots=True)
class Filters:
    """Which requests of a customer to list; None means all. Days are those of its zone on which they were made."""

    first: date | None = None
    last: date | None = None
    model_id: int | None = None
    key_id: int | None = None
    member_id: int | None = None
    state: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the list, newest first, and whether there is more on either side."""

    generations: list[Generation]
    has_newer: bool
    has_older: bool


def page_of(
    *, customer: Customer, filters: Filters, before: str | None = None, after: str | None = None, limit: int = 50
) -> Page:
    """Up to `limit` requests: older than the id `before`, or newer than `after`, or the newest."""
    rows = _matching(customer=customer, filters=filters).select_related("model", "key")
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: limit + 1])
        return Page(generations=found[:limit][::-1], has_newer=len(found) > limit, has_older=True)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: limit + 1])
    return Page(generations=found[:limit], has_newer=before is not None, has_older=len(found) > limit)


def _matching(*, customer: Customer, filters: Filters) -> QuerySet[Generation]:
    rows = Generation.objects.filter(customer=customer)
    zone = zone_of(customer.time_zone)
    if filters.first is not None:
        rows = rows.filter(pk__gte=first_id_of(start_of(filters.first, zone=zone)))
    if filters.last is not None:
        rows = rows.filter(pk__lt=first_id_of(start_of(filters.last + timedelta(days=1), zone=zone)))
    if filters.model_id is not None:
        rows = rows.filter(model_id=filters.model_id)
    if filters.key_id is not None:
        rows = rows.filter(key_id=filters.key_id)
    if filters.member_id is not None:
        member = filters.member_id or None
        rows = rows.filter(Q(maker=member) | Q(charged_on=None, key__created_by=member))
    if filters.session is not None:
        rows = rows.filter(session=filters.session)
    if filters.state == Generation.State.METERED:
        # To its customer a quarantined one is metered and not yet settled.
        rows = rows.filter(state__in=[Generation.State.METERED, Generation.State.QUARANTINED])
    elif filters.state is not None:
        rows = rows.filter(state=filters.state)
    return rows
