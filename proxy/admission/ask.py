"""What a request may cost: its bounds at its model's price. USD with the margin."""

from typing import Any

from accounts.limits.meters import KeyPolicy
from billing.books.money import ZERO
from proxy.admission.rule import Ask
from proxy.prices.bounds import likely_output
from proxy.prices.catalog import Entry
from proxy.prices.sums import ceiling, unit_rate, worst_rates
from proxy.prices.units import PER_TOKEN
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint

DEFAULT_OUTPUT_TOKENS = 4_096
"""Where neither the caller nor the catalog names a limit."""


def ask_of(endpoint: Endpoint[Any], call: Call, entry: Entry, *, policy: KeyPolicy, model_rpm: int) -> Ask:
    """What admission decides upon."""
    bounds, price = endpoint.bounds(call, entry), entry.price
    limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    if price.billing == PER_TOKEN:
        most = bounds.most["input"]
        input_rate, output_rate = worst_rates(price, most)
        output_rate *= call.choices
        input_most = input_rate * most + output_rate * bounds.extra_output
        estimate = input_rate * bounds.likely["input"] + output_rate * likely_output(limit)
    else:
        unit, rate = unit_rate(price)
        input_most, output_rate, estimate = rate * bounds.most[unit], ZERO, rate * bounds.likely[unit]
    return Ask(
        policy=policy,
        model_id=entry.id,
        model=entry.slug,
        model_rpm=model_rpm,
        price_id=price.id,
        protocol=endpoint.name,
        streamed=call.stream,
        input_most=input_most,
        output_rate=output_rate,
        output_limit=limit,
        may_shrink=call.output_limit is None and bool(output_rate),
        estimate=ceiling(estimate),
    )
