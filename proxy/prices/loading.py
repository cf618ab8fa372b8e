"""Write a catalog from plain data. A changed price becomes a new version; the old one stays for what it was held at."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from yarl import URL

from accounts.models import User
from core.addresses import is_literal, is_public
from core.clock import database_now
from proxy.models import PATHS, SPOKEN, Currency, Kind, Model, Price, Protocol, PurchasePrice, Route, Upstream
from proxy.models.prices import Version
from proxy.prices.units import CACHE_WRITE
from proxy.prices.written import InvalidCatalog, price_columns

UPSTREAM_FIELDS = {"name", "protocol", "base_url", "api_key", "api_key_env", "priority", "timeout_seconds"}
UPSTREAM_FIELDS |= {
    "total_timeout_seconds",
    "kind",
    "account",
    "bills_abandoned",
    "currency",
    "paths",
    "max_concurrency",
}
MODEL_FIELDS = {"id", "name", "description", "upstreams", "upstream_model", "max_output_tokens", "context_window"}
MODEL_FIELDS |= {"price", "max_tool_calls"}
ROUTE_FIELDS = {"name", "upstream_model", "limit_field", "ask_usage", "cost"}
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,60}")
RATES = ("billing", "rates", "tiers", "more")
COSTS = (*RATES, "margin")
"""The columns that make two versions differ."""
PAID = ("billing", "rates", "tiers", "more", "currency")
AT_LIST: dict[str, Any] = {
    "billing": Price.Billing.PER_TOKEN,
    "rates": {},
    "tiers": [],
    "more": None,
    "applies_from": None,
}
"""The columns of a purchase price that follows the model's own."""
FIRST = datetime.min.replace(tzinfo=UTC)
LARGEST = 2_147_483_647
MOST_TOOL_CALLS = 1_000
V = TypeVar("V", bound=Version)


@transaction.atomic
def load_catalog(data: Any, *, is_listed: bool = False) -> str:
    """Load `{"upstreams": [...], "models": [...]}`, all or nothing; return a summary.

    The form is in docs/operating.md, "Models and prices". Upstreams and models that the data does not name are left
    alone. With `is_listed` its models follow the list's prices of them. Raises `InvalidCatalog`.
    """
    if not isinstance(data, Mapping) or not set(data) <= {"upstreams", "models"}:
        raise InvalidCatalog("a catalog has the parts `upstreams` and `models`")
    upstreams = {item["name"]: item for item in map(_upstream, _items(data, "upstreams"))}
    for fields in upstreams.values():
        _write_upstream(fields)
    known = {upstream.name: upstream for upstream in Upstream.objects.all()}
    new_prices = sum(_load_model(item, known, is_listed=is_listed) for item in _items(data, "models"))
    summary = f"{len(upstreams)} upstreams, {len(_items(data, 'models'))} models, {new_prices} new prices"
    unwritten = _without_cache_writes([item["id"] for item in _items(data, "models")])
    more = f"\nno `{CACHE_WRITE}`, so a write to a cache costs plain input: {', '.join(unwritten)}" if unwritten else ""
    return summary + more


def _without_cache_writes(slugs: list[str]) -> list[str]:
    """Those models that are served in a protocol whose callers mark what to cache, at a price that does not tell it."""
    marked = Model.objects.filter(slug__in=slugs, routes__upstream__protocol=Protocol.ANTHROPIC).distinct()
    return [model.slug for model in marked.order_by("slug") if not _has_rate(model, CACHE_WRITE)]


def _has_rate(model: Model, name: str) -> bool:
    price = in_force(model.prices.all(), at=database_now())
    return price is None or name in price.rates


def _items(data: Mapping[str, Any], part: str) -> list[Any]:
    items = data.get(part) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidCatalog(f"`{part}` must be a list of mappings")
    return items


def _write_upstream(fields: dict[str, Any]) -> None:
    """A key that is not named stays, but never goes to another host."""
    stored = Upstream.objects.select_for_update(no_key=True).filter(name=fields["name"]).first()
    if "api_key" not in fields and stored is not None and asks_for_key(stored, base_url=fields["base_url"]):
        raise InvalidCatalog(f"upstream {stored.name!r}: `base_url` names another host, so name the `api_key` for it")
    Upstream.objects.update_or_create(name=fields["name"], defaults=fields)


def asks_for_key(stored: Upstream, *, base_url: str) -> bool:
    """Whether a stored key would go elsewhere than to the scheme, host and port it was entered for."""
    return bool(stored.api_key) and _origin(stored.base_url) != _origin(base_url)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = URL(url)
    return parts.scheme, (parts.raw_host or "").rstrip(".").lower(), parts.port


