"""How an error looks in a stream of Responses that has begun."""

import orjson

from proxy.errors import Refusal
from proxy.protocols.openai.chat.answer import error_of
from proxy.protocols.sse import END


def error_event(refusal: Refusal) -> bytes:
    """Some clients read the members, others the `error`; both stand there, as some servers have it."""
    error = error_of(refusal)
    flat = {"code": refusal.code, "message": refusal.message, "param": refusal.param, "sequence_number": 0}
    return b"event: error\ndata: %b" % orjson.dumps({"type": "error", **flat, "error": error}) + END
