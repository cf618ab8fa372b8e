"""What a request may cost: its bounds at its model's price. USD with the margin."""

from typing import Any

from accounts.limits.meters import KeyPolicy
from proxy.admission.rule import Ask
from proxy.prices.bounds import likely_output
from proxy.prices.catalog import Entry
from proxy.prices.sums import ceiling, input_of, most_cost
from proxy.prices.units import INPUT, REQUEST, TEXT
from proxy.prices.versions import level_at, most_for
from proxy.protocols.base import DEFAULT_OUTPUT_TOKENS, Call
from proxy.protocols.endpoint import Endpoint


def ask_of(endpoint: Endpoint[Any], call: Call, entry: Entry, *, policy: KeyPolicy, model_rpm: int) -> Ask:
    """What admission decides upon."""
    bounds, price = endpoint.bounds(call, entry), entry.price
    limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    levels, most, likely = price.worst_at(call.terms, bounds.without), bounds.most, bounds.likely
    if len(most) == 1 and bounds.makes is TEXT and (tokens := most.get(INPUT)) is not None:
        level = level_at(levels, tokens)
        input_most, estimate, output_rate = level.input * tokens, level.input * likely[INPUT], level.output
    else:
        level = level_at(levels, input_of(most))
        input_most, estimate = most_cost(level, most), most_cost(level, likely)
        output_rate = max([most_for(level, unit) for unit in bounds.makes])
    if price.is_by_call:
        by_call = most_for(level, REQUEST)
        input_most, estimate = input_most + by_call, estimate + by_call
    output_rate *= call.choices
    input_most += output_rate * bounds.extra_output
    estimate += output_rate * likely_output(limit)
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
        is_extended=endpoint.stops and call.stream and call.background_seconds is None and bool(output_rate),
        estimate=ceiling(estimate),
        session=call.session,
    )