def _upstream(item: dict[str, Any]) -> dict[str, Any]:
    name = item.get("name")
    where = f"upstream {name!r}"
    _only(item, UPSTREAM_FIELDS, where)
    if not isinstance(name, str) or not name:
        raise InvalidCatalog("an upstream needs a `name`")
    protocol, kind, account = item.get("protocol"), item.get("kind", ""), item.get("account", "")
    check_protocol(protocol, kind, where)
    if not isinstance(account, str) or ("account" in item and not SLUG.fullmatch(account)):
        raise InvalidCatalog(f"{where}: `account` is a short name of letters, digits, - and _")
    currency = item.get("currency", Currency.USD)
    if currency not in Currency.values:
        raise InvalidCatalog(f"{where}: `currency` must be one of {', '.join(Currency.values)}")
    key = item.get("api_key")
    if "api_key_env" in item:
        key = os.environ.get(item["api_key_env"], "")
        if not key:
            raise InvalidCatalog(f"{where}: the environment has no {item['api_key_env']}")
    timeout, total = item.get("timeout_seconds", 120), item.get("total_timeout_seconds", 3600)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (timeout, total, item.get("priority", 1))):
        raise InvalidCatalog(f"{where}: priority and timeouts are whole numbers")
    if not 1 <= timeout <= max(timeout, total) <= 7200:
        raise InvalidCatalog(f"{where}: timeouts lie between 1 and 7200 seconds")
    most = item.get("max_concurrency")
    if most is not None and (type(most) is not int or not 1 <= most <= LARGEST):
        raise InvalidCatalog(f"{where}: `max_concurrency` must be a whole number from 1 to {LARGEST}")
    return {
        "name": name,
        "protocol": protocol,
        "kind": kind,
        "account": account,
        "currency": currency,
        "paths": checked_paths(item["paths"], where) if "paths" in item else [],
        "base_url": checked_base_url(item.get("base_url"), where),
        **({} if key is None else {"api_key": str(key)}),
        "priority": item.get("priority", 1),
        "timeout_seconds": timeout,
        "total_timeout_seconds": max(timeout, total),
        "max_concurrency": most,
        "bills_abandoned": _flag(item, "bills_abandoned", where),
        "is_active": True,
    }


def checked_paths(named: Any, where: str) -> list[str]:
    """In the table's order; raises `InvalidCatalog`."""
    if not isinstance(named, list) or not named or not set(map(str, named)) <= set(PATHS):
        raise InvalidCatalog(f"{where}: `paths` is a list of {', '.join(PATHS)}")
    return [name for name in PATHS if name in named]


def check_protocol(protocol: Any, kind: Any, where: str) -> None:
    """Raise `InvalidCatalog` unless this version speaks the protocol and the kind can speak it too."""
    if protocol not in Protocol.values:
        raise InvalidCatalog(f"{where}: `protocol` must be one of {', '.join(Protocol.values)}")
    if protocol not in SPOKEN:
        raise InvalidCatalog(
            f"{where}: this version does not speak the protocol {protocol} with upstreams; it speaks"
            f" {', '.join(sorted(SPOKEN))}"
        )
    if kind not in ("", *Kind.values):
        raise InvalidCatalog(f"{where}: `kind` must be one of {', '.join(Kind.values)}")
    if kind in Protocol.values and kind != protocol:
        raise InvalidCatalog(f"{where}: an upstream of kind {kind} speaks the protocol {kind}, not {protocol}")


def checked_base_url(url: Any, where: str) -> str:
    """The URL without its trailing slash; https and public unless ALLOW_PRIVATE_UPSTREAMS."""
    try:
        parts = URL(url if isinstance(url, str) else "")
    except ValueError:
        parts = URL()
    if parts.scheme not in ("http", "https") or not parts.host or parts.query_string or parts.fragment:
        raise InvalidCatalog(f"{where}: `base_url` must be an http(s) URL without a query")
    if not settings.ALLOW_PRIVATE_UPSTREAMS:
        if parts.scheme != "https":
            raise InvalidCatalog(f"{where}: `base_url` must be https (or set ALLOW_PRIVATE_UPSTREAMS)")
        if is_literal(parts.host) and not is_public(parts.host):
            raise InvalidCatalog(f"{where}: `base_url` must be a public address (or set ALLOW_PRIVATE_UPSTREAMS)")
    return str(url).rstrip("/")


