"""Whether an answer's body is one JSON text or a stream of events, told by its first bytes whatever its headers say.

Compressed bodies are decoded though none was asked for: their upstream has worked, and bills.
"""

import zlib
from collections.abc import AsyncIterator

import aiohttp

from proxy.protocols.lossless import BOM
from proxy.relay.client import MOST_ANSWER_BYTES

GZIP = b"\x1f\x8b"
ZLIB_BITS, GZIP_BITS, RAW_BITS = 15, 31, -15
PIECE_BYTES = 65_536


class Garbled(ValueError):
    """Neither JSON nor events."""


async def framed(chunks: AsyncIterator[bytes], encoding: str) -> tuple[bool, bytes, AsyncIterator[bytes]]:
    """Whether it is a stream of events, its first bytes, and the rest of them; `encoding` is the header's.

    Raises `Garbled`, and whatever reading an answer raises. White space and a byte order mark before it are dropped.
    """
    first = await anext(chunks, b"")
    encoding = encoding.strip().lower()
    if first and (encoding == "deflate" or first[0] == GZIP[0]):
        while len(first) < len(GZIP) and (more := await anext(chunks, b"")):
            first += more
        if (bits := _bits(first, encoding)) is not None:
            chunks = _inflated(first, chunks, bits)
            first = await anext(chunks, b"")
    while (len(first) < len(BOM) and BOM.startswith(first)) or not (start := first.removeprefix(BOM).lstrip()):
        more = await anext(chunks, b"")
        if not more:
            return True, b"", chunks  # nothing at all: a stream that broke off
        first = first + more if first.strip() else more
    if start[0] in b'{["':
        return False, start, chunks
    if start[0] in b":deir":  # a comment, or the fields data, event, error, id, retry
        return True, start, chunks
    raise Garbled


def unpacked(body: bytes, encoding: str, *, most: int) -> bytes:
    """A body that is here, perhaps not whole, decoded up to `most` bytes; nothing where its compression is broken."""
    bits = _bits(body, encoding.strip().lower()) if body else None
    if bits is None:
        return body
    try:
        return zlib.decompressobj(bits).decompress(body, most)
    except zlib.error:
        return b""


def _bits(first: bytes, encoding: str) -> int | None:
    """How zlib is to read it; None where it is not compressed, whatever its header says."""
    if first.startswith(GZIP):
        return GZIP_BITS
    if encoding != "deflate":
        return None
    if first[0] & 15 == 8 and int.from_bytes(first[:2], "big") % 31 == 0:
        return ZLIB_BITS
    return None if first.lstrip()[:1] in (b"{", b"d", b"e", b":") else RAW_BITS


async def _inflated(first: bytes, chunks: AsyncIterator[bytes], bits: int) -> AsyncIterator[bytes]:
    """Raises `aiohttp.ClientPayloadError` for what is no such data, and beyond 64 MB in all."""
    inflater, size, chunk = zlib.decompressobj(bits), 0, first
    while chunk:
        try:
            piece = inflater.decompress(chunk, PIECE_BYTES)
        except zlib.error:
            raise aiohttp.ClientPayloadError("the answer's compression is broken") from None
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
        if piece:
            yield piece
        chunk = inflater.unconsumed_tail
        if inflater.eof:
            chunk = inflater.unused_data
            if not chunk.startswith(GZIP):
                return
            inflater = zlib.decompressobj(bits)  # gzip members may follow one another
        if not chunk and len(piece) < PIECE_BYTES:
            chunk = await anext(chunks, b"")
