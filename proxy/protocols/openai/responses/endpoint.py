"""`POST /v1/responses`, `/v1/responses/compact`, and `/v1/responses/input_tokens`, which is free."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import orjson

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import CODE_SESSION, FILE_SEARCH, INPUT, WEB_SEARCH
from proxy.prices.usage import Usage
from proxy.prices.versions import COMPLETION_WINDOW, SERVICE_TIER
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Endpoint, EventStream, Sending
from proxy.protocols.openai.asking import SESSION_HEADERS
from proxy.protocols.openai.chat.answer import error as error_body
from proxy.protocols.openai.chat.endpoint import PRICED_TIERS
from proxy.protocols.openai.responses import answer as answers
from proxy.protocols.openai.responses.asked import outgoing
from proxy.protocols.openai.responses.asked.call import ResponsesCall
from proxy.protocols.openai.responses.asked.fields import LIMIT
from proxy.protocols.openai.responses.asked.request import read
from proxy.protocols.openai.responses.asked.tools import with_tools
from proxy.protocols.openai.responses.assembling import Assembly, as_events
from proxy.protocols.openai.responses.errors import error_event
from proxy.protocols.openai.responses.failure import failure_in
from proxy.protocols.openai.responses.keeping import ResponseKeeper, ids_in, is_pending, kept_of
from proxy.protocols.openai.responses.neutral.side import ResponsesSide
from proxy.protocols.openai.responses.produced import produced_bytes
from proxy.protocols.openai.responses.stream import ResponseStream
from proxy.protocols.sse import MOST_MEDIA_BYTES
from proxy.protocols.translate.side import Side

KEEPING = frozenset({"openai", "azure"})
"""Kinds of upstreams that look up by its id what an item does not say."""
COMPACTED_TOKENS = 32_768
"""What a context comes to when it is summed up, at most, where the catalog tells no limit of the model."""


class Native(Dialect[ResponsesCall]):
    """Upstreams that speak it themselves."""

    path: ClassVar[str] = "/responses"
    asks = "responses"
    most_event_bytes = MOST_MEDIA_BYTES
    keeper = ResponseKeeper()

    def request(
        self, call: ResponsesCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return outgoing.sending(call, destination, path=self.path, output_limit=output_limit, habits=habits)

    def after_refusal(
        self, call: ResponsesCall, destination: Destination, habits: Habits, refusal: Refusal
    ) -> Habits | None:
        return outgoing.after_refusal(call, destination, habits, refusal)

    def read_answer(self, call: ResponsesCall, answer: Mapping[str, Any]) -> Reported:
        kept = kept_of(answer) if call.stores else ()
        return answers.read_answer(answer, kept=kept, is_pending=is_pending(answer))

    def failure(self, answer: Any) -> Any:
        return failure_in(answer)

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        return produced_bytes(answer)

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        return answers.decorate(raw, answer, reported, charged, used, refusal)

    def assembly(self) -> Assembly:
        return Assembly()

    def events(self, call: ResponsesCall, manner: Manner) -> ResponseStream:
        return ResponseStream(manner, ids_in=ids_in if call.stores else None, is_early=call.background)

    def failed(self, stream: EventStream, refusal: Refusal, charged: Charged, used: Usage) -> bytes:
        return stream.failed(refusal, charged, used) if isinstance(stream, ResponseStream) else b""

    def as_events(self, answer: bytes) -> bytes:
        return as_events(answer)


class Responses(Endpoint[ResponsesCall]):
    name = Protocol.OPENAI.value
    path = "/v1/responses"
    what = "model that answers at this path"
    limit_field = LIMIT
    unit_fields = dict.fromkeys((WEB_SEARCH, FILE_SEARCH, CODE_SESSION), "tools")
    brings = "input"
    end = b""
    stops = True
    session_headers = SESSION_HEADERS
    session_member = b"prompt_cache_key"
    dialects: Mapping[str, Dialect[ResponsesCall]] = {Protocol.OPENAI.value: Native()}
    side: Side[ResponsesCall] | None = ResponsesSide(Native())

    def read(self, asked: Asked) -> ResponsesCall:
        return read(asked)

    def naming(self, call: ResponsesCall, entry: Entry) -> ResponsesCall:
        if not call.unsaid or not any(one.kind in KEEPING for one in self.ways(entry).native):
            return call
        return replace(call, references=(*call.references, *call.unsaid), unsaid=())

    def check(self, call: ResponsesCall, entry: Entry) -> ResponsesCall:
        _check_window(call, entry)
        tier = call.service_tier
        if tier is not None and tier not in PRICED_TIERS and not entry.price.varies_by({SERVICE_TIER: tier}):
            raise BadRequest("`service_tier` may be auto, default or flex here.", param="service_tier")
        serves = bool(self.ways(entry).native)
        call = with_tools(call, entry, serves=serves)
        if call.stores and not serves:
            call = replace(call, stores=False)
        return super().check(call, entry)

    def bounds(self, call: ResponsesCall, entry: Entry) -> Bounds:
        bounds = super().bounds(call, entry)
        if not call.compacts:
            return bounds
        # The whole is read twice, and what it comes to is written beside the answer.
        most = {**bounds.most, INPUT: 2 * bounds.most[INPUT]}
        extra = bounds.extra_output + (entry.max_output_tokens or COMPACTED_TOKENS)
        return Bounds(most, bounds.likely, extra, makes=bounds.makes)

    def adds_input(self, call: ResponsesCall) -> bool:
        return call.compacts or super().adds_input(call)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return error_body(refusal)

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        return error_event(refusal, after)


class Compacting(Native):
    """The upstream takes no limit of output here."""

    path = "/responses/compact"

    def request(
        self, call: ResponsesCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return outgoing.sending(call, destination, path=self.path, output_limit=None, habits=habits)


class Compact(Responses):
    """A context summed up, in one piece."""

    path = "/v1/responses/compact"
    dialects = {Protocol.OPENAI.value: Compacting()}
    side = None

    def read(self, asked: Asked) -> ResponsesCall:
        call = read(asked)
        if call.stream:
            raise BadRequest("`stream` may not be true here: the answer comes in one piece.", param="stream")
        if call.output_limit is not None:
            raise BadRequest(f"`{LIMIT}` is not known here.", param=LIMIT)
        if call.background:
            raise BadRequest("`background` may not be true here.", param="background")
        return replace(call, stores=False)

    def check(self, call: ResponsesCall, entry: Entry) -> ResponsesCall:
        return replace(super().check(call, entry), output_limit=entry.max_output_tokens or COMPACTED_TOKENS)


class Counting(Native):
    path = "/responses/input_tokens"

    def request(
        self, call: ResponsesCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        without = habits.without(outgoing.TIER)
        return outgoing.sending(call, destination, path=self.path, output_limit=None, habits=without)

    def shown(self, body: bytes) -> bytes:
        if not isinstance(orjson.loads(body), dict):
            raise ValueError("not an object")
        return body


class InputTokens(Responses):
    """Of a request that could be sent; nothing is held or stored. A model of another protocol is counted for here."""

    path = "/v1/responses/input_tokens"
    holds = False
    dialects = {Protocol.OPENAI.value: Counting()}
    side = None

    def __init__(self, of: Responses) -> None:
        self._of = of

    def check_spoken(self, entry: Entry) -> None:
        self._of.check_spoken(entry)

    def own_answer(self, call: ResponsesCall) -> bytes:
        return b'{"object":"response.input_tokens","input_tokens":%d}' % call.material.fair

    def read(self, asked: Asked) -> ResponsesCall:
        return replace(read(asked), stream=False, service_tier=None, background_seconds=None)


def _check_window(call: ResponsesCall, entry: Entry) -> None:
    """A window other than the usual one is sold apart."""
    window = call.terms.get(COMPLETION_WINDOW)
    if window is not None and not entry.price.varies_by({COMPLETION_WINDOW: window}):
        place = "background_options.completion_window"
        raise BadRequest(f"{entry.slug} has no price for `{place}` of {window[:40]!r} here.", param=place)
