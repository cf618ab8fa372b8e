"""Any JSON is a usage in whole numbers that fit a column, or none; what is shown of it is JSON."""

from decimal import Decimal

from proxy.prices.units import UNITS
from proxy.prices.usage import Usage, leaves
from proxy.protocols import lossless
from proxy.protocols.openai import usage as usages

SEEDS = [
    b'{"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"cost":0.1,"cost_details":{"a":1}}}',
    b'{"choices":[{"usage":{"input_tokens":20.0,"output_tokens":"5","cache_read_input_tokens":900}}]}',
    b'{"x_groq":{"usage":{"prompt_tokens":1e3,"total_tokens":-5}},"usage":{"completion_tokens":true}}',
    b'{"usage":{"prompt_tokens":1152921504606846975,"completion_tokens":9,"cache_creation":{"ephemeral_1h_input_tokens":8},'
    b'"prompt_tokens_details":{"cached_tokens":1152921504606846975},"completion_tokens_details":{"reasoning_tokens":99}}}',
    b'{"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":7,"cached_tokens":4,'
    b'"cached_tokens_details":{"audio_tokens":3}},"completion_tokens_details":{"audio_tokens":8,"image_tokens":1},'
    b'"server_tool_use":{"web_search_requests":2}}}',
    b'{"usage":{"prompt_tokens":NaN,"completion_tokens":340282366920938463463374607431768211455,"x":"\\ud83d"}}',
]


def check(data: bytes) -> None:
    try:
        answer = lossless.load(data)
    except ValueError:
        return
    if not isinstance(answer, dict):
        return
    told, cost = usages.find(answer), usages.stated_cost(usages.find(answer))
    assert cost is None or 0 <= cost < 10**12
    if told is not None:
        counts = [getattr(told.usage, name) for name in Usage.__slots__ if name != "more"]
        assert all(0 <= count < 2**63 for count in (*counts, *(told.usage.more or {}).values()))
        found = leaves(told.usage, frozenset())
        assert min(count for _, count in found) >= 0
        for side, total in (("input", told.usage.input_tokens), ("output", told.usage.output_tokens)):
            assert sum(count for name, count in found if UNITS[name].side == side) == total
        assert told.usage.cached_tokens + told.usage.cache_write_tokens <= told.usage.input_tokens
        assert told.usage.reasoning_tokens <= told.usage.output_tokens
    used = told.usage if told else Usage()
    shown = lossless.load(usages.shown(told, used, cost=Decimal("0.00042000")))
    assert (shown["prompt_tokens"], shown["completion_tokens"]) == (used.input_tokens, used.output_tokens) or told
    assert shown["cost"] == 0.00042
