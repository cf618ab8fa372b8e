"""`POST /v1/embeddings`: a vector by the letters of a text, the same each time."""

import base64
import hashlib
import math
import struct
from typing import Any

from aiohttp import web

from sandbox.upstream import text
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin.asking import Body, whole

DIMENSIONS = 256
MOST_DIMENSIONS = 4_096
MOST_INPUTS = 2_048


def routes() -> list[web.RouteDef]:
    return [web.post("/upstream/v1/embeddings", whole(think))]


def think(body: Body) -> Body:
    inputs = _inputs(body.get("input"))
    size = body.get("dimensions") or DIMENSIONS
    if not isinstance(size, int) or not 1 <= size <= MOST_DIMENSIONS:
        raise Refused("Invalid 'dimensions'.", param="dimensions")
    is_packed = body.get("encoding_format") == "base64"
    vectors = [vector_of(str(one), size) for one in inputs]
    data = [
        {"object": "embedding", "index": at, "embedding": _packed(vector) if is_packed else vector}
        for at, vector in enumerate(vectors)
    ]
    count = sum(len(one) if isinstance(one, list) else len(text.tokens(one)) for one in inputs)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _inputs(said: Any) -> list[Any]:
    if isinstance(said, str):
        return [said]
    if not isinstance(said, list) or not said:
        raise Refused("'$.input' is invalid.", param="input")
    inputs = [said] if isinstance(said[0], int) else said
    if len(inputs) > MOST_INPUTS:
        raise Refused(f"'$.input' is too long: at most {MOST_INPUTS} inputs.", param="input")
    return inputs


def vector_of(said: str, size: int) -> list[float]:
    """Of length 1."""
    numbers: list[float] = []
    while len(numbers) < size:
        digest = hashlib.sha256(f"{len(numbers)}:{said}".encode()).digest()
        numbers += [byte / 128 - 1 for byte in digest]
    length = math.sqrt(sum(number * number for number in numbers[:size])) or 1.0
    return [number / length for number in numbers[:size]]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
