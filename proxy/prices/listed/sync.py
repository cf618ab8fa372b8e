"""The catalog beside genai-prices' list: what differs, what may be taken over, and who has to agree."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from django.db import transaction
from genai_prices.types import ModelInfo

from accounts.models import User
from core.clock import database_now
from proxy.models import Model, Price, PriceProposal, Upstream
from proxy.prices.listed import proposals, wanted
from proxy.prices.listed.differences import Difference
from proxy.prices.loading import in_force, load_catalog, set_price
from proxy.prices.units import SECOND
from proxy.prices.written import OF_SECONDS

State = PriceProposal.State


class SyncError(ValueError):
    """What was asked for cannot be done; the message says why, and nothing was written."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which models: `only` those of these ids, `adopt` those by hand too, `add` those of the list at `upstream`.

    All are patterns such as `openai/gpt-5*`; none in `only` means all. `limit` is the share by which one person may
    change a rate.
    """

    limit: Decimal
    only: Sequence[str] = ()
    adopt: Sequence[str] = ()
    add: Sequence[str] = ()
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What the list would have of a model. `steps` are its new versions: the date (None: at once), and what changes."""

    model: Model
    listed: str
    base: Price | None
    prices: list[dict[str, Any]]
    steps: list[tuple[datetime | None, list[Difference]]]

    def is_beyond(self, limit: Decimal) -> bool:
        return any(one.is_beyond(limit) for _at, found in self.steps for one in found)


@dataclass(slots=True)
class Plan:
    """What a run finds, and does where it may write."""

    added: list[tuple[dict[str, Any], ModelInfo]] = field(default_factory=list)
    """Models as a catalog names them, and as the list does."""
    changes: list[Change] = field(default_factory=list)
    adopted: list[Change] = field(default_factory=list)
    """By hand until now, at the list's price already."""
    proposed: list[Change] = field(default_factory=list)
    waiting: list[Change] = field(default_factory=list)
    refused: list[tuple[Change, PriceProposal]] = field(default_factory=list)
    kept: list[Change] = field(default_factory=list)
    """Prices by hand."""
    outdated: list[PriceProposal] = field(default_factory=list)
    deprecated: list[Model] = field(default_factory=list)
    retired: list[Model] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    same: list[Change] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        return bool(self.added or self.changes or self.adopted or self.asks_finance or self.deprecated or self.retired)

    @property
    def asks_finance(self) -> bool:
        return bool(self.proposed or self.outdated)


@transaction.atomic
def sync(asked: Asked, *, applies: bool, by: User | None, reason: str) -> Plan:
    """Compare the models on offer with the list and, with `applies`, take it over: all of it, or nothing.

    `by` proposes what needs a second person. Raises `SyncError`, `ProposalError` and `InvalidCatalog`.
    """
    models = Model.objects.filter(is_active=True).order_by("slug").prefetch_related("prices")
    if applies:
        models = models.select_for_update(no_key=True)
    now = database_now()
    plan = Plan()
    for model in models:
        if _fits(model.slug, asked.only):
            _look(model, asked, plan, now=now)
    if asked.add:
        plan.added = _additions(asked, now=now)
    if applies:
        _carry_out(plan, by=by, reason=reason, now=now)
    return plan


def _look(model: Model, asked: Asked, plan: Plan, *, now: datetime) -> None:
    listed, info = _in_list(model)
    if info is None and model.listed_as and model.retired_on is None:
        plan.retired.append(model)
    if info is not None and info.deprecated and model.deprecated_on is None:
        plan.deprecated.append(model)
    change = None if info is None else _change(model, listed, info, now=now)
    waiting = model.proposals.filter(state=State.PROPOSED).first()
    is_adopted = _fits(model.slug, asked.adopt, otherwise=False)
    is_followed = bool(model.listed_as) or is_adopted or (change is not None and _is_of(waiting, change))
    if change is None:
        plan.unlisted.append(model.slug)
    elif model.prices.all() and not is_followed:  # by hand, be it for a day to come
        (plan.kept if change.steps else plan.same).append(change)
    elif not change.steps:
        (plan.same if model.listed_as else plan.adopted).append(change)
    elif change.is_beyond(asked.limit):
        _to_finance(change, plan)
    else:
        plan.changes.append(change)
    if waiting is not None and not any(one.model == model for one in (*plan.waiting, *plan.proposed)):
        plan.outdated.append(waiting)


