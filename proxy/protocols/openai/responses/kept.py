"""What is done with a response that is kept, by its id: read, read again as a stream, cancelled, deleted. Free."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination
from proxy.protocols.base import Call, Habits, Manner
from proxy.protocols.endpoint import Asked, Dialect, Endpoint, Sending
from proxy.protocols.openai.chat.answer import error as error_body
from proxy.protocols.openai.responses.errors import error_event
from proxy.protocols.openai.responses.keeping import ResponseKeeper, headers_at, place_of
from proxy.protocols.openai.responses.stream import events_named, named
from proxy.protocols.sse import MOST_MEDIA_BYTES

READ = frozenset({"include", "include[]", "stream", "starting_after", "include_obfuscation"})
LISTED = frozenset({"include", "include[]", "after", "limit", "order"})
"""What of a query goes upstream."""


class At(Dialect[Call]):
    """`act` follows the id in the path; the call's `rest` is the query."""

    asks = "responses"
    keeper = ResponseKeeper()
    most_event_bytes = MOST_MEDIA_BYTES

    def __init__(self, method: str, act: str = "") -> None:
        self._method = method
        self._act = act

    def renamed(self, body: bytes, model: str, *, are_events: bool = False) -> bytes:
        return (events_named if are_events else named)(body, Manner("", model))

    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        [name] = call.references
        query = f"?{call.rest.decode()}" if call.rest else ""
        return Sending(place_of(name) + self._act + query, headers_at(destination), method=self._method)


class KeptResponse(Endpoint[Call]):
    name = Protocol.OPENAI.value
    path = "/v1/responses/{id}"
    methods = ("GET",)
    holds = False
    end = b""
    takes: ClassVar[frozenset[str]] = READ
    """Of the query."""
    dialects: Mapping[str, Dialect[Call]] = {Protocol.OPENAI.value: At("GET")}

    def read(self, asked: Asked) -> Call:
        given = parse_qsl(asked.query.decode("latin-1"), keep_blank_values=True)
        query = [(name, value) for name, value in given if name in self.takes]
        is_stream = ("stream", "true") in query
        return Call(stream=is_stream, rest=urlencode(query).encode(), references=(asked.place["id"],))

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return error_body(refusal)

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        return error_event(refusal, after)


class DeletedResponse(KeptResponse):
    methods = ("DELETE",)
    forgets = True
    takes = frozenset()
    dialects = {Protocol.OPENAI.value: At("DELETE")}


class InputItems(KeptResponse):
    path = "/v1/responses/{id}/input_items"
    takes = LISTED
    dialects = {Protocol.OPENAI.value: At("GET", "/input_items")}


class CancelledResponse(KeptResponse):
    path = "/v1/responses/{id}/cancel"
    methods = ("POST",)
    takes = frozenset()
    dialects = {Protocol.OPENAI.value: At("POST", "/cancel")}
