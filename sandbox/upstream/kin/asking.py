"""A path that answers in one piece: the key, the body and the fault that it asks for."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from sandbox.upstream import faults
from sandbox.upstream.chat import CALLS, Refused, check_key
from sandbox.upstream.stream import cut_or_hang

Body = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answering = Callable[[web.Request, Body, str], Awaitable[web.StreamResponse]]
BROKEN = ("eof-mid-stream", "hang-mid-stream")


def asked(answering: Answering, *, says_garbage: bool = True) -> Handler:
    """A handler of requests whose `answering` gets the body and the fault; it may raise `Refused`.

    `says_garbage` where that fault is a page in the place of JSON.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        if refused := check_key(request):
            return refused
        try:
            body = orjson.loads(await request.read())
            if not isinstance(body, dict):
                raise Refused("The body must be a JSON object.")
            request.app[CALLS].note(body, dict(request.headers))
            model_of(body)
            fault = faults.name_of(body)
            if (failed := await faults.refusal(fault)) is not None:
                return failed
            if fault == "garbage" and says_garbage and not body.get("stream"):
                return web.Response(text="<!doctype html>not json", content_type="application/json")
            return await answering(request, body, fault)
        except orjson.JSONDecodeError:
            return faults.error(400, "invalid_request_error", "", "We could not parse the JSON body of your request.")
        except Refused as reason:
            return faults.error(400, "invalid_request_error", "", str(reason))

    return handle


def whole(think: Callable[[Body], Body]) -> Handler:
    """A handler that answers with the JSON of what `think` makes of the body, its `usage` bent by the fault."""

    async def answering(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
        answer = think(body)
        usage = faults.bent_usage(fault, answer.pop("usage", {}))
        return await sent(request, answer if not usage else {**answer, "usage": usage}, fault)

    return asked(answering)


async def sent(request: web.Request, answer: Body, fault: str) -> web.StreamResponse:
    """The answer as JSON, or half of it."""
    data = orjson.dumps(answer)
    return await in_one_piece(request, data, fault, content_type="application/json")


async def in_one_piece(request: web.Request, data: bytes, fault: str, *, content_type: str) -> web.StreamResponse:
    if fault not in BROKEN:
        return web.Response(body=data, content_type=content_type)
    response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    await cut_or_hang(request, is_cut=fault == BROKEN[0])
    return response


def model_of(body: Body) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused("you must provide a model parameter", param="model")
    return model


def option(body: Body, name: str, default: Any) -> Any:
    """What the field `sandbox` of a body fixes."""
    said = body.get("sandbox")
    return said.get(name, default) if isinstance(said, dict) else default