def _in_list(model: Model) -> tuple[str, ModelInfo | None]:
    """What it follows, or else what of the list it seems to be."""
    if model.listed_as:
        return model.listed_as, wanted.named(model.listed_as)
    return wanted.likely(model.slug) or ("", None)


def _change(model: Model, listed: str, info: ModelInfo, *, now: datetime) -> Change | None:
    """None where the list has no price. What is no rate stays as it is here: margin, fallback, rounding."""
    stored = sorted(model.prices.all(), key=lambda row: row.version)
    base = in_force(stored, at=now)
    dates = {row.applies_from for row in stored if row.applies_from is not None and row.applies_from > now}
    prices = wanted.prices(info, now=now, dates=dates, has_tools=model.max_tool_calls > 0)
    if not prices:
        return None
    prices = [{**price, **_kept(price, stored, now=now)} for price in prices]
    return Change(model, listed, base, prices, proposals.steps(model, prices, stored=stored, now=now))


def _kept(price: dict[str, Any], stored: list[Price], *, now: datetime) -> dict[str, Any]:
    """What the version that applies here by then says beside its rates."""
    begins = price.get("applies_from")
    here = in_force(stored, at=now if begins is None else datetime.fromisoformat(begins))
    if here is None:
        return {}
    names = ("fallback", *OF_SECONDS) if SECOND in price else ("fallback",)
    kept = {name: said for name in names if (said := (here.more or {}).get(name))}
    return {"margin": f"{here.margin:f}", **kept}


def _to_finance(change: Change, plan: Plan) -> None:
    """It waits, or is to wait, for a second person; what one refused is not proposed again."""
    last = change.model.proposals.order_by("-pk").first()
    if last is None or not _is_of(last, change) or last.decision == proposals.OUTDATED:
        plan.proposed.append(change)
    elif last.state == State.REFUSED:
        plan.refused.append((change, last))
    else:
        plan.waiting.append(change)


def _is_of(proposal: PriceProposal | None, change: Change) -> bool:
    base = change.base.pk if change.base else None
    return proposal is not None and proposal.prices == change.prices and proposal.base_id == base


def _additions(asked: Asked, *, now: datetime) -> list[tuple[dict[str, Any], ModelInfo]]:
    """Models of the list that the catalog does not name, inactive ones included, with a price."""
    if not Upstream.objects.filter(name=asked.upstream).exists():
        raise SyncError(f"there is no upstream {asked.upstream!r}")
    here = set(Model.objects.values_list("slug", flat=True))
    found = []
    for slug, info in wanted.everything():
        if slug in here or not _fits(slug, asked.add, otherwise=False):
            continue
        if prices := wanted.prices(info, now=now, dates=set(), has_tools=False):
            about = {"name": info.name or info.id, "description": (info.description or "").partition(". ")[0][:300]}
            item = {"id": slug, **about, "upstreams": [asked.upstream], "upstream_model": info.id, "price": prices}
            window = {"context_window": info.context_window} if info.context_window else {}
            found.append(({**item, **window}, info))
    if not found and not any(_fits(slug, asked.add, otherwise=False) for slug in here):
        raise SyncError(f"the list has no model {' or '.join(asked.add)} with a price")
    return found


def _carry_out(plan: Plan, *, by: User | None, reason: str, now: datetime) -> None:
    if plan.asks_finance and by is None:
        raise SyncError("some prices need a second person, so name who proposes them: --by EMAIL, of finance")
    load_catalog({"models": [item for item, _info in plan.added]}, is_listed=True)
    for change in (*plan.changes, *plan.adopted):
        slug = change.model.slug
        set_price(change.model, change.prices, where=slug, created_by=by, listed_as=change.listed)
    today = now.astimezone(UTC).date()
    deprecated = [model.slug for model in plan.deprecated]
    deprecated += [item["id"] for item, info in plan.added if info.deprecated]
    Model.objects.filter(slug__in=deprecated).update(deprecated_on=today)
    Model.objects.filter(pk__in=[model.pk for model in plan.retired]).update(retired_on=today)
    if by is not None:
        for old in plan.outdated:
            proposals.withdraw(model=old.model, by=by, now=now)
        for change in plan.proposed:
            proposals.propose(
                model=change.model,
                listed_as=change.listed,
                base=change.base,
                prices=change.prices,
                reason=reason,
                by=by,
                now=now,
            )


def _fits(slug: str, patterns: Sequence[str], *, otherwise: bool = True) -> bool:
    return any(fnmatchcase(slug.lower(), pattern.lower()) for pattern in patterns) if patterns else otherwise
