"""A stream of events as a JSON array, whose items are the events' data."""

from proxy.protocols.sse import data_of, events_of

HEADERS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
BLANK = b"\n"
"""What may be sent in a silence: white space between items."""


class AsArray:
    """One answer's events, in their order."""

    def __init__(self) -> None:
        self._has_begun = False

    def items(self, events: bytes) -> bytes:
        """The items of whole events; comments are none."""
        found = [data for event in events_of(events) if (data := data_of(event))]
        if not found:
            return b""
        before = b"," if self._has_begun else b"["
        self._has_begun = True
        return before + b",\n".join(found) + b"\n"

    def last(self, events: bytes) -> bytes:
        """The items of the last events, and the end."""
        items = self.items(events)
        return items + b"]" if self._has_begun else b"[]"
