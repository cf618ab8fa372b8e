"""A form's parts out of its bytes, as they come: short texts stay in memory, the rest is for the spool.

The parser is `multipart`, at its strictest: docs/decisions/0013-uploads.md.
"""

import multipart

from proxy.errors import Refusal
from proxy.uploads.form import Form, Part
from proxy.uploads.heads import name_of, refused
from proxy.uploads.spool import Spool, Stored

MOST_PARTS = 64
MOST_HEAD_BYTES, MOST_HEADERS = 2_048, 4
"""Of a line of a part's head, and lines."""
MOST_TEXT, MOST_TEXTS = 262_144, 1_000_000
"""Bytes of a field, and of all, that stay in memory."""


class PartReader:
    """`feed` what comes, write what `take` returns to the spool, and `end` it."""

    def __init__(self, boundary: bytes, spool: Spool) -> None:
        self._parser = multipart.PushMultipartParser(
            boundary,
            max_header_size=MOST_HEAD_BYTES,
            max_header_count=MOST_HEADERS,
            max_segment_count=MOST_PARTS,
            strict=True,
        )
        self._spool = spool
        self._first = b"--" + boundary
        """What is still to come of the first boundary: nothing may stand before it."""
        self._last = b"--" + boundary + b"--"
        self._ending = b""
        """The last bytes that came; of these two are kept from the parser, as a line's end may follow the form's."""
        self._pending = bytearray()
        self._written = 0
        """Bytes for the spool so far, those that are pending too."""
        self._parts: list[Part] = []
        self._texts = 0
        self._head: tuple[str, str | None, str] | None = None
        self._text: bytearray | None = None
        """Of the part that is being read; None where it is for the spool."""
        self._began = 0

    @property
    def pending(self) -> int:
        return len(self._pending)

    def take(self) -> bytearray:
        """What is to be written next."""
        pending, self._pending = self._pending, bytearray()
        return pending

    def feed(self, data: bytes) -> None:
        """Raises `Refusal`."""
        if self._first:
            size = min(len(self._first), len(data))
            if data[:size] != self._first[:size]:
                raise refused("The form does not begin with its boundary.")
            self._first = self._first[size:]
        kept = self._ending[-2:]
        self._ending = (self._ending + data)[-len(self._last) - 2 :]
        data = kept + data
        if len(data) > 2:
            self._parse(data[:-2])

    def end(self) -> Form:
        """The form, once all of it came and is in the spool. Raises `Refusal`."""
        if not self._ending.removesuffix(b"\r\n").endswith(self._last):
            raise refused("The form does not end with its last boundary.")
        if not self._ending.endswith(b"\r\n"):
            self._parse(self._ending[-2:])
        try:
            self._parser.close()
        except multipart.MultipartError:
            raise refused("The form does not end with its last boundary.") from None
        if not self._parts:
            raise refused("The form has no fields.")
        return Form(tuple(self._parts))

    def _parse(self, data: bytes) -> None:
        try:
            for event in self._parser.parse(data):
                if event is None:
                    self._end_part()
                elif isinstance(event, multipart.MultipartSegment):
                    self._begin_part(event)
                else:
                    self._add(event)
        except multipart.ParserLimitReached as error:
            raise refused(f"The form has too many parts, or too long heads: {error}.") from None
        except multipart.MultipartError as error:
            raise refused(f"The form cannot be read: {error}.") from None

    def _begin_part(self, segment: multipart.MultipartSegment) -> None:
        self._head = name_of(segment.headerlist)
        self._began = self._written
        self._text = bytearray() if self._head[1] is None else None

    def _add(self, data: bytes | bytearray) -> None:
        text = self._text
        if text is not None:
            if len(text) + len(data) <= MOST_TEXT and self._texts + len(text) + len(data) <= MOST_TEXTS:
                text += data
                return
            self._text = None
            self._put(text)
        self._put(data)

    def _put(self, data: bytes | bytearray) -> None:
        self._pending += data
        self._written += len(data)

    def _end_part(self) -> None:
        if self._head is None:
            return
        (name, filename, kind), self._head = self._head, None
        if self._text is None:
            stored = Stored(self._spool, self._began, self._written - self._began)
            self._parts.append(Part(name, stored, filename, kind))
            return
        data = bytes(self._text)
        try:
            data.decode()
        except UnicodeDecodeError:
            raise Refusal(400, "validation_error", f"`{name}` is not UTF-8.", param=name) from None
        self._texts += len(data)
        self._parts.append(Part(name, data, filename, kind))
