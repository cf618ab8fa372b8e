"""A chat completion as a caller asks for it: read, checked, and put together again for an upstream.

https://platform.openai.com/docs/api-reference/chat
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.estimate import Material, wide_bytes
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, Call

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
AUDIO_FORMATS = frozenset({"wav", "mp3"})


def read(raw: bytes) -> Call:
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
        include_usage=bool(options and options.get("include_usage")),
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
