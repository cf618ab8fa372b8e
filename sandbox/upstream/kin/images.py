"""`POST /v1/images/generations` and `/v1/images/edits`: a square of one colour for each prompt, of any size it names.

Models named dall-e tell neither usage nor size, as the real ones; the others do.
"""

import base64
import hashlib
import struct
import time
import zlib
from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.upstream import faults, text
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin import forms
from sandbox.upstream.kin.asking import Body, asked, sent
from sandbox.upstream.kin.forms import File
from sandbox.upstream.kin.media import stream

SIDE = 64
TOKENS = {"low": 272, "medium": 1_056, "high": 4_160}
PARTIAL_TOKENS = 100


IMAGE_TOKENS = 194
"""Of a picture that is edited."""
KINDS = ("image/png", "image/webp", "image/jpeg")


def routes() -> list[web.RouteDef]:
    return [
        web.post("/upstream/v1/images/generations", asked(answering)),
        web.post("/upstream/v1/images/edits", edits),
    ]


async def edits(request: web.Request) -> web.StreamResponse:
    """As a form with files, or as JSON with addresses."""
    is_form = request.content_type.startswith("multipart/")
    return await (forms.asked(edited) if is_form else asked(referred))(request)


async def edited(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    images = body.get("image")
    images = images if isinstance(images, list) else [images]
    if not 1 <= len(images) <= 16 or not all(isinstance(one, File) for one in images):
        raise Refused("Missing required parameter: 'image'.", param="image")
    for one in (*images, *([body["mask"]] if "mask" in body else [])):
        if not isinstance(one, File) or one.kind not in KINDS:
            raise Refused("Invalid image file or mode for image, please check your image file.", param="image")
    return await answering(request, body, fault, edited=len(images))


async def referred(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    images = body.get("images")
    if not isinstance(images, list) or not all(isinstance(one, dict) and one.get("image_url") for one in images):
        raise Refused("Missing required parameter: 'images'.", param="images")
    return await answering(request, body, fault, edited=len(images))


async def answering(request: web.Request, body: Body, fault: str, *, edited: int = 0) -> web.StreamResponse:
    prompt, count = body.get("prompt"), body.get("n") or 1
    if not isinstance(prompt, str) or not prompt:
        raise Refused("Missing required parameter: 'prompt'.")
    if not isinstance(count, int) or not 1 <= count <= 10:
        raise Refused("Invalid 'n': integer from 1 to 10.")
    is_old = str(body["model"]).startswith("dall-e")
    size, quality = (_chosen(body, "size", "1024x1024"), _chosen(body, "quality", "medium"))
    partial = body.get("partial_images") or 0
    brought, made = len(text.tokens(prompt)), (TOKENS.get(quality, 1_056) + partial * PARTIAL_TOKENS) * count
    seen = edited * IMAGE_TOKENS
    usage: dict[str, Any] = {
        "input_tokens": brought + seen,
        "output_tokens": made,
        "total_tokens": brought + seen + made,
        "input_tokens_details": {"text_tokens": brought, "image_tokens": seen},
    }
    picture = base64.b64encode(png(prompt)).decode()
    frame = {"created": int(time.time())} | ({} if is_old else {"size": size, "quality": quality})
    kind = "image_edit" if edited else "image_generation"
    if body.get("stream"):
        parts = [
            {"type": f"{kind}.partial_image", "b64_json": picture, "partial_image_index": at}
            for at in range(max(partial, 1))
        ]
        last = {"type": f"{kind}.completed", "b64_json": picture, **frame}
        return await stream(request, body, fault, parts=parts, last=last, usage=usage)
    one = {"b64_json": picture}
    if is_old and body.get("response_format") != "b64_json":
        one = {"url": f"https://sandbox.invalid/{crypto.letters(12)}.png"}
    told = None if is_old else faults.bent_usage(fault, usage)
    if told is not None and "prompt_tokens" in told:
        told = {**usage, "input_tokens": told["prompt_tokens"], "output_tokens": told["completion_tokens"]}
    answer = {**frame, "data": [one] * count}
    return await sent(request, answer if told is None else {**answer, "usage": told}, fault)


def _chosen(body: Body, name: str, usual: str) -> str:
    said = body.get(name)
    return said if isinstance(said, str) and said != "auto" else usual


def png(prompt: str) -> bytes:
    colour = hashlib.sha256(prompt.encode()).digest()[:3]
    rows = (b"\0" + colour * SIDE) * SIDE
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