def _load_model(item: dict[str, Any], upstreams: Mapping[str, Upstream], *, is_listed: bool) -> int:
    slug = item.get("id")
    where = f"model {slug!r}"
    _only(item, MODEL_FIELDS, where)
    if not isinstance(slug, str) or "/" not in slug.strip("/"):
        raise InvalidCatalog(f"{where}: `id` must be provider/model")
    fields: dict[str, Any] = {"is_active": True}
    for name in ("max_output_tokens", "context_window"):
        value = item.get(name)
        if value is not None and (type(value) is not int or not 1 <= value <= LARGEST):
            raise InvalidCatalog(f"{where}: `{name}` must be a whole number from 1 to {LARGEST}")
        fields[name] = value
    calls = fields["max_tool_calls"] = item.get("max_tool_calls", 0)
    if type(calls) is not int or not 0 <= calls <= MOST_TOOL_CALLS:
        raise InvalidCatalog(f"{where}: `max_tool_calls` must be a whole number from 0 to {MOST_TOOL_CALLS}")
    for name in ("name", "description"):
        if name in item:
            fields[name] = str(item[name])
    routes = [_route(named, item, where) for named in _named_upstreams(item, where)]
    if unknown := [name for name, _ in routes if name not in upstreams]:
        raise InvalidCatalog(f"{where}: there is no upstream {unknown[0]!r}")
    model, _ = Model.objects.update_or_create(slug=slug, defaults=fields)
    listed_as = slug.lower() if is_listed else ""
    new_prices = set_price(model, item.get("price"), where=where, listed_as=listed_as)
    for name, columns in routes:
        cost = columns.pop("cost")
        Route.objects.update_or_create(model=model, upstream=upstreams[name], defaults=columns)
        new_prices += set_cost(model, upstreams[name], cost, where=f"{where} on {name!r}")
    model.routes.exclude(upstream__name__in=[name for name, _ in routes]).delete()
    return new_prices


