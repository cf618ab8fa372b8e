"""`POST /v1/chat/completions`: what is asked, checked and answered, as JSON or as a stream."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from sandbox import crypto
from sandbox.upstream import faults, shapes, text
from sandbox.upstream.model import coding, structured
from sandbox.upstream.stream import chunks_of, cut_or_hang, frame_of, stream
from sandbox.world import WORLD

MODELS = ("sandbox-1", "gpt-4.1-nano", "gpt-4.1-mini", "gpt-4.1", "claude-sonnet-4-6", "deepseek-chat")
KEPT = 200
LONGEST = 100_000  # tokens of one answer
MOST_ID = 64  # characters of a call's id


@dataclass
class Calls:
    """What the model saw since it was last asked to forget."""

    total: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    last: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        self.total += 1
        self.by_model[str(body.get("model"))] += 1
        shown = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "x-api-key")}
        self.last.append({"at": time.time(), "body": body, "headers": shown})


CALLS = web.AppKey("calls", Calls)


@dataclass(frozen=True)
class Answer:
    """`choices` are texts as tokens; `calls` the tool call of each, if it makes one."""

    id: str
    created: int
    model: str
    choices: list[list[str]]
    finish: str
    usage: dict[str, Any]
    fault: str
    tool_call: dict[str, Any] | None = None


class Refused(Exception):
    """A request the model does not take; `param` names the field."""

    def __init__(self, message: str, *, param: str = "") -> None:
        super().__init__(message)
        self.param = param


def routes() -> list[web.RouteDef]:
    return [
        web.post("/upstream/v1/chat/completions", complete),
        web.get("/upstream/v1/models", models),
    ]


async def models(request: web.Request) -> web.Response:
    if refused := check_key(request):
        return refused
    data = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"} for name in MODELS]
    return _json({"object": "list", "data": data})


async def complete(request: web.Request) -> web.StreamResponse:
    if refused := check_key(request):
        return refused
    try:
        body = orjson.loads(await request.read())
        if not isinstance(body, dict):
            raise Refused("The body must be a JSON object.")
        request.app[CALLS].note(body, dict(request.headers))
        fault = faults.name_of(body)
        answer = think(body, fault=fault)
        check_calls(body["messages"])
    except orjson.JSONDecodeError:
        return faults.error(400, "invalid_request_error", "", "We could not parse the JSON body of your request.")
    except Refused as reason:
        return faults.error(400, "invalid_request_error", "", str(reason))
    if (failed := await faults.refusal(fault)) is not None:
        return failed
    if fault in shapes.SHAPES:
        return _shaped(answer, shapes.SHAPES[fault][1], is_stream=bool(body.get("stream")))
    if body.get("stream"):
        options = body.get("stream_options")
        wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        pace = option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
        return await stream(request, answer, wants_usage=wants_usage, pace=pace)
    if fault == "garbage":
        return web.Response(text="<!doctype html>not json", content_type="application/json")
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        return await broken(request, _body(answer), is_cut=fault == "eof-mid-stream")
    return _json(_body(answer))


def think(body: dict[str, Any], *, fault: str = "") -> Answer:
    """Raise `Refused`.

    The field `"sandbox": {"tokens": 200, "usage": {...}}` fixes the answer's length and what is claimed for it.
    """
    messages, model = body.get("messages"), body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused("you must provide a model parameter", param="model")
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid 'messages': empty array. Expected an array with minimum length 1.", param="messages")
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        raise Refused("Invalid 'messages': each needs a role.", param="messages")
    limit = _limit(body)
    count = body.get("n") or 1
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise Refused("Invalid 'n': integer from 1 to 128.", param="n")
    length = int(option(body, "tokens", 0))
    said = text.of_length(min(length, LONGEST)) if length else text.reply(text.question(messages), model=model)
    step = None if length else _step(body)
    call = None if length else _tool_call(body) or _called(step)
    if isinstance(step, str) and call is None:
        said = step
    elif not length and call is None and (schema := _schema(body)) is not None:
        said = orjson.dumps(structured.fitting(schema)).decode()
    pieces = text.tokens(orjson.dumps(call["function"]).decode() if call else said)
    is_cut = limit is not None and len(pieces) > limit and call is None
    if is_cut:
        pieces = pieces[:limit]
    prompt, completion = text.prompt_tokens(messages, body.get("tools")), len(pieces) * count
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    asked = body.get("sandbox")
    if isinstance(asked, dict) and isinstance(asked.get("usage"), dict):
        usage |= asked["usage"]
    return Answer(
        id=f"chatcmpl-{crypto.letters(29)}",
        created=int(time.time()),
        model=model,
        choices=[pieces] * count,
        finish="length" if is_cut else "tool_calls" if call else "stop",
        usage=usage,
        fault=fault,
        tool_call=call,
    )


def _body(answer: Answer) -> dict[str, Any]:
    choices = []
    for index, pieces in enumerate(answer.choices):
        message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces), "refusal": None}
        if answer.tool_call:
            message |= {"content": None, "tool_calls": [answer.tool_call]}
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish})
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices,
        "system_fingerprint": "fp_sandbox",
    }
    usage = faults.bent_usage(answer.fault, answer.usage)
    return body if usage is None else {**body, "usage": usage}


def _shaped(answer: Answer, make: Callable[[shapes.Said], shapes.Sent], *, is_stream: bool) -> web.Response:
    """The answer in one piece, in the shape that was asked for."""
    whole = _body(answer)
    chunks = [*chunks_of(answer), {**frame_of(answer), "choices": [], "usage": whole["usage"]}]
    sent = make(shapes.Said(whole, chunks, is_stream))
    return web.Response(body=sent.body, status=sent.status, headers={"Content-Type": sent.label, **sent.headers})


async def broken(request: web.Request, told: dict[str, Any], *, is_cut: bool) -> web.StreamResponse:
    """Half of a JSON answer, then the end of the connection, or nothing more."""
    whole = orjson.dumps(told)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    await cut_or_hang(request, is_cut=is_cut)
    return response


def _limit(body: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = body.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise Refused(f"Invalid '{name}': integer below minimum value. Expected a value >= 1.", param=name)
        return limit
    return None


def _tool_call(body: dict[str, Any]) -> dict[str, Any] | None:
    """The first function, called with what it requires, if the request demands a call."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or not tools or choice in (None, "auto", "none"):
        return None
    known = {
        tool["function"]["name"]: tool["function"] for tool in tools if isinstance(tool, dict) and "function" in tool
    }
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else next(iter(known), None)
    if not name:
        return None
    return _called(coding.Call(name, structured.arguments(known.get(name, {}).get("parameters"))))


