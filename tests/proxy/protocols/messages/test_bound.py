"""No answer of Messages costs more than was held for its request, however its usage is told."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.prices.sums import ceiling, cost_of, input_of, most_cost
from proxy.prices.versions import level_at, most_for
from proxy.protocols.anthropic.messages import usage as usages
from tests.proxy.protocols.messages.asking import CONTEXT, HELLO, LOOK, MESSAGES, SEARCH, entry, read

RATE = st.decimals(min_value=0, max_value=99, places=3).map(str)
PRICES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("cache_read", "cache_write", "cache_write_1h", "reasoning", "web_search"), RATE),
        "tiers": st.just([{"above": 500, "rates": {"input": "33", "cache_write": "44"}}]),
    },
)
MARKS = ({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral", "ttl": "1h"})
SYSTEMS = ["Be brief.", *([{"type": "text", "text": "a" * 4_000, "cache_control": mark}] for mark in MARKS)]
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.sampled_from([[LOOK], [SEARCH], [LOOK, SEARCH]]),
        "context_management": st.just({"edits": [{"type": "compact_20260112"}]}),
        "system": st.sampled_from(SYSTEMS),
        "max_tokens": st.integers(1, 5_000),
    },
)
SHARES = st.lists(st.integers(0, 100), min_size=4, max_size=4)


def split(total: int, shares: list[int], *, output: int) -> dict[str, Any]:
    """So much input as fresh, read and written for both lives."""
    whole = max(1, sum(shares))
    fresh, read_, short, hour = (total * share // whole for share in shares)
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read_,
        "cache_creation_input_tokens": short + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": hour},
        "output_tokens": output,
    }


@given(fields=FIELDS, price=PRICES, shares=st.lists(SHARES, min_size=6, max_size=6), in_turns=st.booleans())
@settings(max_examples=150)
def test_the_most_that_a_request_can_use_costs_no_more_than_its_bound(fields, price, shares, in_turns):
    model = entry(max_tool_calls=2, **price)
    call = MESSAGES.check(read(messages=HELLO, **fields), model)
    bounds = MESSAGES.bounds(call, model)
    level = level_at(model.price.worst_at(call.terms, bounds.without), input_of(bounds.most))
    limit = call.output_limit or 0
    bound = most_cost(level, bounds.most) + most_for(level, "output") * (limit + bounds.extra_output)
    searches = 2 if call.units else 0
    if not call.compacts and not searches:  # who may be written for what life goes by the marks
        mark = (fields.get("system") or "-")[0]
        ttl = mark["cache_control"].get("ttl", "5m") if isinstance(mark, dict) else ""
        shares = [
            [fresh, read_, short if ttl else 0, hour if ttl == "1h" else 0] for fresh, read_, short, hour in shares
        ]
    body = call.material.text_bytes
    turns = [{"type": "message", **split(min(body, CONTEXT), shares[0], output=limit)}]
    turns += [{"type": "message", **split(CONTEXT, share, output=0)} for share in shares[1 : 1 + searches]]
    if call.compacts:
        turns.append({"type": "compaction", **split(body, shares[4], output=model.max_output_tokens or 0)})
    told = {"server_tool_use": {"web_search_requests": searches}}
    if in_turns or len(turns) > 1:
        told |= {**split(body, shares[5], output=limit), "iterations": turns}
    else:
        told |= turns[0]
    found = usages.read(told)
    assert found is not None
    assert cost_of(model.price, found.usage, asked=call.terms).charged <= ceiling(bound)


def test_a_write_to_a_cache_is_held_at_the_dearest_life_that_is_marked():
    model = entry(cache_write="12", cache_write_1h="20")

    def rate(**fields: Any) -> int:
        call = read(messages=HELLO, **fields)
        bounds = MESSAGES.bounds(call, model)
        return int(level_at(model.price.worst_at(call.terms, bounds.without), 0).input * 1_000_000)

    assert [rate(system=system) for system in SYSTEMS] == [10, 12, 20, 20]
    assert rate(cache_control={"type": "ephemeral"}) == 12
    assert rate(metadata={"user_id": 'says "cache_control" and "ttl"'}) == 10
    assert rate(system=SYSTEMS[0], context_management={"edits": [{"type": "compact_20260112"}]}) == 20
