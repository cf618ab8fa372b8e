"""`POST /v1/chat/completions`."""

from collections.abc import Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import OUTPUT_AUDIO, OUTPUT_IMAGE, WEB_SEARCH
from proxy.prices.usage import Usage
from proxy.prices.versions import SERVICE_TIER
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Dialect, Endpoint, Sending
from proxy.protocols.openai import chat
from proxy.protocols.openai.asking import SESSION_HEADERS
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.assembling import Assembly
from proxy.protocols.openai.chat.neutral.side import ChatSide
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.translate.side import Side


class OpenAI(Dialect[ChatCall]):
    """Upstreams that speak it themselves."""

    path = "/chat/completions"
    asks = "chat"

    def request(self, call: ChatCall, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        body = chat.upstream_body(call, destination, output_limit=output_limit, habits=habits)
        return Sending(self.path, {"Authorization": f"Bearer {destination.api_key}"}, body)

    def after_refusal(
        self, call: ChatCall, destination: Destination, habits: Habits, refusal: Refusal
    ) -> Habits | None:
        return chat.after_refusal(call, destination, habits, refusal)

    def read_answer(self, call: ChatCall, answer: Mapping[str, Any]) -> Reported:
        return chat.read_answer(answer)

    def failure(self, answer: Any) -> Any:
        is_answer = isinstance(answer, dict) and chat.is_answer(answer)
        return chat.failure_in(answer) if is_answer else chat.failure_of(answer)

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        return chat.produced_bytes(answer)

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        return chat.decorate(raw, answer, reported, charged, used, refusal)

    def assembly(self) -> Assembly:
        return Assembly()

    def events(self, call: ChatCall, manner: Manner) -> ChatStream:
        return ChatStream(manner, include_usage=call.include_usage)

    def as_events(self, answer: bytes) -> bytes:
        return chat.as_events(answer)


PRICED_TIERS = frozenset({"auto", "default", "flex"})
"""At these providers bill what a model's price says, or less; others need rates of their own."""


class ChatCompletions(Endpoint[ChatCall]):
    name = chat.name
    path = "/v1/chat/completions"
    what = "chat model"
    stops = True
    dialects: Mapping[str, Dialect[ChatCall]] = {Protocol.OPENAI.value: OpenAI()}
    side: Side[ChatCall] | None = ChatSide(OpenAI())
    session_headers = SESSION_HEADERS
    session_member = b"prompt_cache_key"
    unit_fields = {OUTPUT_AUDIO: "modalities", OUTPUT_IMAGE: "modalities", WEB_SEARCH: "web_search_options"}

    def check(self, call: ChatCall, entry: Entry) -> ChatCall:
        tier = call.service_tier
        if tier is not None and tier not in PRICED_TIERS and not entry.price.varies_by({SERVICE_TIER: tier}):
            raise BadRequest("`service_tier` may be auto, default or flex here.", param="service_tier")
        return super().check(call, entry)

    def read(self, asked: Asked) -> ChatCall:
        return chat.read(asked.body)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return chat.error(refusal)
