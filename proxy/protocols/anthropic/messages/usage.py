"""What an answer of Messages says that it used. https://docs.claude.com/en/api/messages#response-usage

Input stands apart by what the cache did with it: fresh, read and written are three counts, and all input is their sum.
Where `iterations` lists the turns of a request they are billed in place of the counts above them, which leave out what
summing up the context took.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.records import value
from proxy.prices.units import CODE_SESSION, WEB_SEARCH
from proxy.prices.usage import Usage, counted, is_shown_alike
from proxy.protocols.anthropic.messages.asked.fields import DEFAULTS
from proxy.protocols.base import text_of
from proxy.protocols.counts import Told, tokens, with_cost, without_cost

COMPACTION = "compaction"
OTHER_MODELS = frozenset({"advisor_message", "fallback_message"})
"""Turns of models that nobody here can ask for."""
NOWHERE = "not_available"
"""What models say that run wherever they run."""
MOST_ITERATIONS = 1_000
MOST_SEARCHES = 1_000_000


@value
class Turn:
    """Tokens of one turn of the model. `fresh` input was neither read from nor written to a cache."""

    fresh: int = 0
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    output: int = 0

    def __add__(self, other: "Turn") -> "Turn":
        return Turn(
            self.fresh + other.fresh,
            self.cached + other.cached,
            self.written + other.written,
            self.written_1h + other.written_1h,
            self.output + other.output,
        )


def read(said: Any, *, has_container: bool = False) -> Told | None:
    """A usage object understood, or None where it tells neither of input nor of output in whole numbers.

    `has_container` where the answer names one: code ran in it, which is a session.
    """
    if not isinstance(said, dict):
        return None
    has_input, has_output = tokens(said, "input_tokens") is not None, tokens(said, "output_tokens") is not None
    turns, is_odd = _turns(said)
    if not (has_input or has_output or turns):
        return None
    top = _turn(said)
    made = [turn for kind, turn in turns if kind != COMPACTION]
    total = sum(made, Turn()) if made else top
    is_odd = is_odd or not (has_input and has_output) or total.output < top.output
    for kind, turn in turns:
        total = total + turn if kind == COMPACTION else total
    details = said.get("output_tokens_details")
    more = _tool_calls(said, has_container=has_container)
    usage = counted(
        input_tokens=total.fresh + total.cached + total.written,
        output_tokens=total.output,
        cached_tokens=total.cached,
        cache_write_tokens=total.written,
        cache_write_1h_tokens=total.written_1h,
        reasoning_tokens=(tokens(details, "thinking_tokens") or 0) if isinstance(details, dict) else 0,
        more=more or None,
    )
    return Told(usage, said, is_odd)


def tier_of(told: Told | None) -> str:
    """The service tier that was served."""
    tier = None if told is None else told.said.get("service_tier")
    return tier if isinstance(tier, str) else ""


def served_of(told: Told | None, *, varies: bool) -> Mapping[str, str] | None:
    """Where and how fast it was served, where that is not the usual, or its price goes by it."""
    found = {} if told is None else {name: said for name in DEFAULTS if (said := text_of(told.said, name))}
    if not varies:
        found = {name: said for name, said in found.items() if said not in (DEFAULTS[name], NOWHERE)}
    return found or None


def shown(told: Told | None, said: Mapping[str, Any], used: Usage, *, cost: Decimal) -> bytes:
    """The usage that the caller sees, as JSON: `said` if that is what is billed, else what is; with our `cost` alone.

    `cost` in USD, a number.
    """
    if told is not None and not told.is_odd and is_shown_alike(told.usage, used):
        counts = without_cost(said)
    else:
        counts = {
            "input_tokens": max(0, used.input_tokens - used.cached_tokens - used.cache_write_tokens),
            "cache_read_input_tokens": used.cached_tokens,
            "cache_creation_input_tokens": used.cache_write_tokens,
            "output_tokens": used.output_tokens,
        }
    return with_cost(counts, cost)


def merged(before: Mapping[str, Any], said: Any) -> Mapping[str, Any]:
    """Each field's last value that says something: a stream tells of its usage twice or more, cumulatively."""
    if not isinstance(said, dict):
        return before
    return {**before, **{name: value for name, value in said.items() if value is not None or name not in before}}


def _turns(said: Mapping[str, Any]) -> tuple[list[tuple[str, Turn]], bool]:
    """The turns that are listed and count something, each with its kind; and whether some are of another model."""
    listed = said.get("iterations")
    turns = [one for one in listed[:MOST_ITERATIONS] if isinstance(one, dict)] if isinstance(listed, list) else []
    found = [(one["type"] if isinstance(one.get("type"), str) else "", _turn(one)) for one in turns]
    found = [(kind, turn) for kind, turn in found if turn != Turn()]
    return found, any(kind in OTHER_MODELS for kind, _turn in found)


def _turn(said: Mapping[str, Any]) -> Turn:
    """Where the split of what was written is absent all is of 5 minutes; where the total is, it is the split's sum."""
    written, written_1h = tokens(said, "cache_creation_input_tokens") or 0, 0
    split = said.get("cache_creation")
    if isinstance(split, dict):
        written_1h = tokens(split, "ephemeral_1h_input_tokens") or 0
        written = max(written, written_1h + (tokens(split, "ephemeral_5m_input_tokens") or 0))
    return Turn(
        fresh=tokens(said, "input_tokens") or 0,
        cached=tokens(said, "cache_read_input_tokens") or 0,
        written=written,
        written_1h=written_1h,
        output=tokens(said, "output_tokens") or 0,
    )


def _tool_calls(said: Mapping[str, Any], *, has_container: bool) -> dict[str, Any]:
    """What ran at the provider, by the unit that it is sold by."""
    told = said.get("server_tool_use")
    counts = told if isinstance(told, dict) else {}
    found: dict[str, Any] = {}
    if searches := tokens(counts, "web_search_requests"):
        found[WEB_SEARCH] = min(searches, MOST_SEARCHES)
    if has_container or tokens(counts, "code_execution_requests"):
        found[CODE_SESSION] = 1
    return found
