"""An upstream for benchmarks, behind chat completions and Messages: raw ASGI, fixed answers, as little work of its own
as can be.

Run: uvicorn bench.upstream:application --port 9101 --no-access-log
"""

import asyncio
import re

import orjson

WORDS = 40
ANSWER = orjson.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "word " * WORDS}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS},
    }
)


def _chunk(delta: dict, finish: str | None = None) -> bytes:  # type: ignore[type-arg]
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        "usage": None,
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


USAGE = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench","choices":[],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}\n\n'
)
# 42 chunks: one with the role, 40 with words, one with the finish reason; then usage and [DONE].
CHUNKS = [_chunk({"role": "assistant", "content": ""})]
CHUNKS += [_chunk({"content": "word "}) for _ in range(WORDS)]
CHUNKS += [_chunk({}, "stop")]
TAIL = USAGE + b"data: [DONE]\n\n"
MESSAGE = {
    "id": "msg_bench",
    "type": "message",
    "role": "assistant",
    "model": "bench",
    "content": [{"type": "text", "text": "word " * WORDS}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": WORDS},
}


def _event(kind: str, **said: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **said}))


# The same 42 chunks: the head and the block's beginning, 40 with words, the block's end; then the reason and the end.
PIECES = [
    _event("message_start", message={**MESSAGE, "content": [], "stop_reason": None})
    + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
]
PIECES += [_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word "}) for _ in range(WORDS)]
PIECES += [_event("content_block_stop", index=0)]
LAST = _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": WORDS}) + _event(
    "message_stop"
)
SPOKEN = {True: (PIECES, LAST, orjson.dumps(MESSAGE)), False: (CHUNKS, TAIL, ANSWER)}
"""By whether Messages is spoken: a stream's chunks and its end, and the answer in one piece."""
JSON_HEAD = [(b"content-type", b"application/json")]
PAUSE = re.compile(rb"\[pause=(\d+)\]")
"""In a prompt: how many milliseconds to wait after each chunk of a stream."""
SSE_HEAD = [(b"content-type", b"text/event-stream")]


async def application(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    chunks, tail, answer = SPOKEN[scope["path"].endswith("/messages")]
    if b'"stream":true' in body:
        await send({"type": "http.response.start", "status": 200, "headers": SSE_HEAD})
        pause = PAUSE.search(body)
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if pause:
                await asyncio.sleep(int(pause[1]) / 1e3)
        await send({"type": "http.response.body", "body": tail, "more_body": False})
    else:
        head = [*JSON_HEAD, (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
