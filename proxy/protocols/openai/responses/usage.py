"""What an answer of Responses says that it used, and how that is shown with what it cost."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from proxy.prices.units import CODE_SESSION, FILE_SEARCH, WEB_SEARCH
from proxy.prices.usage import Usage, is_shown_alike
from proxy.protocols.counts import is_counted, tokens, with_cost, without_cost
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.usage import Told

SEARCHES, FILE_SEARCHES, CODE = "web_search_call", "file_search_call", "code_interpreter_call"
COUNTED = (SEARCHES, FILE_SEARCHES, CODE)
"""Types of items that are paid for by the call."""
MOST_CALLS = 1_000_000


def read(answer: Mapping[str, Any]) -> Told | None:
    """Tokens as its usage tells them, calls of tools as its items do; None where it tells no tokens."""
    told = usages.read(answer.get("usage"))
    if told is None or not (calls := calls_of(answer)):
        return told
    return replace(told, usage=replace(told.usage, more={**(told.usage.more or {}), **calls}))


def is_told(answer: Mapping[str, Any]) -> bool:
    """Whether its usage counts something."""
    return is_counted(usages.read(answer.get("usage")))


def calls_of(answer: Mapping[str, Any]) -> dict[str, int]:
    """By unit, how often tools were called at the provider. Pages that were opened after a search are none.

    `tool_usage` tells of searches where it is there, else the items do.
    """
    output, told = answer.get("output"), answer.get("tool_usage")
    searches = files = 0
    sessions = set[str]()
    for item in output[:MOST_CALLS] if isinstance(output, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == SEARCHES:
            action = item.get("action")
            searches += not isinstance(action, dict) or action.get("type", "search") == "search"
        elif kind == FILE_SEARCHES:
            files += 1
        elif kind == CODE:
            sessions.add(str(item.get("container_id")))
    counts = told.get("web_search") if isinstance(told, dict) else None
    if isinstance(counts, dict) and (requests := tokens(counts, "num_requests")) is not None:
        searches = min(requests, MOST_CALLS)
    found = {WEB_SEARCH: searches, FILE_SEARCH: files, CODE_SESSION: len(sessions)}
    return {unit: count for unit, count in found.items() if count}


def shown(told: Told | None, used: Usage, *, cost: Decimal) -> bytes:
    """The usage that the caller sees, as JSON: what the upstream said if that is what is billed, with our `cost` alone.

    `cost` in USD, a number. Clients need all of these members.
    """
    counts: dict[str, Any] = {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_tokens, "cache_write_tokens": used.cache_write_tokens},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    if told is not None and not told.is_odd and is_shown_alike(told.usage, used):
        kept = without_cost(told.said)
        counts = kept if type(kept.get("input_tokens")) is int else {**kept, **counts}
    return with_cost(counts, cost)
