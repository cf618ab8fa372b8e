"""A request's body out of the bytes of a connection: by its length or in chunks, whatever else the head says."""

import re

from chuizi.server.heads import END, FIELDS, LONE, MOST_HEAD_BYTES, Unreadable

FEW_BYTES = 256_000
"""A rest that is read and dropped, so that the connection can go on, where the answer came before the body's end."""
SIZE = re.compile(rb"([0-9a-fA-F]{1,15})(?:[ \t]{0,8};[^\x00-\x08\x0a-\x1f\x7f]{0,255})?\r\n")
NEXT_SIZE = re.compile(rb"\r\n" + SIZE.pattern)
SIZE_BEGUN = re.compile(
    rb"[0-9a-fA-F]{0,15}|[0-9a-fA-F]{1,15}(?:[ \t]{0,8}|[ \t]{0,8};[^\x00-\x08\x0a-\x1f\x7f]{0,255})\r?"
)
NEXT_SIZE_BEGUN = re.compile(rb"\r?|\r\n(?:" + SIZE_BEGUN.pattern + rb")")
FRAMING_TRAILER = re.compile(rb"^(?:content-length|transfer-encoding):", re.IGNORECASE | re.MULTILINE)


class Counted:
    """A body of `Content-Length` bytes. `rest` is what came behind it, once it has `ended`."""

    __slots__ = ("ended", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.ended = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if len(data) < self.left:
            self.left -= len(data)
            return data
        self.ended = True
        if len(data) == self.left:
            return data
        self.rest = data[self.left :]
        return data[: self.left]

    @property
    def is_short(self) -> bool:
        """Whether little of it is missing."""
        return self.left <= FEW_BYTES


class Chunked:
    """A body in chunks. Chunk extensions and trailers are dropped; `feed` raises `Unreadable`.

    `head_bytes` is the size of the head: what stands in trailers counts against the same limit. What frames the
    chunks may come to a quarter of what they hold, beside that: a chunk of one byte costs as much work as a long one.
    """

    __slots__ = ("_body_bytes", "_framing_bytes", "_in_trailers", "_kept", "_left", "_room", "_size", "ended", "rest")

    is_short = False

    def __init__(self, *, head_bytes: int) -> None:
        self.ended = False
        self.rest = b""
        self._kept = b""
        self._size = SIZE
        self._left = 0
        self._body_bytes = 0
        self._framing_bytes = 0
        self._in_trailers = False
        self._room = max(0, MOST_HEAD_BYTES - head_bytes)

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`."""
        at = 0
        seen = len(self._kept) if self._in_trailers else 0
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces: list[bytes] = []
        while at < len(data) and not self._in_trailers:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._body_bytes += len(piece)
                continue
            line = self._size.match(data, at)
            if line is None:
                begun = SIZE_BEGUN if self._size is SIZE else NEXT_SIZE_BEGUN
                if begun.fullmatch(data, at) is None:
                    raise Unreadable(400, "A chunk of the body is malformed.")
                self._kept = data[at:]
                break
            self._size = NEXT_SIZE
            self._left = int(line[1], 16)
            self._framing_bytes += line.end() - at
            if self._framing_bytes > MOST_HEAD_BYTES + self._body_bytes // 4:
                raise Unreadable(400, "The body comes in too many small chunks.")
            at = line.end()
            if not self._left:
                self._in_trailers = True
                at -= 2  # the line's own end: with nothing behind it but another one there are no trailers
        if self._in_trailers:
            self._drop_trailers(data[at:], seen=seen)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _drop_trailers(self, data: bytes, *, seen: int) -> None:
        """`data` begins with the line's end before them; its first `seen` bytes were looked at before."""
        end = data.find(END, max(0, seen - 3))
        if (end if end >= 0 else len(data) - 2) > self._room:
            raise Unreadable(431, f"Head and trailers together may have at most {MOST_HEAD_BYTES} bytes.")
        if end < 0:
            if LONE.search(data, max(2, seen - 1)):
                raise Unreadable(400, "A trailer's line is malformed.")
            self._kept = data
            return
        trailers = data[2 : end + 2]
        if FIELDS.fullmatch(trailers) is None:
            raise Unreadable(400, "A trailer's line is malformed.")
        if FRAMING_TRAILER.search(trailers):
            raise Unreadable(400, "A trailer says how long the body is.")
        self.ended = True
        self.rest = data[end + len(END) :]
