"""What an OpenAI-like upstream says that it used, under the names and in the places that such upstreams have for it."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from core.records import value
from proxy.prices.units import CACHE_WRITE, CITATION, MODALITIES, WEB_SEARCH
from proxy.prices.usage import Usage, counted, is_shown_alike
from proxy.protocols.base import amount_of
from proxy.protocols.counts import MOST_TOKENS, is_counted, tokens, with_cost, without_cost
from proxy.protocols.counts import Told as AnyTold
from proxy.protocols.openai.choices import choices_of

PLAIN = ("prompt_tokens", "completion_tokens", "total_tokens")
PROMPT = ("prompt_tokens", "input_tokens")
COMPLETION = ("completion_tokens", "output_tokens")
PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
# The same count under OpenAI's name, and under others that OpenAI-like upstreams use (DeepSeek, Moonshot, LiteLLM).
CACHE_READS = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens")
BY_MODALITY = tuple((name, f"{name}_tokens") for name in MODALITIES)
USUAL = (
    (*PLAIN, PROMPT_DETAILS[0], COMPLETION_DETAILS[0]),
    ("input_tokens", "output_tokens", "total_tokens", PROMPT_DETAILS[1], COMPLETION_DETAILS[1]),
)
"""The members of most answers' usage: OpenAI's own, in chat and in Responses."""
CACHED_DETAILS = "cached_tokens_details"
WRITTEN_DETAILS = "cache_write_tokens_details"
WRITTEN_FOR = ((f"{CACHE_WRITE}_30m", "ttl_30m_tokens"), (f"{CACHE_WRITE}_12h", "ttl_12h_tokens"))
REASONING = ("reasoning_tokens",)
CITATIONS, SEARCHES = "citation_tokens", "num_search_queries"
TICKS, TICKS_A_DOLLAR = "cost_in_usd_ticks", Decimal(10) ** 10
"""docs.x.ai/developers/cost-tracking."""
MOST_SEARCHES = 1_000_000


@value
class Told(AnyTold):
    """`is_plain` where it is the three counts and nothing else."""

    is_plain: bool = False


def find(answer: Mapping[str, Any]) -> Told | None:
    """The usage of an answer or of a stream's event, wherever it stands; None where none can be read."""
    first = read(answer.get("usage"))
    if is_counted(first):
        return first
    found = [told for place in _places(answer) if (told := read(place)) is not None]
    return next(filter(is_counted, found), None) or next(iter(found), None)


def _places(answer: Mapping[str, Any]) -> Iterator[Any]:
    holders: list[Any] = [answer, answer.get("x_groq"), answer.get("message")]
    for choice in choices_of(answer):
        holders += (choice, choice.get("message"), choice.get("delta"))
    return (holder["usage"] for holder in holders if isinstance(holder, dict) and holder.get("usage"))


def read(said: Any) -> Told | None:
    """A usage object understood, or None where it tells neither of input nor of output in whole numbers."""
    if not isinstance(said, dict):
        return None
    prompt, completion, total = [tokens(said, name) for name in PLAIN]
    if len(said) == 3 and prompt is not None and completion is not None and total == prompt + completion:
        return Told(usage=Usage(input_tokens=prompt, output_tokens=completion), said=said, is_plain=True)
    if len(said) == len(USUAL[0]) and (usual := _usual(said)) is not None:
        return Told(usage=usual, said=said)
    prompt, completion = _one_of(said, PROMPT), _one_of(said, COMPLETION)
    if prompt is None and completion is None:
        return None
    is_odd = prompt is None or completion is None
    if prompt is None:
        prompt = max((total or 0) - (completion or 0), 0)
    elif completion is None:
        completion = max((total or 0) - prompt, 0)
    completion = completion or 0
    made = _dicts(said, COMPLETION_DETAILS)
    if apart := _beside_completion(said):
        total = total if total != prompt + completion else prompt + completion + apart
        completion += apart
    reasoning = _first((*made, said), REASONING) or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI and Gemini leave it out of the completion, and bill it
    elif reasoning > completion:
        completion, is_odd = completion + reasoning, True
    brought = _dicts(said, PROMPT_DETAILS)
    details = (*brought, said)
    cached = _first(details, CACHE_READS) or 0
    written, long_written = _cache_writes(said, details)
    if _is_beside(said, prompt=prompt, beside=cached + written, completion=completion, total=total):
        prompt, is_odd = prompt + cached + written, True
    if prompt and total is not None and total != prompt + completion:
        # Gemini leaves thinking out of the completion, tells of it in the total alone, and bills it.
        completion, is_odd = max(completion, total - prompt), True
    usage = counted(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=long_written,
        reasoning_tokens=reasoning,
        **_rare(said, brought, made),
    )
    return Told(usage=usage, said=said, is_odd=is_odd)


def _usual(said: Mapping[str, Any]) -> Usage | None:
    """What five members tell that have nothing rare about them; None where they have."""
    names = USUAL["input_tokens" in said]
    prompt, completion, total, brought, made = [said.get(name) for name in names]
    if not type(prompt) is type(completion) is type(total) is int or total != prompt + completion:
        return None
    if not isinstance(brought, dict) or not isinstance(made, dict):
        return None
    cached, reasoning = brought.get(CACHE_READS[0]), made.get(REASONING[0])
    if not type(cached) is type(reasoning) is int or not (0 <= cached <= prompt and 0 <= reasoning <= completion):
        return None
    rare = [count for name, count in brought.items() if name != CACHE_READS[0]]
    rare += [count for name, count in made.items() if name != REASONING[0]]
    if any(rare) or max(prompt, completion) >= MOST_TOKENS:
        return None
    return Usage(prompt, completion, cached, 0, 0, reasoning)


