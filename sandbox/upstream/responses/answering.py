"""`POST /v1/responses`, `.../compact` and `.../input_tokens`: the same model behind OpenAI's newer protocol.

It reasons where it is asked to, calls a function or a free-text tool where it has to, and takes back only what it gave:
sealed reasoning, and results of calls that stand in the input.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox import crypto
from sandbox.upstream import chat, faults, text
from sandbox.upstream.model import coding, structured
from sandbox.upstream.responses import kept, shapes
from sandbox.upstream.responses.asked import messages_of, tools_of
from sandbox.upstream.stream import HEADERS, cut_or_hang
from sandbox.world import WORLD

Event = dict[str, Any]
THOUGHT = "The user wrote something. A short answer will do."
FREE_TEXT = "look at the sky"
LEAST = 16
FIRST = 4  # paces before the first event
ECHOED = ("instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "metadata", "reasoning",
          "store", "temperature", "text", "top_p", "truncation", "prompt_cache_key", "user")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """`frame` is the answer but for its items; `usage` in this protocol's names."""

    frame: Event
    items: list[Event]
    reason: str
    usage: Event | None
    fault: str


def routes() -> list[web.RouteDef]:
    return [
        web.post("/upstream/v1/responses", answer),
        *kept.routes(),
        web.post("/upstream/v1/responses/compact", compact),
        web.post("/upstream/v1/responses/input_tokens", count),
    ]


async def answer(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    if isinstance(body, web.Response):
        return body
    store = request.app[kept.STORE]
    try:
        fault = faults.name_of(body)
        body = store.with_kept(body)
        found = think(body, fault=fault)
    except kept.NotFound as missing:
        return missing.answer()
    except chat.Refused as refused:
        return _refused(refused)
    if (failed := await faults.refusal(fault)) is not None:
        return failed
    if fault in shapes.SHAPES:
        said = shapes.Said(response(found), [*events_of(found)], bool(body.get("stream")))
        sent = shapes.SHAPES[fault][1](said)
        return web.Response(body=sent.body, status=sent.status, headers={"Content-Type": sent.label, **sent.headers})
    entry = store.keep(body, response(found), [*events_of(found)])
    if body.get("background") and entry is not None and not body.get("stream"):
        return _json(entry.begun)
    if body.get("stream"):
        pace = chat.option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
        return await stream(request, found, pace=pace)
    if fault == "garbage":
        return web.Response(text="<!doctype html>not json", content_type="application/json")
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        return await chat.broken(request, response(found), is_cut=fault == "eof-mid-stream")
    return _json(response(found))


async def compact(request: web.Request) -> web.StreamResponse:
    """What the user said stays, the rest is sealed."""
    body = await _body(request)
    if isinstance(body, web.Response):
        return body
    try:
        if "max_output_tokens" in body:
            raise chat.Refused("Unknown parameter: 'max_output_tokens'.", param="max_output_tokens")
        found = think(body, fault=faults.name_of(body))
    except chat.Refused as refused:
        return _refused(refused)
    if (failed := await faults.refusal(found.fault)) is not None:
        return failed
    given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    kept = [item for item in given if item.get("role") == "user"]
    sealed = {"type": "compaction", "id": f"cmp_{crypto.letters(24)}"}
    sealed["encrypted_content"] = seal(sealed["id"])
    whole = {"id": found.frame["id"], "object": "response.compaction", "created_at": found.frame["created_at"]}
    usage = {} if found.usage is None else {"usage": found.usage}
    return _json({**whole, "output": [*kept, sealed], **usage})


async def count(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    if isinstance(body, web.Response):
        return body
    try:
        messages = messages_of(body)
    except chat.Refused as refused:
        return _refused(refused)
    tokens = text.prompt_tokens(messages, body.get("tools"))
    return _json({"object": "response.input_tokens", "input_tokens": tokens})


def think(body: Event, *, fault: str = "") -> Answer:
    """Raise `chat.Refused`. The field `sandbox` fixes length and usage, as for chat."""
    limit = body.get("max_output_tokens")
    if limit is not None and (type(limit) is not int or limit < LEAST):
        words = f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST}."
        raise chat.Refused(words, param="max_output_tokens")
    messages = messages_of(body)
    _check_sealed(body)
    names: Event = {name: body[name] for name in ("model", "tools", "sandbox") if name in body}
    said = chat.think({**names, "messages": messages, **({} if limit is None else {"max_tokens": limit})})
    step = None if chat.option(body, "tokens", 0) else _step(body, messages)
    call = _call(body) or _stepping(body, step)
    items = [_reasoning(body)] if _reasons(body) else []
    told = step if isinstance(step, str) else _fitting(body) or "".join(said.choices[0])
    items.append(call or _message(told))
    reasoned = len(text.tokens(THOUGHT)) if _reasons(body) else 0
    made = len(text.tokens(orjson.dumps(call).decode() if call else told))
    usage = usage_of(said.usage["prompt_tokens"], made + reasoned, reasoned=reasoned)
    asked = body.get("sandbox")
    if isinstance(asked, dict) and isinstance(asked.get("usage"), dict):
        usage |= asked["usage"]
    frame = {
        "id": f"resp_{crypto.letters(48)}",
        "object": "response",
        "created_at": int(time.time()),
        "background": bool(body.get("background")),
        "previous_response_id": body.get("previous_response_id"),
        "error": None,
        "incomplete_details": None,
        "model": said.model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        **{name: body[name] for name in ECHOED if name in body},
    }
    reason = "max_output_tokens" if said.finish == "length" and call is None else ""
    return Answer(frame=frame, items=items, reason=reason, usage=_bent(fault, usage), fault=fault)


def usage_of(prompt: int, made: int, *, reasoned: int = 0) -> Event:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": prompt + made,
    }


