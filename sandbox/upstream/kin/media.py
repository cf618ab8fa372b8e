"""Events with a `type`, a part at a time, and what goes wrong in their midst."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from sandbox.upstream import faults
from sandbox.upstream.kin.asking import BROKEN, Body, option
from sandbox.upstream.stream import HEADERS, cut_or_hang
from sandbox.world import WORLD


async def stream(
    request: web.Request, body: Body, fault: str, *, parts: list[Body], last: Body, usage: dict[str, Any]
) -> web.StreamResponse:
    """`usage` stands in the last event, as the fault has it."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    pace = option(body, "pace_ms", request.app[WORLD].config.pace * 1000) / 1000
    for index, part in enumerate(parts):
        if index == len(parts) // 2:
            if fault == "garbage":
                await response.write(b"data: {not json\n\n<html>\n\n")
            if fault == "error-in-stream":
                problem = {"message": "The server had an error while processing your request.", "type": "server_error"}
                await _write(response, {"type": "error", "error": problem})
                return response
            if fault in BROKEN:
                await cut_or_hang(request, is_cut=fault == BROKEN[0])
                return response
        await _write(response, part)
        await asyncio.sleep(pace)
    told = faults.bent_usage(fault, usage)
    if told is not None and "prompt_tokens" in told:
        told = {**told, "input_tokens": told["prompt_tokens"], "output_tokens": told["completion_tokens"]}
    if fault != "no-done":
        await _write(response, last if told is None else {**last, "usage": told})
    return response


async def _write(response: web.StreamResponse, event: Body) -> None:
    await response.write(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)))