def _step(body: dict[str, Any]) -> coding.Call | str | None:
    """In a coding session, unless the caller wants no call."""
    said: list[str | None] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            said.append(None)
        elif message["role"] == "user":
            said.extend(coding.texts_of(message.get("content")))
    functions = [tool.get("function") or {} for tool in body.get("tools") or () if isinstance(tool, dict)]
    tools = [coding.Tool(one["name"], one.get("parameters") or {}) for one in functions if one.get("name")]
    instructions = [
        each
        for message in body["messages"]
        if message["role"] in ("system", "developer")
        for each in coding.texts_of(message.get("content"))
    ]
    offered = [] if body.get("tool_choice") == "none" else tools
    return coding.step(said, offered, instructions="".join(instructions))


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """In which the answer is to be. Raise `Refused`."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") == "text":
        return None
    if wanted.get("type") == "json_object":
        return structured.ANSWER
    described = wanted.get("json_schema")
    if not isinstance(described, dict) or not described.get("name"):
        raise Refused("Missing required parameter: 'response_format.json_schema.name'.", param="response_format")
    return dict(described.get("schema") or {})


def _called(step: coding.Call | str | None) -> dict[str, Any] | None:
    if not isinstance(step, coding.Call):
        return None
    arguments = orjson.dumps(step.arguments).decode()
    call = {"id": f"call_{crypto.letters(24)}", "type": "function"}
    return {**call, "function": {"name": step.name, "arguments": arguments}}


def check_calls(messages: list[Any]) -> None:
    """Each call of a tool has its results right behind it, and each result its call. Raise `Refused`."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if (known := message.get("tool_call_id")) not in open_calls:
                problem = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise Refused(f"Invalid parameter: {problem}", param="messages")
            open_calls.discard(known)
            continue
        if open_calls:
            break
        calls = message.get("tool_calls") if message["role"] == "assistant" else None
        open_calls = {str(call.get("id")) for call in calls or () if isinstance(call, dict)}
        if any(not 0 < len(call) <= MOST_ID for call in open_calls):
            raise Refused(f"Invalid 'messages': a call's id has 1 to {MOST_ID} characters.", param="messages")
    if open_calls:
        problem = "An assistant message with 'tool_calls' must be followed by tool messages responding to each of them."
        raise Refused(f"{problem} Not answered: {', '.join(sorted(open_calls))}", param="messages")


def option(body: dict[str, Any], name: str, default: float) -> float:
    asked = body.get("sandbox")
    value = asked.get(name) if isinstance(asked, dict) else None
    return float(value) if isinstance(value, int | float) and value >= 0 else default


def check_key(request: web.Request) -> web.Response | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = "You didn't provide an API key. You need to provide your API key in an Authorization header."
        return faults.error(401, "invalid_request_error", "", message)
    if key.strip() == "sk-bad":
        return faults.error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-bad.")
    return None


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
