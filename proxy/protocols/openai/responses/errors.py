"""How an error looks in a stream of Responses that has begun."""

import orjson

from proxy.errors import Refusal
from proxy.protocols import lossless
from proxy.protocols.openai.chat.answer import error_of
from proxy.protocols.sse import END, data_of


def error_event(refusal: Refusal, after: bytes = b"") -> bytes:
    """Some clients read the members, others the `error`; both stand there, as some servers have it.

    Its number follows that of the events that it stands `after`.
    """
    error = error_of(refusal)
    flat = {"code": refusal.code, "message": refusal.message, "param": refusal.param, "sequence_number": _next(after)}
    return b"event: error\ndata: %b" % orjson.dumps({"type": "error", **flat, "error": error}) + END


def _next(events: bytes) -> int:
    """The number that is due behind these; 0 where they have none."""
    for event in reversed(events.split(END)):
        said = lossless.loaded(data_of(event + END)) if b"sequence_number" in event else None
        number = said.get("sequence_number") if isinstance(said, dict) else None
        if isinstance(number, int):
            return number + 1
    return 0
