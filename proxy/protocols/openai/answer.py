"""A chat completion's answer: what it says it used, and how it and an error look under our name."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.pricing import Usage
from proxy.protocols.base import Receipt, Reported

# The same count under OpenAI's name, and under others that OpenAI-like upstreams use (DeepSeek, Moonshot, LiteLLM).
CACHE_READS = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def usage(told: Any) -> Usage | None:
    """An answer's `usage`, or None where it is absent or not in whole numbers."""
    if not isinstance(told, dict):
        return None
    prompt, completion = _tokens(told, "prompt_tokens"), _tokens(told, "completion_tokens")
    if prompt is None or completion is None:
        return None
    details = told.get("prompt_tokens_details")
    reasoning = _tokens(told.get("completion_tokens_details"), "reasoning_tokens") or 0
    total = _tokens(told, "total_tokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI and Gemini leave it out of the completion, and bill it
    written, long_written = _cache_writes(told, details)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=_first(details, told, CACHE_READS),
        cache_write_tokens=written,
        cache_write_1h_tokens=long_written,
        reasoning_tokens=reasoning,
    )


def _cache_writes(usage: Mapping[str, Any], details: Any) -> tuple[int, int]:
    """Tokens written to a cache, and those of them for an hour. Where the split is absent all are of 5 minutes; where
    the total is, it is the split's sum."""
    split = usage.get("cache_creation")
    if not isinstance(split, dict):
        return _first(details, usage, CACHE_WRITES), 0
    long_written = _tokens(split, "ephemeral_1h_input_tokens") or 0
    short = _tokens(split, "ephemeral_5m_input_tokens") or 0
    return max(_first(details, usage, CACHE_WRITES), short + long_written), long_written


def _first(details: Any, usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """The first of these counts that is told, in the details or beside them."""
    places = (details, usage) if isinstance(details, dict) else (usage,)
    for name in names:
        for counts in places:
            if name in counts and (value := _tokens(counts, name)) is not None:
                return value
    return 0


def _tokens(counts: Any, field: str) -> int | None:
    value = counts.get(field) if isinstance(counts, dict) else None
    return value if type(value) is int and 0 <= value < 1 << 62 else None


def read_answer(answer: Mapping[str, Any]) -> Reported:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    reason = first.get("finish_reason")
    return Reported(usage=usage(answer.get("usage")), finish_reason=reason[:40] if isinstance(reason, str) else "")


def texts(answer: Mapping[str, Any]) -> Iterator[str]:
    """The texts of an answer's choices: what was produced, should its usage be missing."""
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        message = choice.get("message") if isinstance(choice, dict) else None
        for field in ("content", "reasoning_content", "refusal"):
            text = message.get(field) if isinstance(message, dict) else None
            if isinstance(text, str):
                yield text


def decorate(answer: dict[str, Any], receipt: Receipt) -> bytes:
    """The answer with our id and what it cost."""
    answer["id"] = receipt.generation_id
    answer["x_chuizi"] = {
        "generation_id": receipt.generation_id,
        "latency_ms": receipt.latency_ms,
        "cost": f"{receipt.cost:f}",
    }
    return orjson.dumps(answer)


def usage_dict(usage: Usage) -> dict[str, Any]:
    """Our count of a stream whose upstream gave none, in OpenAI's shape."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def error(refusal: Refusal) -> bytes:
    body: dict[str, Any] = {"message": refusal.message, "type": refusal.type, "code": refusal.code}
    if refusal.param is not None:
        body["param"] = refusal.param
    return orjson.dumps({"error": body})
