"""Server-sent events as bytes: cut a stream into events, parse only what must be known."""

from collections.abc import Iterator

MOST_EVENT_BYTES = 4_000_000
DONE = b"data: [DONE]\n\n"
COMMENT = b": waiting\n\n"


class EventTooLong(ValueError):
    """An event beyond what any honest upstream sends."""


class Splitter:
    """Collect chunks, hand out whole events, each with its blank line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The events that `chunk` completes; raises `EventTooLong`."""
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            # A chunk may end between \r and \n; keep the \r until its fellow is here.
            held_back = data.endswith(b"\r")
            data = data[:-1] if held_back else data
            data = data.replace(b"\r\n", b"\n")
            tail = b"\r" if held_back else b""
        else:
            tail = b""
        start = 0
        while (end := data.find(b"\n\n", start)) >= 0:
            yield data[start : end + 2]
            start = end + 2
        self._rest = data[start:] + tail
        if len(self._rest) > MOST_EVENT_BYTES:
            raise EventTooLong

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest


def data_of(event: bytes) -> bytes:
    """The event's data, or b"" for a comment."""
    if event.startswith(b"data:") and b"\n" not in (body := event[5:-2]):
        return body.strip()
    lines = (line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines)
