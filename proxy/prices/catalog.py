"""The catalog as a gateway process sees it: a frozen snapshot, exchanged whole when the catalog changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Min, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Coalesce, Now

from accounts.keys.wildcards import names_of
from proxy.models import SPOKEN, Kind, Model, Price, Route, Upstream
from proxy.prices.versions import PriceVersion


@dataclass(frozen=True, slots=True)
class Destination:
    """A model on an upstream. Timeouts in seconds: to the first byte and between bytes, and in all.

    `limit_field` is empty where the model's name decides it.
    """

    model: str
    upstream_id: int
    upstream: str
    protocol: str
    base_url: str
    api_key: str
    upstream_model: str
    timeout: float
    total_timeout: float
    kind: str = Kind.OPENAI
    account: str = ""
    priority: int = 1
    max_concurrency: int | None = None
    """Requests at once, of all gateways together."""
    bills_abandoned: bool = True
    limit_field: str = ""
    ask_usage: bool = True
    paths: frozenset[str] = frozenset()
    """What it has of its protocol, by the catalog's names; empty: all."""
    is_renamed: bool = field(init=False)
    """Whether its upstream has another name for the model than the catalog, with or without its provider's."""

    def __post_init__(self) -> None:
        own = (self.model, self.model.partition("/")[2])
        object.__setattr__(self, "is_renamed", self.upstream_model not in own)

    def has(self, path: str) -> bool:
        """Whether it can be asked at a path by that name; one without a name cannot be left out."""
        return not self.paths or not path or path in self.paths


@dataclass(frozen=True, slots=True)
class Entry:
    """A model on offer, at its newest price, with where it goes, first choice first."""

    id: int
    slug: str
    price: PriceVersion
    destinations: Sequence[Destination]
    max_output_tokens: int | None
    context_window: int | None
    max_tool_calls: int = 0
    """Of tools that run at the provider, in one request."""
    deprecated_on: date | None = None
    """Since when its provider advises against it."""
    retired_on: date | None = None
    """From when on its provider does not serve it."""
    spoken: frozenset[str] = field(init=False)
    """The protocols of its destinations."""
    names: frozenset[str] = field(init=False)
    """Its id and its bare name: how a key allows it."""
    ways: dict[Any, Any] = field(init=False, compare=False, repr=False)
    """What an endpoint has found out about its destinations, by endpoint."""
    _by_factor: dict[Decimal, "Entry"] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_factor", {})
        object.__setattr__(self, "ways", {})
        object.__setattr__(self, "names", names_of(self.slug))
        object.__setattr__(self, "spoken", frozenset(destination.protocol for destination in self.destinations))

    def at(self, factor: Decimal) -> "Entry":
        """The same for a customer whose group pays this factor of the price."""
        if factor == 1:
            return self
        if (found := self._by_factor.get(factor)) is None:
            found = self._by_factor[factor] = replace(self, price=self.price.times(factor))
        return found

    @property
    def is_free(self) -> bool:
        return not any(rate for level in self.price.worst for rate in level.rates.values())


@dataclass(frozen=True, slots=True)
class Catalog:
    """Models by id and by unambiguous bare name, as of `version`."""

    version: int
    models: Mapping[str, Entry]
    free: frozenset[str] = frozenset()
    """Names of models that cost nothing."""
    next_price_at: datetime | None = None
    """When a scheduled price begins to apply, so that this is to be read again."""

    def find(self, name: str) -> Entry | None:
        return self.models.get(name)

    def at_account(self, account: str) -> Sequence[Destination]:
        """Where a request may go that one account alone can answer, about no model."""
        found = {
            destination.upstream_id: destination
            for entry in self.models.values()
            for destination in entry.destinations
            if destination.account == account
        }
        return tuple(found.values())


