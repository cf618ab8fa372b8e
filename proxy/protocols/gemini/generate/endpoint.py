"""`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`, under `/v1` and `/gemini` too."""

from collections.abc import Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import CODE_SESSION, INPUT_AUDIO, INPUT_VIDEO, OUTPUT_AUDIO, OUTPUT_IMAGE, WEB_SEARCH
from proxy.prices.usage import Usage
from proxy.prices.versions import SERVICE_TIER
from proxy.protocols.array import AsArray
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Endpoint, Sending
from proxy.protocols.gemini import errors, paths
from proxy.protocols.gemini.generate import answer as answers
from proxy.protocols.gemini.generate.asked import outgoing
from proxy.protocols.gemini.generate.asked.call import GenerateCall
from proxy.protocols.gemini.generate.asked.request import read
from proxy.protocols.gemini.generate.asked.tools import with_tools
from proxy.protocols.gemini.generate.assembling import Assembly, as_events
from proxy.protocols.gemini.generate.failure import failure_in
from proxy.protocols.gemini.generate.produced import produced_bytes
from proxy.protocols.gemini.generate.stream import GenerateStream
from proxy.protocols.sse import END

MADE = "generationConfig.responseModalities"


class Native(Dialect[GenerateCall]):
    """Upstreams that speak it themselves."""

    asks = "generate"
    tells_input = True

    def request(
        self, call: GenerateCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return outgoing.sending(call, destination, output_limit=output_limit)

    def read_answer(self, call: GenerateCall, answer: Mapping[str, Any]) -> Reported:
        return answers.read_answer(answer)

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

    def events(self, call: GenerateCall, manner: Manner) -> GenerateStream:
        return GenerateStream(manner)

    def as_events(self, answer: bytes) -> bytes:
        return as_events(answer)


class Generate(Endpoint[GenerateCall]):
    name = Protocol.GEMINI.value
    path = "/models/{model...}:generateContent"
    also = ("/{model...}:generateContent",)
    roots = paths.ROOTS
    what = "model that generates content"
    stops = True
    limit_field = "generationConfig.maxOutputTokens"
    brings = "contents"
    unit_fields = {WEB_SEARCH: "tools", CODE_SESSION: "tools", OUTPUT_AUDIO: MADE, OUTPUT_IMAGE: MADE}
    end = b""
    dialects: Mapping[str, Dialect[GenerateCall]] = {Protocol.GEMINI.value: Native()}

    def read(self, asked: Asked) -> GenerateCall:
        return read(asked, is_stream=False)

    def check(self, call: GenerateCall, entry: Entry) -> GenerateCall:
        tier = call.service_tier
        if tier is not None and not entry.price.varies_by({SERVICE_TIER: tier}):
            raise BadRequest(f"{entry.slug} has no price for the service tier {tier} here.", param="serviceTier")
        return super().check(with_tools(call, entry), entry)

    def bounds(self, call: GenerateCall, entry: Entry) -> Bounds:
        bounds = super().bounds(call, entry)
        if not call.material.films:
            return bounds
        most = dict(bounds.most)
        most[INPUT_AUDIO] = max(most.get(INPUT_AUDIO, 0), most[INPUT_VIDEO])  # its sound, which nobody sees
        return Bounds(most, bounds.likely, bounds.extra_output, makes=bounds.makes)

    def array(self, call: GenerateCall) -> AsArray | None:
        return AsArray() if call.is_array else None

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return errors.error_body(refusal)

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        return b"data: " + errors.error_body(refusal) + END


class StreamGenerate(Generate):
    path = "/models/{model...}:streamGenerateContent"
    also = ("/{model...}:streamGenerateContent",)

    def read(self, asked: Asked) -> GenerateCall:
        return read(asked, is_stream=True)
