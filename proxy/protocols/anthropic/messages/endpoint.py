"""`POST /v1/messages`, and `/v1/messages/count_tokens`, which is free."""

from collections.abc import Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.models import Kind, Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import CODE_SESSION, INPUT, WEB_SEARCH
from proxy.prices.usage import Usage
from proxy.prices.versions import SERVICE_TIER
from proxy.protocols import lossless
from proxy.protocols.anthropic import errors
from proxy.protocols.anthropic.messages import answer as answers
from proxy.protocols.anthropic.messages.asked import outgoing
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.asked.request import SESSION_HEADERS, betas_of, read, with_terms
from proxy.protocols.anthropic.messages.asked.tools import with_tools
from proxy.protocols.anthropic.messages.assembling import Assembly, as_events
from proxy.protocols.anthropic.messages.counting import PromptCount
from proxy.protocols.anthropic.messages.failure import failure_in
from proxy.protocols.anthropic.messages.neutral.side import MessagesSide
from proxy.protocols.anthropic.messages.produced import produced_bytes
from proxy.protocols.anthropic.messages.stream import STOP, MessageStream
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Endpoint, Sending
from proxy.protocols.translate.side import Side

LONG_CONTEXT, USUAL_CONTEXT = "context-1m-", 200_000
"""A beta by which input beyond the usual context is taken, and billed at dearer rates."""
PRICED_TIERS = frozenset({"auto", "standard_only"})


class Native(Dialect[MessagesCall]):
    """Upstreams that speak it themselves."""

    path = "/messages"
    asks = "messages"
    counts = PromptCount()
    tells_input = True

    def request(
        self, call: MessagesCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return outgoing.sending(call, destination, path=self.path, output_limit=output_limit, habits=habits)

    def after_refusal(
        self, call: MessagesCall, destination: Destination, habits: Habits, refusal: Refusal
    ) -> Habits | None:
        return outgoing.after_refusal(call, destination, habits, refusal)

    def read_answer(self, call: MessagesCall, answer: Mapping[str, Any]) -> Reported:
        return answers.read_answer(answer, varies=call.varies)

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

    def events(self, call: MessagesCall, manner: Manner) -> MessageStream:
        return MessageStream(manner, varies=call.varies)

    def as_events(self, answer: bytes) -> bytes:
        return as_events(answer)


class Messages(Endpoint[MessagesCall]):
    name = Protocol.ANTHROPIC.value
    path = "/v1/messages"
    roots = ("", "/anthropic")
    id_header = b"request-id"
    what = "model that answers messages"
    stops = True
    unit_fields = {WEB_SEARCH: "tools", CODE_SESSION: "tools"}
    end = STOP
    session_headers = SESSION_HEADERS
    session_member = b"user_id"
    dialects: Mapping[str, Dialect[MessagesCall]] = {Protocol.ANTHROPIC.value: Native()}
    side: Side[MessagesCall] | None = MessagesSide(Native())

    def read(self, asked: Asked) -> MessagesCall:
        return read(asked)

    def check(self, call: MessagesCall, entry: Entry) -> MessagesCall:
        tier = call.service_tier
        if tier is not None and tier not in PRICED_TIERS and not entry.price.varies_by({SERVICE_TIER: tier}):
            raise BadRequest("`service_tier` may be auto or standard_only here.", param="service_tier")
        if any(name.startswith(LONG_CONTEXT) for name in betas_of(call.headers)) and _lacks_long_context(entry):
            words = f"{entry.slug} has no price for long contexts here: leave {LONG_CONTEXT}* out of `anthropic-beta`."
            raise BadRequest(words, param="anthropic-beta")
        serves = bool(self.ways(entry).native)
        return super().check(with_tools(with_terms(call, entry.price), entry, serves=serves), entry)

    def bounds(self, call: MessagesCall, entry: Entry) -> Bounds:
        bounds = super().bounds(call, entry)
        extra = bounds.extra_output + call.extra_output
        most = bounds.most
        if call.compacts:
            # The whole is read twice, and what it comes to is written by another limit than the answer's.
            most = {**most, INPUT: 2 * most[INPUT]}
            extra += entry.max_output_tokens or call.output_limit or 0
        is_sure = not call.units and not call.fetches and not call.compacts and self._are_anthropics(entry)
        without = call.unwritten if is_sure else bounds.without
        return Bounds(most, bounds.likely, extra, makes=bounds.makes, without=without)

    def adds_input(self, call: MessagesCall) -> bool:
        return call.compacts or super().adds_input(call)

    def _are_anthropics(self, entry: Entry) -> bool:
        """Others may write to a cache what nobody marked."""
        return all(destination.kind == Kind.ANTHROPIC for destination in self.ways(entry).destinations)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return errors.error_body(refusal, request_id)

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        return errors.error_event(refusal, request_id)


class Counting(Native):
    path = "/messages/count_tokens"

    def shown(self, body: bytes) -> bytes:
        answer = lossless.load(body)
        if not isinstance(answer, dict) or "input_tokens" not in answer:
            raise ValueError("not a count")
        return body


class CountTokens(Messages):
    """Of a request that could be sent; nothing is held or stored. A model of another protocol is counted for here."""

    path = "/v1/messages/count_tokens"
    holds = False
    dialects = {Protocol.ANTHROPIC.value: Counting()}
    side = None

    def __init__(self, of: Messages) -> None:
        self._of = of

    def check_spoken(self, entry: Entry) -> None:
        self._of.check_spoken(entry)

    def own_answer(self, call: MessagesCall) -> bytes:
        return b'{"input_tokens":%d}' % call.material.fair

    def read(self, asked: Asked) -> MessagesCall:
        return read(asked, is_counted=True)


def _lacks_long_context(entry: Entry) -> bool:
    """Whether its price does not tell what a long context costs, and it may have one that is billed apart."""
    is_told = bool(entry.price.tiers) or (entry.context_window or 0) > USUAL_CONTEXT
    return Protocol.ANTHROPIC in entry.spoken and not is_told
