"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat ."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.estimate import Material, wide_bytes
from proxy.pricing import Usage
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, Call, Receipt, Reported

MOST_CHOICES = 128
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Reasoning models refuse `max_tokens`; everything else knows it, and old upstreams know nothing newer.
NEEDS_COMPLETION_LIMIT = re.compile(r"^(o\d|gpt-5)")
LIMITS = ("max_completion_tokens", "max_tokens")
# At these tiers providers bill what the catalog's price says, or less.
PRICED_TIERS = frozenset({"auto", "default", "flex"})
# Tools that run with the caller. A provider's own, such as a web search, are billed by the call.
PRICED_TOOLS = frozenset({"function", "custom"})
# Parts whose tokens are in their bytes. One that is neither these nor known media counts as a file.
TEXT_PARTS = frozenset({"text", "refusal", "thinking", "reasoning"})
DATA_FIELDS = {"image_url": "url", "input_audio": "data", "file": "file_data"}
# The same count under OpenAI's name, and under others that OpenAI-like upstreams use (DeepSeek, Moonshot, LiteLLM).
CACHE_READS = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
AUDIO_FORMATS = frozenset({"wav", "mp3"})

name = "openai"


def read_request(raw: bytes) -> Call:
    """Raise `BadRequest` unless the body is a chat completion that can be held, forwarded and priced."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("`model` must be a model id such as openai/gpt-4.1-nano.", param="model")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("`stream` must be true or false.", param="stream")
    choices = _whole(body, "n", least=1, most=MOST_CHOICES)
    limits = [limit for name in LIMITS if (limit := _whole(body, name, least=1, most=MOST_OUTPUT_TOKENS)) is not None]
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("`stream_options` must be an object.", param="stream_options")
    _refuse_unpriced(body)
    return Call(
        model=model,
        stream=bool(stream),
        output_limit=max(limits, default=None),
        choices=choices or 1,
        material=_material(raw, body),
        body=body,
    )


def _refuse_unpriced(body: Mapping[str, Any]) -> None:
    """What a provider bills beyond the tokens of a model's price cannot be held or charged, so it is not forwarded."""
    tier = body.get("service_tier")
    if tier is not None and tier not in PRICED_TIERS:
        raise BadRequest("`service_tier` may be auto, default or flex here.", param="service_tier")
    if body.get("web_search_options") is not None:
        raise BadRequest("`web_search_options` is not on offer here.", param="web_search_options")
    if body.get("search_parameters") is not None:
        raise BadRequest("`search_parameters` is not on offer here.", param="search_parameters")
    tools = body.get("tools")
    if isinstance(tools, list) and any(isinstance(t, dict) and t.get("type") not in PRICED_TOOLS for t in tools):
        raise BadRequest("`tools` may be of the types function and custom here.", param="tools")
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadRequest('`modalities` may only be ["text"] here.', param="modalities")


def _whole(body: Mapping[str, Any], field: str, *, least: int, most: int) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"`{field}` must be a whole number from {least} to {most}.", param=field)
    return value


def _material(raw: bytes, body: Mapping[str, Any]) -> Material:
    images = low_images = audio = files = data_bytes = 0
    for part in _parts(body):
        kind = part["type"]
        if kind in TEXT_PARTS:
            continue
        held = part.get(kind)
        data = _data(held, kind)
        data_bytes += len(data)
        if kind == "image_url" and (not data or data.startswith("data:image/")):
            if isinstance(held, dict) and held.get("detail") == "low":
                low_images += 1
            else:
                images += 1
        elif data and isinstance(held, dict) and held.get("format") in AUDIO_FORMATS and kind == "input_audio":
            audio += len(data)
        else:
            files += 1
    prediction = body.get("prediction")
    return Material(
        text_bytes=len(raw) - data_bytes,
        wide=wide_bytes(raw),
        images=images,
        low_images=low_images,
        audio=audio,
        files=files,
        tools=bool(body.get("tools") or body.get("functions")),
        predicted=0 if prediction is None else len(orjson.dumps(prediction)),
    )


def _data(held: Any, kind: str) -> str:
    """The base64 in an image's URL, an audio's or a file's data: counted by the piece, not by the byte."""
    if isinstance(held, dict):
        held = held.get(DATA_FIELDS.get(kind, ""))
        if kind == "input_audio" and isinstance(held, str) and held.isascii() and not held.startswith("http"):
            return held
    return held if isinstance(held, str) and held.startswith("data:") and held.isascii() else ""


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("`messages` must be a list of at least one message.", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(f"`messages[{index}]` must be an object.", param=f"messages[{index}]")
        if message.get("role") not in ROLES:
            raise BadRequest(
                f"`messages[{index}].role` must be one of {', '.join(sorted(ROLES))}.", param=f"messages[{index}].role"
            )
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                    raise BadRequest(
                        f"`messages[{index}].content` must hold objects with a `type`.",
                        param=f"messages[{index}].content",
                    )
                yield part
        elif content is not None and not isinstance(content, str):
            raise BadRequest(
                f"`messages[{index}].content` must be a text or a list of parts.", param=f"messages[{index}].content"
            )


def upstream_body(call: Call, *, upstream_model: str, output_limit: int | None) -> bytes:
    """The body as it came, with the upstream's name for the model, the limit that was held, and usage asked for."""
    body = {**call.body, "model": upstream_model}
    if output_limit is not None:
        named = [field for field in LIMITS if body.get(field) is not None]
        for field in named or [
            "max_completion_tokens" if NEEDS_COMPLETION_LIMIT.match(upstream_model) else "max_tokens"
        ]:
            body[field] = output_limit
    if call.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(body)


def read_usage(usage: Any) -> Usage | None:
    """An answer's `usage`, or None where it is absent or not in whole numbers."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    reasoning = _tokens(usage.get("completion_tokens_details"), "reasoning_tokens") or 0
    total = _tokens(usage, "total_tokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI and Gemini leave it out of the completion, and bill it
    written, long_written = _cache_writes(usage, details)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=_first(details, usage, CACHE_READS),
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
    return Reported(usage=read_usage(answer.get("usage")), finish_reason=reason[:40] if isinstance(reason, str) else "")


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
