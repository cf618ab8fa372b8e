"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a word for each second of the sound.

Models named whisper tell seconds, the others tokens, and events where they are asked for.
"""

import io
import math
import wave
from typing import Any

from aiohttp import web

from sandbox.upstream import faults, text
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin import forms
from sandbox.upstream.kin.asking import Body, in_one_piece, sent
from sandbox.upstream.kin.forms import File
from sandbox.upstream.kin.media import stream

MOST_BYTES = 25 * 2**20
ENDINGS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
RATE = 4_000
"""Bytes of a second of what is no wav."""
TOKENS = 10
WORDS = ("one", "two", "three", "four", "five")


def routes() -> list[web.RouteDef]:
    return [
        web.post("/upstream/v1/audio/transcriptions", forms.asked(transcribed)),
        web.post("/upstream/v1/audio/translations", forms.asked(translated)),
    ]


async def translated(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    if "stream" in body:
        raise Refused("Unrecognized request argument supplied: stream")
    return await transcribed(request, body, fault)


async def transcribed(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    seconds, form = _seconds(body.get("file")), body.get("response_format") or "json"
    is_old = "whisper" in str(body["model"])
    if form not in FORMATS:
        raise Refused(f"Invalid value: '{form}'.", param="response_format")
    said = " ".join(WORDS[at % len(WORDS)] for at in range(max(1, round(seconds))))
    usage = {"type": "duration", "seconds": math.ceil(seconds)} if is_old else _tokens(body, said, seconds)
    if body.get("stream") is True and not is_old:
        parts: list[Body] = [
            {"type": "transcript.text.delta", "delta": f"{' ' * bool(at)}{word}"}
            for at, word in enumerate(said.split())
        ]
        last: Body = {"type": "transcript.text.done", "text": said}
        return await stream(request, body, fault, parts=parts, last=last, usage=usage)
    if form in ("text", "srt", "vtt"):
        return await in_one_piece(request, f"{said}\n".encode(), fault, content_type="text/plain")
    told = _bent(fault, usage)
    answer: Body = {"text": said} | ({} if told is None else {"usage": told})
    if form == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": round(seconds, 2), "text": said}
        answer |= {"task": "transcribe", "language": "english", "duration": round(seconds, 2), "segments": [segment]}
    return await sent(request, answer, fault)


def _seconds(file: Any) -> float:
    if not isinstance(file, File):
        raise Refused("Missing required parameter: 'file'.")
    if len(file.data) > MOST_BYTES:
        raise Refused(f"Maximum content size limit ({MOST_BYTES}) exceeded ({len(file.data)} bytes read).")
    if file.name.rpartition(".")[2].lower() not in ENDINGS:
        raise Refused(f"Unrecognized file format. Supported formats: {list(ENDINGS)}", param="file")
    try:
        with wave.open(io.BytesIO(file.data)) as sound:
            rate: int = sound.getframerate()
            return int(sound.getnframes()) / rate
    except (wave.Error, EOFError):
        return len(file.data) / RATE


def _tokens(body: Body, said: str, seconds: float) -> dict[str, Any]:
    prompt = body.get("prompt")
    written = len(text.tokens(prompt)) if isinstance(prompt, str) else 0
    heard, made = math.ceil(seconds * TOKENS), len(text.tokens(said))
    return {
        "type": "tokens",
        "input_tokens": written + heard,
        "input_token_details": {"text_tokens": written, "audio_tokens": heard},
        "output_tokens": made,
        "total_tokens": written + heard + made,
    }


def _bent(fault: str, usage: dict[str, Any]) -> dict[str, Any] | None:
    bent = faults.bent_usage(fault, usage)
    if bent is None or "prompt_tokens" not in bent:
        return bent
    if usage["type"] == "duration":
        return {**usage, "seconds": bent["prompt_tokens"]}
    return {**usage, "input_tokens": bent["prompt_tokens"], "output_tokens": bent["completion_tokens"]}