def usage(said: Any) -> Usage | None:
    told = read(said)
    return None if told is None else told.usage


def shown(told: Told | None, used: Usage, *, cost: Decimal) -> bytes:
    """The usage that the caller sees, as JSON: what the upstream said if that is what is billed, with our `cost` alone.

    `cost` in USD; a number, for clients that know OpenRouter's.
    """
    is_told = told is not None and is_shown_alike(told.usage, used)
    if told is not None and told.is_plain and is_told:
        counted = (used.input_tokens, used.output_tokens, used.input_tokens + used.output_tokens)
        return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"cost":%b}' % (
            *counted,
            f"{cost:f}".encode(),
        )
    counts: dict[str, Any] = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    if told is None:
        pass
    elif is_told and not told.is_odd:
        kept = without_cost(told.said)
        for name, count in counts.items():
            if type(kept.get(name)) is not int:
                kept[name] = count
        counts = kept
    else:
        counts["prompt_tokens_details"] = {"cached_tokens": used.cached_tokens}
        counts["completion_tokens_details"] = {"reasoning_tokens": used.reasoning_tokens}
    return with_cost(counts, cost)


def stated_cost(told: Told | None) -> Decimal | None:
    """What an upstream says that it charges, in USD, where OpenRouter, LiteLLM, Perplexity or xAI has it."""
    if told is None:
        return None
    cost = told.said.get("cost")
    if isinstance(cost, dict):  # Perplexity
        cost = cost.get("total_cost")
    if cost is None and (ticks := tokens(told.said, TICKS)) is not None:
        cost = str(ticks / TICKS_A_DOLLAR)
    return None if cost is None else amount_of(cost)


def _is_beside(said: Mapping[str, Any], *, prompt: int, beside: int, completion: int, total: int | None) -> bool:
    """Whether what was read from and written to a cache stands beside the prompt's tokens, as Anthropic counts."""
    if beside > prompt:
        return True
    if not beside:
        return False
    if total is not None:
        return total == prompt + beside + completion
    return "prompt_tokens" not in said and any(name in said for name in ANTHROPIC)


def _beside_completion(said: Mapping[str, Any]) -> int:
    """The tokens that stand beside the completion, and that its total leaves out, where Perplexity counts them."""
    if CITATIONS not in said and SEARCHES not in said:
        return 0
    return (tokens(said, CITATIONS) or 0) + (tokens(said, REASONING[0]) or 0)


def _cache_writes(said: Mapping[str, Any], details: tuple[Mapping[str, Any], ...]) -> tuple[int, int]:
    """Tokens written to a cache, and those of them for an hour. Where the split is absent all are of 5 minutes; where
    the total is, it is the split's sum."""
    written = _first(details, CACHE_WRITES) or 0
    split = said.get("cache_creation")
    if not isinstance(split, dict):
        return written, 0
    long_written = tokens(split, "ephemeral_1h_input_tokens") or 0
    short = tokens(split, "ephemeral_5m_input_tokens") or 0
    return max(written, short + long_written), long_written


def _rare(
    said: Mapping[str, Any], brought: tuple[Mapping[str, Any], ...], made: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    """What `counted` takes beside the usual counts; most answers tell of nothing such."""
    found: dict[str, Any] = {}
    if sums := _by_modality(brought):
        told = [held for place in brought if isinstance(held := place.get(CACHED_DETAILS), dict)]
        found = {"brought": sums, "cached": _by_modality(told) if told else None}
    if sums := _by_modality(made):
        found["made"] = sums
    more = _searches(said)
    for place in brought:
        if isinstance(written := place.get(WRITTEN_DETAILS), dict):
            more |= {unit: count for unit, name in WRITTEN_FOR if (count := tokens(written, name))}
    if citations := tokens(said, CITATIONS):
        more[CITATION] = citations
    if more:
        found["more"] = more
    return found


def _by_modality(places: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The tokens of sound, pictures and films among them, as these details tell."""
    found: dict[str, int] = {}
    for place in places:
        for name, field in BY_MODALITY:
            if place.get(field) and (count := tokens(place, field)):
                found.setdefault(name, count)
    return found


def _searches(said: Mapping[str, Any]) -> dict[str, int]:
    """Searches of the web in the midst of the request, where Anthropic-like and Perplexity-like usage tells them."""
    tools = said.get("server_tool_use")
    count = tokens(tools, "web_search_requests") if isinstance(tools, dict) else None
    count = tokens(said, SEARCHES) if count is None else count
    return {} if count is None else {WEB_SEARCH: min(count, MOST_SEARCHES)}


def _one_of(said: Mapping[str, Any], names: tuple[str, str]) -> int | None:
    ours, theirs = (tokens(said, name) for name in names)
    return ours or theirs or (theirs if ours is None else ours)


def _dicts(said: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Mapping[str, Any], ...]:
    return tuple(held for name in names if isinstance(held := said.get(name), dict))


def _first(places: tuple[Mapping[str, Any], ...], names: tuple[str, ...]) -> int | None:
    """The first of these counts that is told, in the details or beside them."""
    for name in names:
        for counts in places:
            if name in counts and (value := tokens(counts, name)) is not None:
                return value
    return None
