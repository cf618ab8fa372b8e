"""A path that takes a form: strictly, as the real ones do. What it holds is a body for `answering` like any other."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from sandbox.upstream import faults
from sandbox.upstream.chat import CALLS, Refused, check_key
from sandbox.upstream.kin.asking import Body, Handler, model_of

MOST_FILE_BYTES, MOST_FIELD_BYTES = 50_000_000, 1_000_000
Answering = Callable[[web.Request, Body, str], Awaitable[web.StreamResponse]]
LITERALS = {"true": True, "false": False}


class File:
    """An uploaded one."""

    def __init__(self, name: str, kind: str, data: bytes) -> None:
        self.name, self.kind, self.data = name, kind, data


def asked(answering: Answering) -> Handler:
    """A handler of forms; `sandbox` may be a field that holds JSON."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if refused := check_key(request):
            return refused
        try:
            body = await read(request)
            request.app[CALLS].note({name: _noted(held) for name, held in body.items()}, dict(request.headers))
            model_of(body)
            fault = faults.name_of(body)
            if (failed := await faults.refusal(fault)) is not None:
                return failed
            if fault == "garbage" and not body.get("stream"):
                return web.Response(text="<!doctype html>not json", content_type="application/json")
            return await answering(request, body, fault)
        except Refused as reason:
            return faults.error(400, "invalid_request_error", "", str(reason))

    return handle


async def read(request: web.Request) -> Body:
    """Fields by name, lists without their brackets, numbers and flags as such."""
    if request.content_type != "multipart/form-data":
        raise Refused("Unsupported content type: this path takes multipart/form-data.")
    body: Body = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or not part.name:
            raise Refused("A part of the form has no name.")
        held = await _held(part)
        if part.name.endswith("[]"):
            body.setdefault(part.name.removesuffix("[]"), []).append(held)
        elif part.name in body:
            raise Refused(f"Duplicate parameter: '{part.name}'.", param=part.name)
        else:
            body[part.name] = held
    return body


async def _held(part: BodyPartReader) -> Any:
    data = bytes(await part.read())
    if part.filename is not None:
        if len(data) > MOST_FILE_BYTES:
            raise Refused("Maximum content size limit exceeded.")
        return File(part.filename, part.headers.get("Content-Type", ""), data)
    if len(data) > MOST_FIELD_BYTES:
        raise Refused(f"'{part.name}' is too long.")
    said = data.decode()
    if part.name == "sandbox":
        return orjson.loads(said)
    return int(said) if said.isdigit() else LITERALS.get(said, said)


def _noted(held: Any) -> Any:
    if isinstance(held, list):
        return [_noted(one) for one in held]
    return {"filename": held.name, "bytes": len(held.data)} if isinstance(held, File) else held