def response(found: Answer, **more: Any) -> Event:
    ending: Event = {"status": "completed"}
    if found.reason:
        ending = {"status": "incomplete", "incomplete_details": {"reason": found.reason}}
    return {**found.frame, **ending, "output": found.items, "usage": found.usage, **more}


def events_of(found: Answer) -> Iterator[Event]:
    """The head twice, each item in pieces, the end with usage."""
    begun = response(found, status="in_progress", output=[], usage=None, incomplete_details=None)
    events: list[Event] = [{"type": "response.created", "response": begun}]
    events.append({"type": "response.in_progress", "response": begun})
    for index, item in enumerate(found.items):
        events += [{**event, "output_index": index} for event in _item_events(item)]
    events.append(
        {"type": "response.incomplete" if found.reason else "response.completed", "response": response(found)}
    )
    for number, event in enumerate(events):
        yield {"type": event["type"], "sequence_number": number, **event}


def _item_events(item: Event) -> Iterator[Event]:
    at = {"item_id": item["id"]}
    if item["type"] == "message":
        [part] = item["content"]
        begun = {**item, "status": "in_progress", "content": []}
        at["content_index"] = 0
        opening, closing = "response.content_part.added", "response.content_part.done"
        words, name, key = part["text"], "response.output_text", "text"
        more: Event = {"logprobs": []}
    elif item["type"] == "reasoning":
        [part] = item["summary"]
        begun = {**item, "summary": []}
        at["summary_index"] = 0
        opening, closing = "response.reasoning_summary_part.added", "response.reasoning_summary_part.done"
        words, name, key, more = part["text"], "response.reasoning_summary_text", "text", {}
    else:
        part, opening, closing, more = {}, "", "", {}
        key = "arguments" if item["type"] == "function_call" else "input"
        begun = {**item, "status": "in_progress", key: ""}
        words, name = item[key], f"response.{'function_call' if key == 'arguments' else 'custom_tool_call'}_{key}"
    yield {"type": "response.output_item.added", "item": begun}
    if opening:
        yield {"type": opening, **at, "part": {**part, "text": ""}}
    pieces = text.tokens(words)
    for start in range(0, len(pieces), 2):
        delta = "".join(pieces[start : start + 2])
        yield {"type": f"{name}.delta", **at, "delta": delta, **more, "obfuscation": crypto.letters(6)}
    yield {"type": f"{name}.done", **at, key: words, **more}
    if closing:
        yield {"type": closing, **at, "part": part}
    yield {"type": "response.output_item.done", "item": item}


async def stream(request: web.Request, found: Answer, *, pace: float) -> web.StreamResponse:
    """`pace` is seconds between events."""
    sent = web.StreamResponse(headers=HEADERS)
    await sent.prepare(request)
    await asyncio.sleep(pace * FIRST)
    events = [*events_of(found)]
    middle = len(events) // 2
    for index, event in enumerate(events):
        if index == middle and await _go_wrong(request, sent, found):
            return sent
        if event is events[-1] and found.fault == "no-done":
            break
        await sent.write(shapes.framed(event))
        if pace and index:
            await asyncio.sleep(pace)
    await sent.write_eof()
    return sent


async def _go_wrong(request: web.Request, sent: web.StreamResponse, found: Answer) -> bool:
    """What a fault does in the middle; whether that is the end."""
    fault = found.fault
    if fault == "garbage":
        await sent.write(b"event: response.output_text.delta\ndata: {not json\n\n<html>\n\n")
    if fault == "error-in-stream":
        problem = {"code": "server_error", "message": "The server had an error.", "param": None}
        await sent.write(shapes.framed({"type": "error", "sequence_number": 0, **problem}))
        await sent.write_eof()
        return True
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        await cut_or_hang(request, is_cut=fault == "eof-mid-stream")
        return True
    return False


