"""Server-sent events as bytes: cut a stream into events, parse only what must be known."""

import re
from collections.abc import Iterator

MOST_EVENT_BYTES = 4_000_000
MOST_MEDIA_BYTES = 32_000_000
"""Of an event that holds a picture."""
LONG_EVENT = 65_536
"""Beyond this the pieces of an event are joined once, when it ends."""
END = b"\n\n"
BLANK = re.compile(rb"\n{3,}")
DONE = b"data: [DONE]\n\n"
COMMENT = b": waiting\n\n"


class EventTooLong(ValueError):
    """An event beyond what any honest upstream sends."""


class Splitter:
    """Collect chunks, hand out whole events, each with its blank line."""

    def __init__(self, most: int = MOST_EVENT_BYTES) -> None:
        """`most` bytes are waited for the end of an event."""
        self._rest = b""
        self._most = most
        self._more: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        """The events that `chunk` completes; raises `EventTooLong` when more comes to one that is too long."""
        if len(self._rest) > LONG_EVENT:
            if len(self._rest) + self._size > self._most:
                raise EventTooLong
            if b"\n" not in chunk and b"\r" not in chunk:
                self._more.append(chunk)
                self._size += len(chunk)
                return b""
            self._rest, self._more, self._size = self.rest, [], 0
        data = self._rest + chunk if self._rest else chunk
        tail = b""
        if b"\r" in data:
            # A chunk may end between \r and \n; keep the \r until its fellow is here.
            if data.endswith(b"\r"):
                data, tail = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Each event ends with one blank line, however many there were: an event alone is the same as among others.
        if data.startswith(b"\n"):
            data = data.lstrip(b"\n")
        if b"\n\n\n" in data:
            data = BLANK.sub(END, data)
        end = data.rfind(END) + len(END)
        if end < len(END):
            self._rest = data + tail
            return b""
        self._rest = data[end:] + tail
        return data[:end]

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return b"".join([self._rest, *self._more]) if self._more else self._rest


def events_of(events: bytes) -> Iterator[bytes]:
    """Whole events one by one, each with its blank line."""
    start = 0
    while (end := events.find(END, start)) >= 0:
        yield events[start : end + len(END)]
        start = end + len(END)


def data_of(event: bytes) -> bytes:
    """The event's data, or b"" for a comment."""
    if event.startswith(b"data:") and b"\n" not in (body := event[5:-2]):
        return body.strip()
    lines = (line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines)


def error_of(event: bytes) -> bytes | None:
    """What an event says that is an error by its name or its field (`event: error`, `error: ...`), else None."""
    lines = event.split(b"\n")
    for line in lines:
        if line.startswith(b"error:"):
            return line[6:].strip()
    if any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines):
        return data_of(event)
    return None


def bare_of(event: bytes) -> bytes:
    """A JSON text that stands among the events without a field's name, or b""."""
    text = event.strip()
    return text if text.startswith(b"{") else b""
