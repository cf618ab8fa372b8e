"""What METER writes of an answer, by what its request was held at: the same for an answer that came and for a job."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.records import value
from proxy.kept.rows import Keeping
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.prices.sums import Cost, cost_of, has_unsold
from proxy.prices.usage import Usage, at_least
from proxy.prices.versions import PriceVersion, beside_tiers, terms_of
from proxy.protocols.base import Reported
from proxy.relay import claims
from proxy.settlement.metered import Metered

LARGEST_COST = Decimal(999999999999)
NOTHING = Usage()
Source = Generation.UsageSource


@value
class Held:
    """A request as it was held: its `bound` in USD, the `most` that this may grow to, the `price` with its customer's
    factor, and what it asks for.
    """

    generation_id: str
    bound: Decimal
    most: Decimal
    price: PriceVersion
    terms: Mapping[str, str]
    least: Mapping[str, int] | None
    asked_tier: str
    left_out: Mapping[str, Sequence[str]] | None
    ended_by: Mapping[str, str | None] | None = None


def recorded(
    held: Held,
    destination: Destination,
    reported: Reported,
    headers: Mapping[str, str],
    *,
    source: str,
    usage: Usage,
    reason: str,
    latency_ms: int,
    generation_time_ms: int,
) -> tuple[Metered, Decimal]:
    """The record, never charged beyond the bound, and what the usage costs in USD, within the bound or not. `usage` is
    what is billed, from that `source`.
    """
    price, tier = held.price, claims.served_tier(reported)
    is_odd = reported.is_odd or reported.usage not in (None, usage)
    if usage.more is not None or (held.least and source != Source.NONE):
        usage = at_least(usage, held.least or {})
    served = terms_of(tier)
    if reported.served is not None:
        served = {**served, **reported.served}
    cost = cost_of(price, usage, asked=held.terms, served=served)
    stated = claims.stated_cost(headers, reported)
    record = Metered(
        generation_id=held.generation_id,
        upstream_id=destination.upstream_id,
        usage_source=source,
        reason=reason,
        finish_reason=reported.finish_reason,
        usage=usage,
        native=reported.usage or NOTHING,
        cost=Cost(upstream=min(cost.upstream, LARGEST_COST), charged=min(cost.charged, held.bound)),
        latency_ms=latency_ms,
        generation_time_ms=generation_time_ms,
        is_flagged=(
            cost.charged > held.most
            or is_odd
            or (stated is not None and stated > cost.charged)
            or claims.contradicts(destination, reported, price)
            or (usage.more is not None and has_unsold(price, usage))
        ),
        upstream_request_id=claims.request_id(headers, reported),
        stated_cost=stated,
        asked_tier=held.asked_tier,
        service_tier=tier,
        terms=None if reported.served is None else beside_tiers(held.terms, served),
        factor=None if price.factor == 1 else price.factor,
        keeping=Keeping(destination.account, reported.kept) if reported.kept else None,
        left_out=held.left_out,
        ended_by=held.ended_by,
    )
    return record, cost.charged
