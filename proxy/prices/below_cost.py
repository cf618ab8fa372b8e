"""Whether a model is sold for less than it costs the house, unit by unit, where a purchase price is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from proxy.models import Model, PurchasePrice
from proxy.prices.listed.differences import places, rate_in
from proxy.prices.loading import in_force
from proxy.prices.units import TABLE
from proxy.prices.versions import PriceVersion

PLACES = 12
"""Of a cost in dollars: what a rate of exchange adds behind them is no loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A unit that is sold at `price`, USD with the margin, and bought at `cost`, USD, in requests of these terms."""

    upstream: str
    unit: str
    when: Mapping[str, str]
    above: int
    price: Decimal
    cost: Decimal


def losses(model: Model, sale: PriceVersion, *, at: datetime, dollars: Mapping[str, Decimal]) -> list[Loss]:
    """Where the model would be sold below cost at that moment; one an upstream and unit, the plainest request first.

    `dollars` is what one of each currency is worth; costs in others are not known. A place without a purchase price
    costs the price before the margin, and never more than is charged. What is sold by tokens and bought otherwise, or
    the other way round, cannot be compared. Factors of customer groups are not looked at.
    """
    found: dict[tuple[str, str], Loss] = {}
    upstreams = [route.upstream for route in model.routes.all() if route.upstream.is_active]
    for upstream in sorted(upstreams, key=lambda one: one.name):
        paid = in_force((row for row in model.purchase_prices.all() if row.upstream_id == upstream.pk), at=at)
        if paid is None or paid.is_list or paid.currency not in dollars:
            continue
        bought = PriceVersion.from_row(paid)
        if bought.has_tokens != sale.has_tokens:
            continue
        units = [unit.name for unit in TABLE if unit.name in sale.priced or unit.name in bought.priced]
        for when, above in places([sale, bought]):
            for name in units:
                rate, cost = rate_in(sale, name, when, above), rate_in(bought, name, when, above)
                if rate is None or cost is None:
                    continue
                price, in_dollars = rate * sale.margin, round(cost * dollars[paid.currency], PLACES)
                if price < in_dollars:
                    loss = Loss(upstream.name, name, when, above, price, in_dollars)
                    found.setdefault((loss.upstream, name), loss)
    return list(found.values())


def models_at_a_loss(*, now: datetime, dollars: Callable[[], Mapping[str, Decimal]]) -> list[str]:
    """Models on offer whose price of today is below cost somewhere, by name. `dollars` is asked if one is bought."""
    bought = PurchasePrice.objects.exclude(Q(rates={}) & Q(tiers=[]) & Q(more=None)).values("model")
    found = []
    rows = Model.objects.filter(is_active=True, pk__in=bought).order_by("slug")
    models = list(rows.prefetch_related("prices", "purchase_prices", "routes__upstream"))
    worth = dollars() if models else {}
    for model in models:
        sale = in_force(model.prices.all(), at=now)
        if sale is not None and losses(model, PriceVersion.from_row(sale), at=now, dollars=worth):
            found.append(model.slug)
    return found
