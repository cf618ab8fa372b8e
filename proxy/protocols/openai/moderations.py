"""`POST /v1/moderations`, which is free: nothing is held or stored.

https://platform.openai.com/docs/api-reference/moderations . A model that costs something is none for it: nobody would
pay what its upstream takes.
"""

from typing import ClassVar

import orjson

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Entry
from proxy.protocols import lossless
from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.members import first
from proxy.protocols.openai.answering import PlainEndpoint, WholeAnswer
from proxy.protocols.openai.asking import PlainCall, fields_of, model_of, refuse_stream, rest_of
from proxy.protocols.steering import refuse_steering

USUAL_MODEL = "omni-moderation-latest"
"""Where a request names none, as OpenAI has it."""
READ = frozenset({"model", "input", "stream"})


def read(raw: bytes) -> PlainCall:
    """Raise `BadRequest` unless the body can be forwarded."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    refuse_stream(body)
    told = body.get("input")
    if told is None or first(told) not in (b'"', b"["):
        raise BadRequest("`input` must be a text, or a list of texts and pictures.", param="input")
    model = USUAL_MODEL if body.get("model") is None else model_of(body)
    return PlainCall(model=model, rest=rest_of(body))


class Judged(WholeAnswer[PlainCall]):
    path: ClassVar[str] = "/moderations"
    asks = "moderations"

    def shown(self, body: bytes) -> bytes:
        if not isinstance(orjson.loads(body), dict):
            raise ValueError("not an object")
        return body

    def renamed(self, body: bytes, model: str, *, are_events: bool = False) -> bytes:
        return lossless.splice(body, {"model": orjson.dumps(model)})


class Moderations(PlainEndpoint[PlainCall]):
    path = "/v1/moderations"
    what = "free model for moderations"
    holds = False
    dialects = {Protocol.OPENAI.value: Judged()}

    def read(self, asked: Asked) -> PlainCall:
        return read(asked.body)

    def check(self, call: PlainCall, entry: Entry) -> PlainCall:
        self.check_spoken(entry)
        if not entry.is_free:
            raise Refusal(400, "validation_error", f"{entry.slug} is not a {self.what}.", param="model")
        return call