def _named_upstreams(item: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """A model's upstreams as mappings, whether they were written so or by name alone."""
    named = item.get("upstreams")
    if not isinstance(named, list) or not named:
        raise InvalidCatalog(f"{where}: `upstreams` must name at least one upstream")
    found = [entry if isinstance(entry, dict) else {"name": entry} for entry in named]
    names = [entry.get("name") for entry in found]
    if not all(isinstance(name, str) for name in names):
        raise InvalidCatalog(f"{where}: `upstreams` holds names, or mappings with a `name`")
    if len(set(names)) < len(names):
        raise InvalidCatalog(f"{where}: `upstreams` names one upstream twice")
    return found


def _route(named: dict[str, Any], item: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The name of a model's upstream, and the columns of the route to it."""
    name = named["name"]
    where = f"{where} on {name!r}"
    _only(named, ROUTE_FIELDS, where)
    limit_field = named.get("limit_field", "")
    if "limit_field" in named and limit_field not in Route.LimitField.values:
        raise InvalidCatalog(f"{where}: `limit_field` must be one of {', '.join(Route.LimitField.values)}")
    upstream_model = named.get("upstream_model") or item.get("upstream_model") or item["id"].partition("/")[2]
    return name, {
        "upstream_model": str(upstream_model),
        "limit_field": limit_field,
        "ask_usage": _flag(named, "ask_usage", where),
        "cost": named.get("cost"),
    }


def _flag(item: Mapping[str, Any], field: str, where: str) -> bool:
    value = item.get(field, True)
    if not isinstance(value, bool):
        raise InvalidCatalog(f"{where}: `{field}` must be true or false")
    return value


def set_price(model: Model, price: Any, *, where: str, created_by: User | None = None, listed_as: str = "") -> int:
    """Give the model new price versions where `price` differs from what it has; return how many.

    `price` is a mapping, or a list of them, each from its `applies_from` on: of those that are due only the last one
    counts, the others are scheduled. A date that has passed means at once. `listed_as` is the model of the list whose
    price this is and is followed from then on; rates by hand, unlike a margin, end that.
    """
    locked = Model.objects.select_for_update(no_key=True).get(pk=model.pk)
    now, stored = database_now(), list(model.prices.order_by("version"))
    found = new_versions(stored, price, where=where, now=now)
    for columns, _before in found:
        Price.objects.create(model=model, created_at=now, created_by=created_by, **columns)
    if not listed_as and all(_is_same(before, columns, RATES) for columns, before in found):
        listed_as = locked.listed_as
    if listed_as != locked.listed_as:
        Model.objects.filter(pk=model.pk).update(listed_as=listed_as)
    return len(found)


def add_correction(model: Model, price: Any, *, where: str, created_by: User | None = None) -> Price:
    """A version that never comes into force, as it is dated before all others: requests are re-rated by it.

    Raises `InvalidCatalog`, also for a model that has no price.
    """
    Model.objects.select_for_update(no_key=True).get(pk=model.pk)
    stored = list(model.prices.all())
    if not stored:
        raise InvalidCatalog(f"{where}: there is no price to correct")
    columns = price_columns(price, where=where, margin=settings.PRICE_MARGIN)
    first = min(row.applies_from or row.created_at for row in stored)
    columns |= {"applies_from": first - timedelta(seconds=1), "version": max(row.version for row in stored) + 1}
    return Price.objects.create(model=model, created_at=database_now(), created_by=created_by, **columns)


def new_versions(
    stored: Sequence[Price], price: Any, *, where: str, now: datetime
) -> list[tuple[dict[str, Any], Price | None]]:
    """The columns of each version that `price` asks for and `stored` lacks, with the version that stands there now."""
    written = price if isinstance(price, list) and price else [price]
    prices = [price_columns(one, where=where, margin=settings.PRICE_MARGIN) for one in written]
    return _changes(prices, stored, by=COSTS, now=now, where=f"{where}: two prices in `price`")


def set_cost(model: Model, upstream: Upstream, cost: Any, *, where: str, created_by: Any = None) -> int:
    """As `set_price`, what the model costs the house there, in the upstream's currency; None is the list price."""
    written = [] if cost is None else cost if isinstance(cost, list) and cost else [cost]
    if any(isinstance(one, Mapping) and "margin" in one for one in written):
        raise InvalidCatalog(f"{where}: `cost` is what is paid, so it has no `margin`")
    costs = [price_columns(one, where=where, margin=1, field="cost") for one in written] or [dict(AT_LIST)]
    costs = [{**one, "currency": Currency.USD if cost is None else upstream.currency} for one in costs]
    for one in costs:
        one.pop("margin", None)
    Model.objects.select_for_update(no_key=True).get(pk=model.pk)
    now, stored = database_now(), list(model.purchase_prices.filter(upstream=upstream).order_by("version"))
    if cost is None and not stored:
        return 0
    new = _changes(costs, stored, by=PAID, now=now, where=f"{where}: two prices in `cost`")
    for columns, _before in new:
        PurchasePrice.objects.create(model=model, upstream=upstream, created_at=now, created_by=created_by, **columns)
    return len(new)


def _changes(
    prices: list[dict[str, Any]], stored: Sequence[V], *, by: Iterable[str], now: datetime, where: str
) -> list[tuple[dict[str, Any], V | None]]:
    """Those that differ by these columns from what applies or is scheduled, numbered, and what each differs from."""
    due = [one for one in prices if one["applies_from"] is None or one["applies_from"] <= now]
    later = [one for one in prices if one not in due]
    starts = [one["applies_from"] or now for one in due] + [one["applies_from"] for one in later]
    if len(set(starts)) < len(starts):
        raise InvalidCatalog(f"{where} apply from the same moment")
    due.sort(key=lambda one: one["applies_from"] or FIRST)
    found = [({**one, "applies_from": None}, in_force(stored, at=now)) for one in due[-1:]]
    for one in later:
        same = [row for row in stored if row.applies_from == one["applies_from"]]
        found.append((one, same[-1] if same else None))
    new = [(columns, before) for columns, before in found if not _is_same(before, columns, by)]
    newest = max((row.version for row in stored), default=0)
    return [({**columns, "version": version}, before) for version, (columns, before) in enumerate(new, newest + 1)]


def _is_same(before: Version | None, columns: Mapping[str, Any], names: Iterable[str]) -> bool:
    return before is not None and all(getattr(before, name) == columns[name] for name in names)


def in_force(versions: Iterable[V], *, at: datetime) -> V | None:
    """The version that applies at that moment: the last that began to."""
    due = [row for row in versions if row.applies_from is None or row.applies_from <= at]
    return max(due, key=lambda row: (row.applies_from or row.created_at, row.version), default=None)


def _only(item: Mapping[str, Any], allowed: Any, where: str) -> None:
    if unknown := sorted(set(item) - set(allowed)):
        raise InvalidCatalog(f"{where}: there is no field {unknown[0]!r}")
