"""The same answer as server-sent events, a token or two at a time."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from sandbox.upstream import faults

if TYPE_CHECKING:
    from sandbox.upstream.chat import Answer

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
DONE = b"data: [DONE]\n\n"
FIRST = 4  # paces before the first chunk


async def stream(
    request: web.Request,
    answer: "Answer",
    *,
    wants_usage: bool,
    pace: float,
    shape: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> web.StreamResponse:
    """`pace` is seconds between chunks; each goes out in its `shape`."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    await asyncio.sleep(pace * FIRST)
    chunks = [shape(chunk) for chunk in chunks_of(answer)]
    middle = len(chunks) // 2
    usage = faults.bent_usage(answer.fault, answer.usage)
    for index, chunk in enumerate(chunks):
        if index == middle and await _go_wrong(request, response, answer, usage):
            return response
        if answer.fault == "usage-each":
            so_far = max(0, index - 1)
            prompt = answer.usage["prompt_tokens"]
            chunk["usage"] = {"prompt_tokens": prompt, "completion_tokens": so_far, "total_tokens": prompt + so_far}
        elif wants_usage:
            chunk["usage"] = None
        await _write(response, chunk)
        if pace and index:
            await asyncio.sleep(pace)
    if wants_usage and usage is not None and answer.fault != "usage-middle":
        await _write(response, shape({**frame_of(answer), "choices": [], "usage": usage}))
    if answer.fault != "no-done":
        await response.write(DONE)
    await response.write_eof()
    return response


async def cut_or_hang(request: web.Request, *, is_cut: bool) -> None:
    """End the connection without an end of the answer, or fall silent."""
    if not is_cut:
        await asyncio.sleep(3600)
    await asyncio.sleep(0.01)
    if request.transport is not None:
        request.transport.close()


async def _go_wrong(
    request: web.Request, response: web.StreamResponse, answer: "Answer", usage: dict[str, Any] | None
) -> bool:
    """What a fault does in the middle; whether that is the end."""
    fault = answer.fault
    if fault == "usage-middle":
        await _write(response, {**frame_of(answer), "choices": [], "usage": usage})
    if fault == "garbage":
        await response.write(b"data: {not json\n\n<html>\n\n")
    if fault == "error-in-stream":
        problem = {"message": "The server had an error while processing your request.", "type": "server_error"}
        await _write(response, {"error": {**problem, "param": None, "code": None}})
        await response.write_eof()
        return True
    if fault in ("eof-mid-stream", "hang-mid-stream"):
        await cut_or_hang(request, is_cut=fault == "eof-mid-stream")
        return True
    return False


def frame_of(answer: "Answer") -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": "fp_sandbox",
    }


def chunks_of(answer: "Answer") -> Iterator[dict[str, Any]]:
    """The role, the text in pieces, the reason of the end; of each choice."""
    for index, pieces in enumerate(answer.choices):
        yield _chunk(answer, index, {"role": "assistant", "content": "", "refusal": None})
        if answer.tool_call:
            yield _chunk(answer, index, {"tool_calls": [{"index": 0, **answer.tool_call}]})
        else:
            for start in range(0, len(pieces), 2):
                yield _chunk(answer, index, {"content": "".join(pieces[start : start + 2])})
        yield _chunk(answer, index, {}, finish=answer.finish)


def _chunk(answer: "Answer", index: int, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**frame_of(answer), "choices": [choice]}


async def _write(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
