"""Fixed answers of the benchmark's upstream on the paths beside chat, Messages and Responses."""

from typing import Any

import orjson

WORDS = 40


def _event(said: Any) -> bytes:
    return b"data: " + orjson.dumps(said) + b"\n\n"


def _text(words: str, finish: str | None = None, usage: Any = None) -> dict[str, Any]:
    choice = {"index": 0, "text": words, "logprobs": None, "finish_reason": finish}
    said = {"id": "cmpl-bench", "object": "text_completion", "created": 1, "model": "bench", "choices": [choice]}
    return {**said, "usage": usage}


def _piece(words: str, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": words}]}, "index": 0}
    told = {"promptTokenCount": 20, "candidatesTokenCount": WORDS, "totalTokenCount": 20 + WORDS}
    return {
        "candidates": [{**candidate, **more}],
        "usageMetadata": told,
        "modelVersion": "bench",
        "responseId": "bench",
    }


USED = {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS}
VECTOR = [0.0123 * at for at in range(256)]
TEXTS = [_event(_text("word ")) for _ in range(WORDS)] + [_event(_text("", "stop"))]
LAST_TEXT = _event({**_text(""), "choices": [], "usage": USED}) + b"data: [DONE]\n\n"
PIECES = [_event(_piece("word ")) for _ in range(WORDS)]
LAST_PIECE = _event(_piece("", finishReason="STOP"))
BY_PATH: dict[str, tuple[list[bytes], bytes, bytes]] = {
    "/completions": (TEXTS, LAST_TEXT, orjson.dumps(_text("word " * WORDS, "stop", USED))),
    ":generateContent": ([], b"", orjson.dumps(_piece("word " * WORDS, finishReason="STOP"))),
    ":streamGenerateContent": (PIECES, LAST_PIECE, b""),
    "/embeddings": (
        [],
        b"",
        orjson.dumps(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": at, "embedding": VECTOR} for at in range(4)],
                "model": "bench",
                "usage": {"prompt_tokens": 24, "total_tokens": 24},
            }
        ),
    ),
    "/rerank": (
        [],
        b"",
        orjson.dumps(
            {
                "id": "bench",
                "results": [{"index": at, "relevance_score": 0.5} for at in range(4)],
                "meta": {"billed_units": {"search_units": 1}},
            }
        ),
    ),
    "/images/generations": ([], b"", orjson.dumps({"created": 1, "data": [{"b64_json": "QUJD" * 10_000}]})),
    "/audio/speech": ([], b"", bytes(range(256)) * 64),
    "/moderations": ([], b"", orjson.dumps({"id": "modr-bench", "model": "bench", "results": [{"flagged": False}]})),
}
"""By the end of the path: a stream's chunks and its end, and the answer in one piece."""


def answer_of(path: str) -> tuple[list[bytes], bytes, bytes] | None:
    """None where it is none of these."""
    end = path[path.rfind(":") :] if ":" in path else path.removeprefix("/v1")
    return BY_PATH.get(end)
