"""`POST /v1beta/models/{model}:embedContent` and `:batchEmbedContents`: contents to vectors.

https://ai.google.dev/api/embeddings . Input alone is counted: fairly, where the answer does not tell. Vectors are not
parsed. A body names the model too, once or for each of its contents; there stands the one of the path.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

import msgspec
import orjson

from core.records import value
from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.bounds import fair_tokens, likely_by_unit, most_by_unit, wide_bytes
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import INPUT, INPUT_TEXT, TEXT
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols import headers, lossless
from proxy.protocols.base import BadRequest, Call, Charged, Habits, Reported
from proxy.protocols.counts import costs_out
from proxy.protocols.endpoint import Asked, Assembly, Bounds, Dialect, Endpoint, Sending
from proxy.protocols.gemini import errors, paths
from proxy.protocols.gemini.content import Content
from proxy.protocols.gemini.fields import NOTHING, body_of, place_of, refuse_fields
from proxy.protocols.gemini.generate import usage as usages
from proxy.protocols.gemini.generate.answer import last_words
from proxy.protocols.gemini.generate.failure import failure_in
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import joined

ONE = frozenset({"model", "content", "contents"})
BATCH = frozenset({"model", "requests"})
MOST_CONTENTS = 2_048
LONG_MEMBER = 4_096
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@value
class EmbedCall(Call):
    """`items` are the members of each content's request, without its model."""

    headers: Mapping[str, str] = field(default_factory=dict)
    items: tuple[bytes, ...] = ()


class Vectors(Dialect[EmbedCall]):
    asks = "embed"
    verb: ClassVar[str] = "embedContent"
    holds: ClassVar[str] = "embedding"
    usage_member: ClassVar[str] = usages.NAME

    def request(
        self, call: EmbedCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        named = b'{"model":%b,' % orjson.dumps(paths.name_of(destination))
        return self.sending(call, destination, [named + item + b"}" for item in call.items])

    def sending(self, call: EmbedCall, destination: Destination, items: list[bytes]) -> Sending:
        path = paths.path_of(destination, self.verb)
        return Sending(path, paths.headers_of(call.headers, destination), tuple(items))

    def load(self, raw: bytes) -> tuple[Any, bytes]:
        if len(raw) <= LONG_MEMBER:
            return super().load(raw)
        try:
            members = _members.decode(raw)
            return {
                name: held if memoryview(held).nbytes > LONG_MEMBER else orjson.loads(held)
                for name, held in members.items()
            }, raw
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return super().load(raw)

    def read_answer(self, call: EmbedCall, answer: Mapping[str, Any]) -> Reported:
        told = usages.read(answer.get(usages.NAME))
        usage = told.usage if told is not None and told.usage.input_tokens else None
        return Reported(usage, is_odd=told is not None and told.is_odd, is_whole=usage is not None, told=told)

    def failure(self, answer: Any) -> Any:
        if isinstance(answer, dict) and not answer.get("error") and answer.get(self.holds):
            return None
        return failure_in(answer) or answer

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        """What came with an error is of no use."""
        return 0 if answer.get("error") else int(bool(answer.get(self.holds)))

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        ours = costs_out(answer, usage=usages.NAME) | self.ending(answer, reported, charged, used)
        return lossless.splice(raw, ours)

    def ending(
        self, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage
    ) -> dict[str, bytes | None]:
        return last_words(reported.told, charged, used)

    def assembly(self) -> Assembly:
        raise ValueError("events are no such answer")


class ManyVectors(Vectors):
    verb = "batchEmbedContents"
    holds = "embeddings"

    def sending(self, call: EmbedCall, destination: Destination, items: list[bytes]) -> Sending:
        return super().sending(call, destination, [b'{"requests":[', b",".join(items), b"]}"])


class Embed(Endpoint[EmbedCall]):
    name = Protocol.GEMINI.value
    path = "/models/{model...}:embedContent"
    also = ("/{model...}:embedContent",)
    roots = paths.ROOTS
    what = "model for embeddings"
    brings = "content"
    dialects: Mapping[str, Dialect[EmbedCall]] = {Protocol.GEMINI.value: Vectors()}

    def serves(self, price: PriceVersion) -> bool:
        return not price.priced.isdisjoint((INPUT, INPUT_TEXT)) and not price.writes and price.makes is TEXT

    def read(self, asked: Asked) -> EmbedCall:
        body = body_of(asked.body, known=ONE)
        return _call(asked, body, [body])

    def bounds(self, call: EmbedCall, entry: Entry) -> Bounds:
        """By its bytes alone: a model's context is for each of its texts."""
        return Bounds(most_by_unit(call.material, context=None), likely_by_unit(call.material, context=None))

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return errors.error_body(refusal)


class BatchEmbed(Embed):
    path = "/models/{model...}:batchEmbedContents"
    also = ("/{model...}:batchEmbedContents",)
    brings = "requests"
    dialects = {Protocol.GEMINI.value: ManyVectors()}

    def read(self, asked: Asked) -> EmbedCall:
        body = body_of(asked.body, known=BATCH)
        refuse_fields(body)
        items = list(body.listed("requests", known=ONE))
        if not 0 < len(items) <= MOST_CONTENTS:
            raise BadRequest(f"`requests` must hold from 1 to {MOST_CONTENTS} contents.", param="requests")
        return _call(asked, body, items)


def _call(asked: Asked, body: Spelled, items: list[Spelled]) -> EmbedCall:
    """Raise `BadRequest` unless each has a content that can be counted."""
    model, _alt = place_of(asked)
    content, said = Content(), []
    for item in items:
        refuse_fields(item)
        if item.get("contents") is not None:
            raise BadRequest("`contents` is not on offer here: send `content`.", param="contents")
        held = item.get("content")
        place = f"{item.place}.content" if item.place else "content"
        if held is None:
            raise BadRequest(f"`{place}` is required.", param=place)
        content.whole(held, place=place)
        said.append(bytes(held))
    words = b"".join(said)
    material = content.material(asked.body, tools=False)
    return EmbedCall(
        model=model,
        material=material,
        units=tuple(sorted(content.units)),
        headers=headers.chosen(asked.headers, paths.HEADERS),
        items=tuple(joined(item.without("model"), without=NOTHING) for item in items),
        fair=Usage(input_tokens=fair_tokens(len(words), wide=wide_bytes(words))) if material.is_plain else None,
    )
