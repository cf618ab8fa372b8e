"""Whether a model is sold for less than it costs the house, unit by unit, where a purchase price is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from accounts.groups import CustomerGroup
from accounts.keys.wildcards import names_of
from proxy.models import Model, PurchasePrice
from proxy.prices.listed.differences import places, rate_in
from proxy.prices.loading import in_force
from proxy.prices.units import TABLE
from proxy.prices.versions import PriceVersion

PLACES = 12
"""Of a cost in dollars: what a rate of exchange adds behind them is no loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A unit that is sold at `price`, USD with the margin, and bought at `cost`, USD, in requests of these terms.

    `group` is the customer group whose factor makes it a loss; empty where it is one for everybody.
    """

    upstream: str
    unit: str
    when: Mapping[str, str]
    above: int
    price: Decimal
    cost: Decimal
    group: str = ""


def losses(
    model: Model,
    sale: PriceVersion,
    *,
    at: datetime,
    dollars: Mapping[str, Decimal],
    groups: Sequence[CustomerGroup] | None = None,
) -> list[Loss]:
    """Where the model would be sold below cost at that moment; one an upstream and unit, the plainest request first.

    `dollars` is what one of each currency is worth; costs in others are not known. A place without a purchase price
    costs the price before the margin. What is sold by tokens and bought otherwise, or the other way round, cannot be
    compared. Of `groups`, all unless told, the one with the lowest factor that may call the model counts.
    """
    found: dict[tuple[str, str], Loss] = {}
    cheapest = _cheapest(model, CustomerGroup.objects.all() if groups is None else groups)
    factor = Decimal(1) if cheapest is None else cheapest.factor
    upstreams = [route.upstream for route in model.routes.all() if route.upstream.is_active]
    for upstream in sorted(upstreams, key=lambda one: one.name):
        paid = in_force((row for row in model.purchase_prices.all() if row.upstream_id == upstream.pk), at=at)
        if paid is not None and not paid.is_list and paid.currency not in dollars:
            continue
        is_listed = paid is None or paid.is_list
        bought = sale if paid is None or is_listed else PriceVersion.from_row(paid)
        worth = Decimal(1) if paid is None or is_listed else dollars[paid.currency]
        if bought.has_tokens != sale.has_tokens:
            continue
        units = [unit.name for unit in TABLE if unit.name in sale.priced or unit.name in bought.priced]
        for when, above in places([sale, bought]):
            for name in units:
                rate, cost = rate_in(sale, name, when, above), rate_in(bought, name, when, above)
                if rate is None or cost is None:
                    continue
                price, in_dollars = rate * sale.margin, round(cost * worth, PLACES)
                if price < in_dollars:
                    found.setdefault((upstream.name, name), Loss(upstream.name, name, when, above, price, in_dollars))
                elif cheapest is not None and price * factor < in_dollars:
                    loss = Loss(upstream.name, name, when, above, price * factor, in_dollars, cheapest.name)
                    found.setdefault((upstream.name, name), loss)
    return list(found.values())


def models_at_a_loss(
    *, now: datetime, dollars: Callable[[], Mapping[str, Decimal]], groups: Sequence[CustomerGroup] | None = None
) -> list[str]:
    """Models on offer whose price of today is below cost somewhere, by name. `dollars` is asked if one may be."""
    groups = list(CustomerGroup.objects.all()) if groups is None else groups
    rows = Model.objects.filter(is_active=True).order_by("slug")
    if all(group.factor >= 1 for group in groups):
        # What has no purchase price is below cost by a factor alone.
        bought = PurchasePrice.objects.exclude(Q(rates={}) & Q(tiers=[]) & Q(more=None)).values("model")
        rows = rows.filter(pk__in=bought)
    models = list(rows.prefetch_related("prices", "purchase_prices", "routes__upstream"))
    worth = dollars() if models else {}
    found = []
    for model in models:
        sale = in_force(model.prices.all(), at=now)
        if sale is not None and losses(model, PriceVersion.from_row(sale), at=now, dollars=worth, groups=groups):
            found.append(model.slug)
    return found


def _cheapest(model: Model, groups: Iterable[CustomerGroup]) -> CustomerGroup | None:
    """Of the groups that may call the model and pay less than others do, the one that pays the least of its price."""
    names = names_of(model.slug)
    may = [group for group in groups if group.factor < 1 and (not group.models or names.intersection(group.models))]
    return min(may, key=lambda group: (group.factor, group.name), default=None)
