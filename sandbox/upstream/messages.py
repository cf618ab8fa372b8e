"""`POST /v1/messages` and `/v1/messages/count_tokens`: the same model behind Anthropic's protocol.

It thinks where it is asked to, calls a tool where it has to, and counts what it reads from and writes to a cache: where
something is marked `cache_control`, a first turn writes the prompt and a later one reads it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox import crypto
from sandbox.upstream import chat, faults, message_shapes, text
from sandbox.upstream.model import coding, seals, structured
from sandbox.upstream.model.message_rules import blocks_in, check_beta, check_turns
from sandbox.upstream.stream import HEADERS, cut_or_hang
from sandbox.world import WORLD

Event = dict[str, Any]
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
TOO_LONG = "prompt is too long: 9 tokens > 8 maximum"
THOUGHT = "The user wrote something. A short answer will do."
FIRST = 4  # paces before the first event


@dataclass(frozen=True)
class Answer:
    """`pieces` are the text's tokens, `usage` in Anthropic's names."""

    id: str
    model: str
    pieces: list[str]
    thinks: bool
    tool: dict[str, Any] | None
    tool_id: str
    reason: str
    usage: dict[str, Any] | None
    fault: str


def routes() -> list[web.RouteDef]:
    return [
        web.post("/upstream/v1/messages", answer),
        web.post("/upstream/v1/messages/count_tokens", count),
    ]


async def count(request: web.Request) -> web.Response:
    if refused := _check_head(request):
        return refused
    body = orjson.loads(await request.read())
    return _json({"input_tokens": text.prompt_tokens(body["messages"], body.get("tools"))})


async def answer(request: web.Request) -> web.StreamResponse:
    if refused := _check_head(request):
        return refused
    try:
        body = orjson.loads(await request.read())
        if not isinstance(body, dict):
            raise chat.Refused("The body must be a JSON object.")
        request.app[chat.CALLS].note(body, dict(request.headers))
        check_beta(body, sent=request.headers.getall("anthropic-beta", []))
        fault = faults.name_of(body)
        found = think(body, fault=fault)
    except orjson.JSONDecodeError:
        return error(400, "We could not parse the JSON body of your request.")
    except chat.Refused as reason:
        return error(400, str(reason))
    if (failed := await refusal(fault)) is not None:
        return failed
    if fault in message_shapes.SHAPES:
        said = message_shapes.Said(message(found), [*events_of(found)], bool(body.get("stream")))
        sent = message_shapes.SHAPES[fault][1](said)
        return web.Response(body=sent.body, status=sent.status, headers={"Content-Type": sent.label, **sent.headers})
    if body.get("stream"):
        pace = chat.option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
        return await stream(request, found, pace=pace)
    if fault == "garbage":
        return web.Response(text="<!doctype html>not json", content_type="application/json")
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        return await chat.broken(request, message(found), is_cut=fault == "eof-mid-stream")
    return _json(message(found))


def think(body: dict[str, Any], *, fault: str = "") -> Answer:
    """Raise `chat.Refused`. The field `sandbox` fixes length and usage, as for chat."""
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise chat.Refused("max_tokens: Field required", param="max_tokens")
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and isinstance(budget := thinking.get("budget_tokens"), int) and budget >= limit:
        raise chat.Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    names: Event = {name: body[name] for name in ("model", "messages", "max_tokens", "sandbox") if name in body}
    said = chat.think(names)
    check_turns(body)
    step = _step(body)
    tool = _tool(body) or ({"name": step.name, "input": step.arguments} if isinstance(step, coding.Call) else None)
    pieces = [] if tool else text.tokens(step) if isinstance(step, str) else said.choices[0]
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if wanted and step is None and tool is None:
        pieces = text.tokens(orjson.dumps(structured.fitting(wanted.get("schema"))).decode())
    thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    made = len(pieces) + (len(text.tokens(THOUGHT)) if thinks else 0)
    made += len(text.tokens(orjson.dumps(tool).decode())) if tool else 0
    system = text.content_tokens(body.get("system"))
    usage: dict[str, Any] = {
        **_read_and_written(body, text.prompt_tokens(body["messages"], body.get("tools")) + system),
        "output_tokens": made,
        "service_tier": "standard",
    }
    asked = body.get("sandbox")
    if isinstance(asked, dict) and isinstance(asked.get("usage"), dict):
        usage |= asked["usage"]
    return Answer(
        id=f"msg_{crypto.letters(24)}",
        model=said.model,
        pieces=pieces,
        thinks=thinks,
        tool=tool,
        tool_id=f"toolu_{crypto.letters(20)}",
        reason="tool_use" if tool else "max_tokens" if said.finish == "length" else "end_turn",
        usage=_bent(fault, usage),
        fault=fault,
    )


def blocks_of(found: Answer) -> list[Event]:
    blocks: list[Event] = []
    if found.thinks:
        blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": seals.seal(THOUGHT)})
    if found.tool:
        blocks.append({"type": "tool_use", "id": found.tool_id, **found.tool})
    else:
        blocks.append({"type": "text", "text": "".join(found.pieces)})
    return blocks


def message(found: Answer) -> Event:
    whole: Event = {"id": found.id, "type": "message", "role": "assistant", "model": found.model}
    whole |= {"content": blocks_of(found), "stop_reason": found.reason, "stop_sequence": None}
    return whole if found.usage is None else {**whole, "usage": found.usage}


def events_of(found: Answer) -> Iterator[Event]:
    """The head, each block in pieces, the reason of the end with usage, the end."""
    head = {**message(found), "content": [], "stop_reason": None}
    if found.usage is not None:
        head["usage"] = {**found.usage, "output_tokens": 1}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(blocks_of(found)):
        empty, deltas = _in_pieces(block, found)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"type": "message_delta", "delta": {"stop_reason": found.reason, "stop_sequence": None}}
    yield delta if found.usage is None else {**delta, "usage": found.usage}
    yield {"type": "message_stop"}


def _in_pieces(block: Event, found: Answer) -> tuple[Event, list[Event]]:
    """A block as it begins, and what is added to it."""
    if block["type"] == "thinking":
        signature = {"type": "signature_delta", "signature": block["signature"]}
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in text.tokens(block["thinking"])]
        return {**block, "thinking": "", "signature": ""}, [*thoughts, signature]
    if block["type"] == "tool_use":
        said = orjson.dumps(block["input"]).decode()
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in text.tokens(said)]
        return {**block, "input": {}}, pieces
    return {**block, "text": ""}, [
        {"type": "text_delta", "text": "".join(found.pieces[start : start + 2])}
        for start in range(0, len(found.pieces), 2)
    ]


async def stream(request: web.Request, found: Answer, *, pace: float) -> web.StreamResponse:
    """`pace` is seconds between events."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    await asyncio.sleep(pace * FIRST)
    events = [*events_of(found)]
    middle = len(events) // 2
    for index, event in enumerate(events):
        if index == middle and await _go_wrong(request, response, found):
            return response
        if event["type"] == "message_stop" and found.fault == "no-done":
            break
        await response.write(message_shapes.framed(event))
        if pace and index:
            await asyncio.sleep(pace)
    await response.write_eof()
    return response