def seal(name: str) -> str:
    """What only this model can read: as strict as the real one, it takes back no other."""
    return f"gAAAA{name}.{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _check_sealed(body: Event) -> None:
    for index, item in enumerate(body["input"] if isinstance(body["input"], list) else ()):
        sealed = item.get("encrypted_content")
        if sealed is not None and sealed != seal(str(sealed)[5:].partition(".")[0]):
            words = f"The encrypted content for item {item.get('id')} could not be verified."
            raise chat.Refused(words, param=f"input[{index}].encrypted_content")


def _message(words: str) -> Event:
    part = {"type": "output_text", "text": words, "annotations": [], "logprobs": []}
    return {"id": f"msg_{crypto.letters(24)}", "type": "message", "status": "completed", "role": "assistant",
            "content": [part]}  # fmt: skip


def _reasons(body: Event) -> bool:
    reasoning = body.get("reasoning")
    return isinstance(reasoning, dict) and reasoning.get("effort") not in (None, "none")


def _reasoning(body: Event) -> Event:
    item: Event = {"id": f"rs_{crypto.letters(24)}", "type": "reasoning"}
    item["summary"] = [{"type": "summary_text", "text": THOUGHT}]
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = seal(item["id"])
    return item


def _call(body: Event) -> Event | None:
    """The first tool of the caller's, called with nothing or a few words, if the request demands a call."""
    choice = body.get("tool_choice")
    if choice in (None, "auto", "none"):
        return None
    tools = [tool for tool in tools_of(body) if tool["type"] in ("function", "custom")]
    if isinstance(choice, dict) and "name" in choice:
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    if not tools:
        return None
    tool = tools[0]
    return _calling(tool, structured.arguments(tool.get("parameters")) if tool["type"] == "function" else FREE_TEXT)


def _calling(tool: Event, given: dict[str, Any] | str) -> Event:
    """`given` are a function's arguments, or the text for a tool that takes one."""
    call: Event = {"status": "completed", "call_id": f"call_{crypto.letters(24)}", "name": tool["name"]}
    if "namespace" in tool:
        call["namespace"] = tool["namespace"]
    if isinstance(given, str):
        return {"id": f"ctc_{crypto.letters(24)}", "type": "custom_tool_call", **call, "input": given}
    return {
        "id": f"fc_{crypto.letters(24)}",
        "type": "function_call",
        **call,
        "arguments": orjson.dumps(given).decode(),
    }


def _step(body: Event, messages: list[Event]) -> coding.Call | str | None:
    """In a coding session, unless the caller wants no call."""
    said: list[str | None] = []
    for message in messages:
        if message["role"] in ("tool", "user"):
            said.extend([None] if message["role"] == "tool" else coding.texts_of(message["content"]))
    offered = [] if body.get("tool_choice") == "none" else tools_of(body)
    tools = [
        coding.Tool(tool["name"], (tool.get("parameters") or {}) if tool["type"] == "function" else None)
        for tool in offered
        if tool["type"] in ("function", "custom")
    ]
    return coding.step(said, tools)


def _stepping(body: Event, step: coding.Call | str | None) -> Event | None:
    if not isinstance(step, coding.Call):
        return None
    [tool, *_others] = [tool for tool in tools_of(body) if tool.get("name") == step.name]
    return _calling(tool, step.arguments)


def _fitting(body: Event) -> str:
    """An answer in the schema that was described, if one was."""
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") not in ("json_schema", "json_object"):
        return ""
    return orjson.dumps(structured.fitting(wanted.get("schema") or structured.ANSWER)).decode()


def _bent(fault: str, usage: Event) -> Event | None:
    """What is claimed instead of the truth."""
    if fault == "no-usage":
        return None
    if fault in ("huge-usage", "zero-usage"):
        tokens = 4_000_000_000 if fault == "huge-usage" else 0
        return {**usage, "input_tokens": tokens, "output_tokens": tokens, "total_tokens": 2 * tokens}
    return usage


async def _body(request: web.Request) -> Any:
    """The body as an object, or the answer that refuses it."""
    if refused := chat.check_key(request):
        return refused
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return faults.error(400, "invalid_request_error", "", "We could not parse the JSON body of your request.")
    if not isinstance(body, dict):
        return faults.error(400, "invalid_request_error", "", "The body must be a JSON object.")
    request.app[chat.CALLS].note(body, dict(request.headers))
    return body


def _refused(refused: chat.Refused) -> web.Response:
    error = {"message": str(refused), "type": "invalid_request_error", "param": refused.param or None, "code": None}
    return web.Response(body=orjson.dumps({"error": error}), status=400, content_type="application/json")


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
