"""The read side of generations: what one request used and cost, and what a key or customer used since a moment."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, Sum

from accounts.models import ApiKey, Customer
from billing.books.money import ZERO
from proxy.ids import first_id_of, is_generation_id
from proxy.models import NET_COST, Generation, Price
from proxy.prices.sums import LineItem, line_items
from proxy.prices.units import UNITS
from proxy.prices.usage import Usage, leaves, loaded
from proxy.prices.versions import Amount, PriceVersion, asked_and_served


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Requests, tokens in and out, and charges in USD, less what was given back."""

    requests: int
    tokens: int
    cost: Decimal


def usage_of(generation: Generation) -> Usage:
    return Usage(
        input_tokens=generation.input_tokens,
        output_tokens=generation.output_tokens,
        cached_tokens=generation.cached_tokens,
        cache_write_tokens=generation.cache_write_tokens,
        cache_write_1h_tokens=generation.cache_write_1h_tokens,
        reasoning_tokens=generation.reasoning_tokens,
        units=generation.units,
        more=loaded(generation.more),
    )


def line_items_of(generation: Generation) -> list[LineItem]:
    """The lines of a request's receipt, at the price it was held at; none before its usage is known."""
    if generation.metered_at is None:
        return []
    asked, served = asked_and_served(generation.asked_tier, generation.service_tier, generation.terms)
    return line_items(_price_of(generation), usage_of(generation), asked=asked, served=served)


def counts_of(generation: Generation) -> dict[str, Amount]:
    """What a request used, by unit: each token once, and what has no price too."""
    if generation.metered_at is None:
        return {}
    counts = leaves(usage_of(generation), _price_of(generation).priced)
    return {UNITS[name].line: count for name, count in counts if count}


def _price_of(generation: Generation) -> PriceVersion:
    return PriceVersion.from_row(Price.objects.get(pk=generation.price_id))


def find(*, customer: Customer, generation_id: str) -> Generation | None:
    """A customer's own generation; another's does not exist here, nor does an id of another form."""
    if not is_generation_id(generation_id):
        return None
    return Generation.objects.select_related("model", "price").filter(pk=generation_id, customer=customer).first()


def usage_since(*, customer: Customer, moment: datetime, key: ApiKey | None = None) -> UsageTotals:
    """What was used since `moment`; ids are ordered by time, so this reads one stretch of an index."""
    rows = Generation.objects.filter(customer=customer, pk__gte=first_id_of(moment))
    if key is not None:
        rows = rows.filter(key=key)
    sums = rows.aggregate(requests=Count("pk"), tokens=Sum(F("input_tokens") + F("output_tokens")), cost=Sum(NET_COST))
    return UsageTotals(requests=sums["requests"], tokens=sums["tokens"] or 0, cost=sums["cost"] or ZERO)