async def _go_wrong(request: web.Request, response: web.StreamResponse, found: Answer) -> bool:
    """What a fault does in the middle; whether that is the end."""
    fault = found.fault
    if fault in ("usage-middle", "usage-each"):
        delta = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 1}}
        await response.write(message_shapes.framed(delta))
    if fault == "garbage":
        await response.write(b"event: content_block_delta\ndata: {not json\n\n<html>\n\n")
    if fault == "error-in-stream":
        problem = {"type": "overloaded_error", "message": "Overloaded"}
        await response.write(message_shapes.framed({"type": "error", "error": problem}))
        await response.write_eof()
        return True
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        await cut_or_hang(request, is_cut=fault == "eof-mid-stream")
        return True
    return False


async def refusal(name: str) -> web.StreamResponse | None:
    """The answer of a fault that happens before the model speaks."""
    if name == "400":
        return error(400, TOO_LONG)
    if name in faults.ERRORS:
        status, _kind, _code, words = faults.ERRORS[name]
        return error(status, words, retry_after=2 if name == "429" else 0)
    if name == "529":
        return error(529, "Overloaded", retry_after=3)
    return await faults.refusal(name)


def error(status: int, words: str, *, retry_after: int = 0) -> web.Response:
    body = {"type": "error", "error": {"type": TYPES[status], "message": words}, "request_id": "req_sandbox"}
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def _bent(fault: str, usage: dict[str, Any]) -> dict[str, Any] | None:
    """What is claimed instead of the truth."""
    if fault == "no-usage":
        return None
    if fault in ("huge-usage", "zero-usage"):
        tokens = 4_000_000_000 if fault == "huge-usage" else 0
        return {**usage, "input_tokens": tokens, "output_tokens": tokens}
    return usage


def _read_and_written(body: dict[str, Any], prompt: int) -> dict[str, Any]:
    """The prompt's tokens by what the cache did with them."""
    raw = orjson.dumps(body)
    counts: dict[str, Any] = {"input_tokens": prompt, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    if b'"cache_control"' not in raw:
        return counts
    if any(message.get("role") == "assistant" for message in body["messages"]):
        return {**counts, "input_tokens": 0, "cache_read_input_tokens": prompt}
    hour = prompt if b'"ttl":"1h"' in raw else 0
    split = {"ephemeral_5m_input_tokens": prompt - hour, "ephemeral_1h_input_tokens": hour}
    return {**counts, "input_tokens": 0, "cache_creation_input_tokens": prompt, "cache_creation": split}


def _tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """The first tool of the caller's, called with what it requires, if the request demands a call."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or not isinstance(choice, dict) or choice.get("type") not in ("any", "tool"):
        return None
    known = {tool["name"]: tool["input_schema"] for tool in tools if isinstance(tool, dict) and "input_schema" in tool}
    name = choice.get("name") or next(iter(known), None)
    return {"name": name, "input": structured.arguments(known.get(name))} if name else None


def _step(body: dict[str, Any]) -> coding.Call | str | None:
    """In a coding session, unless the caller wants no call."""
    said: list[str | None] = []
    for message in body["messages"]:
        if message.get("role") == "user":
            for block in blocks_in(message):
                said.extend([None] if block.get("type") == "tool_result" else coding.texts_of([block]))
    offered = [] if (body.get("tool_choice") or {}).get("type") == "none" else body.get("tools") or []
    tools = [coding.Tool(tool["name"], tool["input_schema"]) for tool in offered if "input_schema" in tool]
    return coding.step(said, tools, instructions="".join(coding.texts_of(body.get("system"))))


def _check_head(request: web.Request) -> web.Response | None:
    key = request.headers.get("x-api-key", "")
    if not key or key == "sk-bad":
        return error(401, "invalid x-api-key")
    if not request.headers.get("anthropic-version"):
        return error(400, "anthropic-version: header is required")
    return None


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
