"""`POST /v1/audio/speech`: a tone for each letter, as a wav whatever its label says."""

import base64
import math
import struct
from typing import Any

from aiohttp import web

from sandbox.upstream import text
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin.asking import Body, asked, in_one_piece
from sandbox.upstream.kin.media import stream

RATE, LETTER_SAMPLES = 8_000, 160
LABELS = {"mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav"}
PART_BYTES = 4_096
AUDIO_TOKENS = 1.5  # a letter


def routes() -> list[web.RouteDef]:
    return [web.post("/upstream/v1/audio/speech", asked(answering, says_garbage=False))]


async def answering(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    said, form = body.get("input"), body.get("response_format") or "mp3"
    if not isinstance(said, str) or not said:
        raise Refused("[{'type': 'string_too_short', 'loc': ('body', 'input')}]")
    sound = wav(said)
    if body.get("stream_format") != "sse":
        if fault == "garbage":
            return web.Response(text="<!doctype html>not sound", content_type="text/html")
        return await in_one_piece(request, sound, fault, content_type=LABELS.get(form, "application/octet-stream"))
    pieces = [sound[start : start + PART_BYTES] for start in range(0, len(sound), PART_BYTES)]
    parts: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces
    ]
    brought, made = len(text.tokens(said)), math.ceil(len(said) * AUDIO_TOKENS)
    usage = {"input_tokens": brought, "output_tokens": made, "total_tokens": brought + made}
    return await stream(request, body, fault, parts=parts, last={"type": "speech.audio.done"}, usage=usage)


def wav(said: str) -> bytes:
    """16 bits, one channel."""
    tones = [200 + ord(letter) % 64 * 10 for letter in said]
    samples = [int(8_000 * math.sin(2 * math.pi * tone * at / RATE)) for tone in tones for at in range(LETTER_SAMPLES)]
    data = struct.pack(f"<{len(samples)}h", *samples)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16,
                       b"data", len(data))  # fmt: skip
    return head + data
