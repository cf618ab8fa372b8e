"""An upstream for benchmarks: raw ASGI, fixed answers, as little work of its own as can be.

Run: uvicorn bench.upstream:application --port 9101 --no-access-log
"""

import asyncio
import re

import orjson

from bench.others import answers

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
SPOKEN = {"messages": (PIECES, LAST, orjson.dumps(MESSAGE)), "completions": (CHUNKS, TAIL, ANSWER)}
"""By the end of the path: a stream's chunks and its end, and the answer in one piece."""
ITEM = {"id": "msg_bench", "type": "message", "role": "assistant", "status": "completed"}
AT = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}
RESPONSE = {
    "id": "resp_bench",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "bench",
    "output": [{**ITEM, "content": [{"type": "output_text", "text": "word " * WORDS, "annotations": []}]}],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": WORDS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 20 + WORDS,
    },
}
REPEATED: dict[bytes, tuple[list[bytes], bytes, bytes]] = {}
"""By request: an answer of Responses repeats its tools and instructions, in its first events and in the last."""
MOST_REPEATED = 8


def _repeating(body: bytes) -> tuple[list[bytes], bytes, bytes]:
    """The same 42 chunks, and the answer in one piece."""
    if body not in REPEATED:
        asked = orjson.loads(body)
        whole = {**RESPONSE, **{name: asked[name] for name in ("instructions", "tools") if name in asked}}
        begun = {**whole, "output": [], "usage": None, "status": "in_progress"}
        chunks = [
            _event("response.created", response=begun)
            + _event("response.in_progress", response=begun)
            + _event("response.output_item.added", output_index=0, item={**ITEM, "content": []})
        ]
        chunks += [_event("response.output_text.delta", **AT, delta="word ", logprobs=[]) for _ in range(WORDS)]
        chunks.append(_event("response.output_item.done", output_index=0, item=RESPONSE["output"][0]))  # type: ignore[index]
        if len(REPEATED) >= MOST_REPEATED:
            REPEATED.clear()
        REPEATED[body] = chunks, _event("response.completed", response=whole), orjson.dumps(whole)
    return REPEATED[body]


JSON_HEAD = [(b"content-type", b"application/json")]
BYTES_HEAD = [(b"content-type", b"audio/mpeg")]
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
    spoken = scope["path"].rpartition("/")[2]
    if (found := answers.answer_of(scope["path"])) is None:
        found = _repeating(body) if spoken == "responses" else SPOKEN[spoken]
    chunks, tail, answer = found
    if b'"stream":true' in body or not answer:
        await send({"type": "http.response.start", "status": 200, "headers": SSE_HEAD})
        pause = PAUSE.search(body)
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if pause:
                await asyncio.sleep(int(pause[1]) / 1e3)
        await send({"type": "http.response.body", "body": tail, "more_body": False})
    else:
        kind = JSON_HEAD if answer.startswith(b"{") else BYTES_HEAD
        head = [*kind, (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
