"""What a request cost the house: its usage at the purchase price that applied when it was held. Pure but for reading.

Without a purchase price it costs the list price: the model's own before the margin, in USD.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from billing.books.money import LARGEST
from core.records import value
from proxy.models import Claim, Currency, Price, PurchasePrice
from proxy.prices.loading import in_force
from proxy.prices.sums import LineItem, cost_of, line_items
from proxy.prices.units import REQUEST
from proxy.prices.usage import Usage, loaded
from proxy.prices.versions import PriceVersion, asked_and_served

COLUMNS = (
    *("id", "customer_id", "model_id", "upstream_id", "price_id", "created_at", "settled_at", "usage_source", "bound"),
    *("factor", "upstream_cost", "cost", "corrected_cost", "terms::text", "asked_tier", "service_tier"),
    "input_tokens",
    *("output_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", "units"),
    "more::text",
    "usage_source = 'estimated' AND settlement_reason = 'completed' AND is_flagged",
)
HAS_GAP = COLUMNS[-1]
OF_ATTEMPT = {"model_id": "a.model_id", "upstream_id": "a.upstream_id", "settled_at": "a.ended_at"} | {
    "usage_source": "'upstream'",
    **dict.fromkeys(("upstream_cost", "cost", "corrected_cost"), "NULL::numeric"),
    **{name: f"a.{name}" for name in COLUMNS[COLUMNS.index("service_tier") : -1]},
    HAS_GAP: "false",
}
"""Where COLUMNS of an attempt `a` are; the others are its request's, `g`."""


class Used(NamedTuple):
    """A request as `COLUMNS` read it, or an attempt of it. Costs in USD; `more` as JSON text."""

    pk: str
    """The request's."""
    customer_id: int
    model_id: int
    upstream_id: int | None
    price_id: int
    created_at: datetime
    settled_at: datetime
    usage_source: str
    bound: Decimal
    factor: Decimal | None
    upstream_cost: Decimal | None
    cost: Decimal | None
    corrected_cost: Decimal | None
    terms: str | None
    asked_tier: str
    service_tier: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    units: Decimal
    more: str | None
    has_gap: bool = False
    """Its answer came whole, and with no usage that could be billed: what is counted is our estimate."""
    attempt: int | None = None


@value
class Purchase:
    """`cost` in `currency`, 8 places; `listed` what it costs at the list price, USD."""

    cost: Decimal
    currency: str
    listed: Decimal
    doubt: str = ""
    """Why its upstream's claim cannot be believed, of `Claim.Why`: then it stays out of the books."""

    @property
    def is_believed(self) -> bool:
        return not self.doubt


class Prices:
    """The versions that some requests need, each worked out once."""

    def __init__(self, used: Sequence[Used]) -> None:
        rows = Price.objects.in_bulk({one.price_id for one in used})
        self._sale = {pk: PriceVersion.from_row(row) for pk, row in rows.items()}
        self._windows = dict(
            Price.objects.filter(pk__in=rows).values_list("model_id", "model__context_window").distinct()
        )
        self._paid: dict[tuple[int, int | None], list[PurchasePrice]] = defaultdict(list)
        for row in PurchasePrice.objects.filter(model__in={one.model_id for one in used}).order_by("version"):
            self._paid[row.model_id, row.upstream_id].append(row)
        self._compiled: dict[int, PriceVersion] = {}

    def purchase_of(self, one: Used) -> Purchase:
        """What it cost. Raises `LookupError` where its price is not there."""
        sale, usage = self._sale[one.price_id], usage_of(one)
        paid = self._paid_for(one)
        if paid is None or paid.is_list:
            cost, currency = self._at_list(one, sale, usage), Currency.USD.value
        else:
            version = self._version(paid)
            cost, currency = _cost(version, one, _counted_by(version, usage)), paid.currency
        listed = one.upstream_cost or _sold(sale, one, usage)
        return Purchase(cost, currency, listed, self._doubt(one, sale, listed, cost))

    def lines_of(self, one: Used) -> list[LineItem]:
        """What it cost by unit, in the currency of its price, unrounded."""
        paid = self._paid_for(one)
        version = self._sale[one.price_id] if paid is None or paid.is_list else self._version(paid)
        usage = _counted_by(version, usage_of(one))
        return line_items(version, usage, served=_billed(one))

    def _paid_for(self, one: Used) -> PurchasePrice | None:
        versions = self._paid.get((one.model_id, one.upstream_id), ())
        begun = [row for row in versions if (row.applies_from or row.created_at) <= one.created_at]
        return in_force(begun, at=one.created_at)

    def _version(self, paid: PurchasePrice) -> PriceVersion:
        return self._compiled.get(paid.pk) or self._compiled.setdefault(paid.pk, PriceVersion.from_row(paid))

    @staticmethod
    def _at_list(one: Used, sale: PriceVersion, usage: Usage) -> Decimal:
        """As METER worked it out, by terms that are not stored; but for what was served instead of what was asked."""
        if one.upstream_cost and not one.terms and one.service_tier in ("", one.asked_tier):
            return one.upstream_cost
        return _cost(sale, one, usage)

    def _doubt(self, one: Used, sale: PriceVersion, listed: Decimal, cost: Decimal) -> str:
        """What speaks against its usage: above the bound, the most that it can use, or what the model can read."""
        window = self._windows.get(one.model_id)
        if one.usage_source == "upstream" and window is not None and one.input_tokens > window:
            return Claim.Why.WINDOW
        charge = listed * sale.margin * (1 if one.factor is None else one.factor)
        return Claim.Why.BOUND if charge > one.bound + Decimal("0.00000001") or cost > LARGEST else ""


def _cost(price: PriceVersion, one: Used, usage: Usage) -> Decimal:
    """By what was served, as the upstream bills that; by what was asked where it does not tell."""
    return cost_of(price, usage, served=_billed(one)).upstream


def _billed(one: Used) -> Mapping[str, str]:
    """The terms that an upstream bills by."""
    asked, served = terms_of(one)
    return served if one.service_tier and not one.terms else {**asked, **served}


def terms_of(one: Used) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What it asked for and what was served, of all that a price may go by."""
    return asked_and_served(one.asked_tier, one.service_tier, orjson.loads(one.terms) if one.terms else None)


def _sold(sale: PriceVersion, one: Used, usage: Usage) -> Decimal:
    """Before the margin, by what was served, and never more than what was asked comes to, as METER counts it.

    Usage that came late has no cost on its row: it is worked out by this.
    """
    asked, served = terms_of(one)
    return cost_of(sale, usage, asked=asked, served=served).upstream


def _counted_by(version: PriceVersion, usage: Usage) -> Usage:
    """A price by the call counts one, where the model is sold by something else."""
    is_by_call = version.priced == {REQUEST} and not usage.units and not usage.more
    return replace(usage, units=Decimal(1)) if is_by_call and usage != Usage() else usage


def usage_of(one: Used) -> Usage:
    """What it used, as it is stored."""
    return Usage(
        input_tokens=one.input_tokens,
        output_tokens=one.output_tokens,
        cached_tokens=one.cached_tokens,
        cache_write_tokens=one.cache_write_tokens,
        cache_write_1h_tokens=one.cache_write_1h_tokens,
        reasoning_tokens=one.reasoning_tokens,
        units=one.units,
        more=None if one.more is None else loaded(orjson.loads(one.more)),
    )