def read_version() -> int:
    """The catalog's version, moved by triggers on its tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM proxy_catalog_version")
        return int(cursor.fetchone()[0])


def is_stale(catalog: Catalog) -> bool:
    """Whether the catalog has changed since, or the date of a scheduled price has passed by PostgreSQL's clock."""
    with connection.cursor() as cursor:
        sql = "SELECT number, coalesce(clock_timestamp() >= %s::timestamptz, false) FROM proxy_catalog_version"
        cursor.execute(sql, [catalog.next_price_at])
        number, is_due = cursor.fetchone()
    return bool(is_due or number != catalog.version)


def prices_in_force() -> "Subquery":
    """For a queryset of models: the id of the price of each that applies now, by PostgreSQL's clock."""
    due = Price.objects.filter(Q(applies_from=None) | Q(applies_from__lte=Now()), model=OuterRef("pk"))
    return Subquery(due.order_by(Coalesce("applies_from", "created_at").desc(), "-version").values("pk")[:1])


def load() -> Catalog:
    """Read the whole catalog. Version and date are read first: what changes meanwhile is seen by the next look."""
    version = read_version()
    next_price_at = Price.objects.filter(applies_from__gt=Now()).aggregate(at=Min("applies_from"))["at"]
    routes = Route.objects.filter(upstream__is_active=True, upstream__protocol__in=SPOKEN).select_related("upstream")
    routes = routes.order_by("upstream__priority", "upstream__id")
    models = list(
        Model.objects.filter(is_active=True)
        .annotate(price_id=prices_in_force())
        .prefetch_related(Prefetch("routes", queryset=routes))
    )
    prices = Price.objects.in_bulk([model.price_id for model in models if model.price_id])  # type: ignore[attr-defined]
    found: dict[str, Entry] = {}
    bare: dict[str, list[Entry]] = {}
    for model in models:
        price = prices.get(model.price_id)  # type: ignore[attr-defined]
        if price is None:
            continue
        entry = Entry(
            id=model.pk,
            slug=model.slug,
            price=PriceVersion.from_row(price),
            destinations=tuple(_destination(route, model.slug) for route in model.routes.all()),
            max_output_tokens=model.max_output_tokens,
            context_window=model.context_window,
            max_tool_calls=model.max_tool_calls,
            deprecated_on=model.deprecated_on,
            retired_on=model.retired_on,
        )
        found[model.slug] = entry
        bare.setdefault(model.slug.partition("/")[2], []).append(entry)
    aliases = {name: entries[0] for name, entries in bare.items() if len(entries) == 1}
    free = frozenset[str]().union(*(entry.names for entry in found.values() if entry.is_free))
    return Catalog(version=version, models={**aliases, **found}, free=free, next_price_at=next_price_at)


def without_price() -> list[str]:
    """Models that are to be on offer and are not, as no price of theirs applies; at most a hundred, by name."""
    unpriced = Model.objects.filter(is_active=True).annotate(price_id=prices_in_force()).filter(price_id=None)
    return list(unpriced.order_by("slug").values_list("slug", flat=True)[:100])


def _destination(route: Route, model: str) -> Destination:
    found = destination_at(route.upstream, model=model, upstream_model=route.upstream_model)
    return replace(found, limit_field=route.limit_field, ask_usage=route.ask_usage)


def destination_at(upstream: Upstream, *, model: str, upstream_model: str) -> Destination:
    return Destination(
        model=model,
        upstream_id=upstream.pk,
        upstream=upstream.name,
        protocol=upstream.protocol,
        base_url=upstream.base_url.rstrip("/"),
        api_key=upstream.api_key,
        upstream_model=upstream_model,
        timeout=float(upstream.timeout_seconds),
        total_timeout=float(upstream.total_timeout_seconds),
        kind=upstream.kind or upstream.protocol,
        account=upstream.account or upstream.name,
        priority=upstream.priority,
        max_concurrency=upstream.max_concurrency,
        bills_abandoned=upstream.bills_abandoned,
        paths=frozenset(upstream.paths),
    )
