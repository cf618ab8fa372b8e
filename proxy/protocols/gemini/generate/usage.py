"""What an answer says that it used. https://ai.google.dev/api/generate-content#UsageMetadata

Input is the prompt, what was read from a cache included, and what a provider's tools found; output is the candidates
and the thoughts. Zeros are left out. What tokens stand for beside text is told by modality.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from proxy.prices.units import CODE_SESSION, MODALITIES, WEB_SEARCH
from proxy.prices.usage import Usage, counted, is_shown_alike
from proxy.protocols.counts import Told, tokens, with_cost, without_cost

NAME = "usageMetadata"
MADE, TOTAL = ("candidatesTokenCount", "thoughtsTokenCount"), "totalTokenCount"
"""What tells of output."""
MOST_DETAILS = 20
MOST_QUERIES = 1_000
ONCE = ("gemini-1", "gemini-2")
"""Models of which a request is billed as one search, however often they searched; newer ones by the query."""


def read(said: Any, *, searches: int = 0, has_run: bool = False) -> Told | None:
    """A usage object understood, or None where it tells of no input and no output in whole numbers.

    `searches` of the web, and whether code `has_run`, stand elsewhere in an answer.
    """
    if not isinstance(said, dict):
        return None
    prompt, found = tokens(said, "promptTokenCount"), tokens(said, "toolUsePromptTokenCount") or 0
    made, thought = tokens(said, "candidatesTokenCount"), tokens(said, "thoughtsTokenCount")
    if prompt is None and made is None and thought is None:
        return None
    input_tokens, output_tokens = (prompt or 0) + found, (made or 0) + (thought or 0)
    total, is_odd = tokens(said, TOTAL), prompt is None
    if total is not None and total not in (input_tokens + output_tokens, (prompt or 0) + output_tokens):
        if thought and made and thought <= made and total == input_tokens + made:
            output_tokens = made  # the thoughts are among the candidates
        else:
            is_odd = True
            output_tokens = max(output_tokens, total - input_tokens)
    cached = tokens(said, "cachedContentTokenCount") or 0
    brought = _by_modality(said, "promptTokensDetails", "toolUsePromptTokensDetails")
    more = {**({WEB_SEARCH: searches} if searches else {}), **({CODE_SESSION: 1} if has_run else {})}
    usage = counted(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=min(cached, input_tokens),
        reasoning_tokens=min(thought or 0, output_tokens),
        brought=brought,
        cached=_by_modality(said, "cacheTokensDetails"),
        made=_by_modality(said, "candidatesTokensDetails"),
        more=more or None,
    )
    return Told(usage, said, is_odd or cached > input_tokens)


def searches_of(answer: Mapping[str, Any]) -> int:
    """Searches of the web that are billed, by what grounds the answer."""
    queries = set[str]()
    has_any = False
    candidates = answer.get("candidates")
    for one in candidates if isinstance(candidates, list) else ():
        grounds = one.get("groundingMetadata") if isinstance(one, dict) else None
        if isinstance(grounds, dict):
            named = grounds.get("webSearchQueries")
            named = named[:MOST_QUERIES] if isinstance(named, list) else []
            queries.update(query for query in named if isinstance(query, str) and query)
            has_any = has_any or bool(grounds.get("groundingChunks"))
    model = answer.get("modelVersion")
    is_once = isinstance(model, str) and model.rpartition("/")[2].startswith(ONCE)
    return int(bool(queries) or has_any) if is_once else max(len(queries), int(has_any))


def has_run(answer: Mapping[str, Any]) -> bool:
    """Whether the provider ran code for it."""
    candidates = answer.get("candidates")
    for one in candidates if isinstance(candidates, list) else ():
        content = one.get("content") if isinstance(one, dict) else None
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and (part.get("executableCode") or part.get("codeExecutionResult")):
                return True
    return False


def tier_of(told: Told | None) -> str:
    """The service tier that was served, as prices name it."""
    tier = None if told is None else told.said.get("serviceTier")
    return tier.lower().removeprefix("service_tier_") if isinstance(tier, str) else ""


def merged(before: Mapping[str, Any], said: Any) -> Mapping[str, Any]:
    """Each field's last value that is not null: every chunk of a stream tells of its usage, cumulatively."""
    if not isinstance(said, dict):
        return before
    return {**before, **{name: value for name, value in said.items() if value is not None}}


def shown(told: Told | None, used: Usage, *, cost: Decimal) -> bytes:
    """The usage that the caller sees, as JSON: what was said if that is what is billed, else what is; with our `cost`
    alone, a number of USD."""
    if told is not None and not told.is_odd and is_shown_alike(told.usage, used):
        counts = without_cost(told.said)
    else:
        counts = {
            "promptTokenCount": used.input_tokens,
            "cachedContentTokenCount": used.cached_tokens,
            "candidatesTokenCount": max(0, used.output_tokens - used.reasoning_tokens),
            "thoughtsTokenCount": used.reasoning_tokens,
            TOTAL: used.input_tokens + used.output_tokens,
        }
    return with_cost(counts, cost)


def _by_modality(said: Mapping[str, Any], *names: str) -> dict[str, int] | None:
    """Tokens of sound, pictures and films; None where nothing is told of them."""
    found: dict[str, int] = {}
    for name in names:
        details = said.get(name)
        for one in details[:MOST_DETAILS] if isinstance(details, list) else ():
            kind = one.get("modality") if isinstance(one, dict) else None
            if isinstance(kind, str) and (modality := kind.lower()) in MODALITIES:
                found[modality] = found.get(modality, 0) + (tokens(one, "tokenCount") or 0)
    return found or None
