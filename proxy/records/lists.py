"""A customer's requests as lists and as sums by day; ids are ordered by time, so days are stretches of an index."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate

from accounts.models import Customer
from billing.books.money import ZERO
from proxy.ids import first_id_of
from proxy.models import NET_COST, Generation, Model

UTC_ZONE = ZoneInfo("UTC")
ONE_DAY = timedelta(days=1)
OTHERS = ""
"""The name under which the smaller models of a chart go together."""
MOST_GROUPS = 1_000
"""Sessions that are told apart in one answer: there may be any number."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which requests of a customer to list; None means all. `day` is a day in UTC, as everywhere on the bill."""

    day: date | None = None
    model: str | None = None
    key_id: int | None = None
    state: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the list, newest first, and whether there is more on either side."""

    generations: list[Generation]
    has_newer: bool
    has_older: bool


@dataclass(frozen=True, slots=True)
class Day:
    """What one day cost in USD, by model."""

    day: date
    costs: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        return sum(self.costs.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Spending:
    """The days of a stretch, oldest first, and the models in them, dearest first."""

    days: list[Day]
    models: list[tuple[str, Decimal]]

    @property
    def total(self) -> Decimal:
        return sum((cost for _, cost in self.models), ZERO)

    @property
    def today(self) -> Decimal:
        return self.days[-1].total

    @property
    def week(self) -> Decimal:
        return sum((day.total for day in self.days[-7:]), ZERO)


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
    if filters.day is not None:
        rows = rows.filter(
            pk__gte=first_id_of(_midnight(filters.day)), pk__lt=first_id_of(_midnight(filters.day + ONE_DAY))
        )
    if filters.model is not None:
        rows = rows.filter(model_id__in=list(Model.objects.filter(slug=filters.model).values_list("pk", flat=True)))
    if filters.key_id is not None:
        rows = rows.filter(key_id=filters.key_id)
    if filters.session is not None:
        rows = rows.filter(session=filters.session)
    if filters.state == Generation.State.METERED:
        # To its customer a quarantined one is metered and not yet settled.
        rows = rows.filter(state__in=[Generation.State.METERED, Generation.State.QUARANTINED])
    elif filters.state is not None:
        rows = rows.filter(state=filters.state)
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC_ZONE)


def spending(*, customer: Customer, days: int, now: datetime, most_models: int = 3) -> Spending:
    """What the last `days` days cost (UTC, today included); models beyond the dearest few go together."""
    first = now.astimezone(UTC_ZONE).date() - timedelta(days=days - 1)
    rows = (
        Generation.objects.filter(customer=customer, pk__gte=first_id_of(_midnight(first)), cost__gt=0)
        .annotate(day=TruncDate("created_at", tzinfo=UTC_ZONE))
        .values("day", "model__slug")
        .annotate(net=Sum(NET_COST))
        .filter(net__gt=0)
        .order_by()
    )
    by_model: dict[str, Decimal] = defaultdict(lambda: ZERO)
    found = [(row["day"], row["model__slug"], row["net"]) for row in rows]
    for _day, slug, cost in found:
        by_model[slug] += cost
    dearest = sorted(by_model, key=lambda slug: (-by_model[slug], slug))
    named = dearest[:most_models] if len(dearest) > most_models + 1 else dearest
    costs: dict[date, dict[str, Decimal]] = {first + timedelta(days=n): {} for n in range(days)}
    models: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for day, slug, cost in found:
        name = slug if slug in named else OTHERS
        models[name] += cost
        costs[day][name] = costs[day].get(name, ZERO) + cost
    order = [*named, *([OTHERS] if OTHERS in models else [])]
    return Spending(
        days=[Day(day=day, costs=by_name) for day, by_name in costs.items()],
        models=[(name, models[name]) for name in order],
    )


@dataclass(frozen=True, slots=True)
class Group:
    """What one day, model, key or session came to. `cost` is what was charged and not given back, USD.

    Tokens are those of requests whose usage is known.
    """

    name: str
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal


def grouped(*, customer: Customer, by: str, first: date, last: date) -> list[Group]:
    """A customer's requests of some days (UTC, both included), summed up by `day`, `model`, `key` or `session`.

    Days come newest first, the others dearest first, of sessions the 1,000 dearest. A key goes by its prefix; keys that
    share one stay apart. The session "" are the requests that name none.
    """
    field = {"day": "day", "model": "model__slug", "key": "key__prefix", "session": "session"}[by]
    rows = (
        Generation.objects.filter(
            customer=customer, pk__gte=first_id_of(_midnight(first)), pk__lt=first_id_of(_midnight(last + ONE_DAY))
        )
        .annotate(day=TruncDate("created_at", tzinfo=UTC_ZONE))
        .values_list(field, *(("key_id",) if by == "key" else ()))
        .annotate(
            requests=Count("pk"),
            input=Sum("input_tokens"),
            output=Sum("output_tokens"),
            cached=Sum("cached_tokens"),
            charged=Sum(NET_COST),
        )
        .order_by()
    )
    if by == "session":
        rows = rows.order_by(F("charged").desc(nulls_last=True), field)[:MOST_GROUPS]
    groups = [
        Group("" if name is None else str(name), requests, read, written, cached, charged or ZERO)
        for name, *_key, requests, read, written, cached, charged in rows
    ]
    if by == "day":
        return sorted(groups, key=lambda group: group.name, reverse=True)
    return sorted(groups, key=lambda group: (-group.cost, group.name))
