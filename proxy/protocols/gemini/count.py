"""`POST /v1beta/models/{model}:countTokens`, which is free: of contents, or of a whole request to generate.

https://ai.google.dev/api/tokens#method:-models.counttokens
"""

from collections.abc import Mapping
from dataclasses import field

import orjson

from core.records import value
from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.protocols import headers, lossless
from proxy.protocols.base import Call, Habits
from proxy.protocols.endpoint import Asked, Dialect, Endpoint, Sending
from proxy.protocols.gemini import errors, paths
from proxy.protocols.gemini.content import Content
from proxy.protocols.gemini.fields import BODY, NOTHING, body_of, place_of, refuse_fields
from proxy.protocols.members import joined

WHOLE = "generateContentRequest"
COUNTED = BODY | {WHOLE}


@value
class CountCall(Call):
    """`whole` are the members of a request to generate that is to be counted, without its model."""

    headers: Mapping[str, str] = field(default_factory=dict)
    whole: bytes | None = None


class Counting(Dialect[CountCall]):
    asks = "generate"

    def request(
        self, call: CountCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        body = b"{%b}" % call.rest
        if call.whole is not None:
            model = orjson.dumps(paths.name_of(destination))
            body = b'{"%b":{"model":%b%b%b}}' % (WHOLE.encode(), model, b"," if call.whole else b"", call.whole)
        return Sending(paths.path_of(destination, "countTokens"), paths.headers_of(call.headers, destination), (body,))

    def shown(self, body: bytes) -> bytes:
        lossless.load(body)
        return body


class CountTokens(Endpoint[CountCall]):
    name = Protocol.GEMINI.value
    path = "/models/{model...}:countTokens"
    also = ("/{model...}:countTokens",)
    roots = paths.ROOTS
    holds = False
    what = "model that generates content"
    brings = "contents"
    dialects: Mapping[str, Dialect[CountCall]] = {Protocol.GEMINI.value: Counting()}

    def read(self, asked: Asked) -> CountCall:
        model, _alt = place_of(asked)
        body = body_of(asked.body, known=COUNTED)
        whole = body.inside(WHOLE, known=BODY)
        for held in (body, whole):
            if held is not None:
                refuse_fields(held)
                Content().of_request(held)
        return CountCall(
            model=model,
            rest=joined(body.without("model"), without=NOTHING),
            headers=headers.chosen(asked.headers, paths.HEADERS),
            whole=None if whole is None else joined(whole.without("model"), without=NOTHING),
        )

    def check(self, call: CountCall, entry: Entry) -> CountCall:
        self.check_spoken(entry)
        return call

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return errors.error_body(refusal)
