"""What a request may cost: its bounds at its model's price. USD with the margin."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

from accounts.limits.policy import KeyPolicy
from proxy.admission.rule import Ask
from proxy.learning.guess import Guess
from proxy.once.claims import Claim
from proxy.prices.bounds import likely_output
from proxy.prices.catalog import Entry
from proxy.prices.sums import ceiling, input_of, most_cost
from proxy.prices.units import CACHE_READ, INPUT, REQUEST, TEXT, UNITS, rate_of
from proxy.prices.versions import Level, level_at, most_for
from proxy.protocols.base import DEFAULT_OUTPUT_TOKENS, Call
from proxy.protocols.endpoint import Endpoint


def ask_of(
    endpoint: Endpoint[Any],
    call: Call,
    entry: Entry,
    *,
    policy: KeyPolicy,
    model_rpm: int,
    guess: Guess | None = None,
    once: Claim | None = None,
    counted: int | None = None,
) -> Ask:
    """What admission decides upon. By `guess`, where there is one, it is estimated what the request will cost;
    `counted` tokens of input are the most that it can have, where its model's provider counted them.
    """
    bounds, price = endpoint.bounds(call, entry), entry.price
    limit = limit_of(call, entry)
    levels, most, likely = price.worst_at(call.terms, bounds.without), bounds.most, bounds.likely
    if len(most) == 1 and bounds.makes is TEXT and (tokens := most.get(INPUT)) is not None:
        tokens = tokens if counted is None else min(tokens, counted)
        level = level_at(levels, tokens)
        input_most, output_rate = level.input * tokens, level.output
        if guess is None:
            estimate = level.input * min(likely[INPUT], tokens)
        else:
            estimate = _guessed_input(guess, most=tokens, call=call, entry=entry, levels=levels)
    else:
        level = level_at(levels, input_of(most))
        guess = None  # it knows of text alone
        input_most, estimate = most_cost(level, most), most_cost(level, likely)
        output_rate = max([most_for(level, unit) for unit in bounds.makes])
    if price.is_by_call:
        by_call = most_for(level, REQUEST)
        input_most, estimate = input_most + by_call, estimate + by_call
    output_rate *= call.choices
    input_most += output_rate * bounds.extra_output
    estimate += output_rate * (likely_output(limit) if guess is None else guess.output)
    estimate = ceiling(estimate)
    is_extended = endpoint.stops and call.stream and call.background_seconds is None and bool(output_rate)
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
        is_extended=is_extended,
        tells_input=is_extended and endpoint.ways(entry).tells_input and not endpoint.adds_input(call),
        estimate=estimate,
        session=call.session,
        guess=None if guess is None else _told(guess, estimate),
        once=once if once is not None and once.is_looked_up else None,
    )


def limit_of(call: Call, entry: Entry) -> int:
    """Tokens of output, at most."""
    return call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS


def _guessed_input(guess: Guess, *, most: int, call: Call, entry: Entry, levels: Sequence[Level]) -> Decimal:
    """What is not read from a cache is at the dearest rate of input."""
    tokens = min(guess.input, most)
    cached, level = min(guess.cached, tokens), level_at(levels, tokens)
    unit = UNITS[CACHE_READ]
    read = rate_of(entry.price.rates_for(tokens, call.terms), unit.name) * entry.price.margin / unit.per
    return level.input * (tokens - cached) + min(read, level.input) * cached


def _told(guess: Guess, estimate: Decimal) -> str:
    """As it is kept with the request, for its receipt."""
    told = {"by": guess.by, "input": guess.input, "cached": guess.cached, "output": guess.output}
    return orjson.dumps({**told, "cost": f"{estimate:f}"}).decode()
