"""`POST /v1/embeddings`: texts, or their token ids, to vectors.

https://platform.openai.com/docs/api-reference/embeddings . Input alone is counted. The answer's vectors are not parsed.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from proxy.models import Protocol
from proxy.prices.bounds import FRAME_TOKENS, LIKELY_FRAME_TOKENS, Material, fair_tokens, likely_tokens, wide_bytes
from proxy.prices.catalog import Entry
from proxy.prices.units import INPUT, INPUT_TEXT, REQUEST, TEXT
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import BadRequest, Reported, text_of
from proxy.protocols.counts import tokens
from proxy.protocols.endpoint import Asked, Bounds
from proxy.protocols.openai.answering import PlainEndpoint, WholeAnswer
from proxy.protocols.openai.asking import (
    PlainCall,
    bytes_beside,
    fields_of,
    model_of,
    prompts_of,
    refuse_stream,
    rest_of,
)
from proxy.protocols.steering import refuse_steering

MOST_INPUTS = 2_048
ITEM_TOKENS = 4
"""What frames a text of ids, beyond the bytes of its brackets."""
MEDIA = frozenset({"messages", "image", "images", "image_url", "video", "audio"})
"""How other servers take pictures and conversations here."""
READ = frozenset({"model", "input", "stream", *MEDIA})


def read(raw: bytes) -> PlainCall:
    """Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    if found := sorted(MEDIA.intersection(body.members)):
        raise BadRequest(f"`{found[0]}` is not on offer here.", param=found[0])
    refuse_stream(body)
    ids, inputs = prompts_of(body, "input", most=MOST_INPUTS)
    told = body.members["input"]
    words = b"" if ids else bytes(told)
    counted = bytes_beside(raw, body.members, "input") + ids + inputs * ITEM_TOKENS if ids else len(raw)
    wide = wide_bytes(words)
    fair = ids or fair_tokens(len(words), wide=wide)
    return PlainCall(
        model=model_of(body),
        material=Material(text_bytes=counted, wide=wide),
        rest=rest_of(body),
        fair=Usage(input_tokens=fair),
    )


class Vectors(WholeAnswer[PlainCall]):
    path = "/embeddings"
    asks = "embeddings"

    def read_answer(self, call: PlainCall, answer: Mapping[str, Any]) -> Reported:
        said = answer.get("usage")
        counts = said if isinstance(said, dict) else {}
        found = [tokens(counts, name) for name in ("prompt_tokens", "input_tokens", "total_tokens")]
        told = {count for count in found if count is not None}
        most = max(told, default=0)
        usage = Usage(input_tokens=most, units=_calls(call)) if most else None
        return Reported(
            usage,
            is_odd=len(told) > 1 or told == {0},
            is_whole=usage is not None,
            model=text_of(answer, "model"),
            upstream_id=text_of(answer, "id"),
        )


def _calls(call: PlainCall) -> Decimal:
    return Decimal(call.counted == REQUEST)


class Embeddings(PlainEndpoint[PlainCall]):
    path = "/v1/embeddings"
    what = "model for embeddings"
    needs = (INPUT,)
    brings = "input"
    dialects = {Protocol.OPENAI.value: Vectors()}

    def serves(self, price: PriceVersion) -> bool:
        if not price.has_tokens:
            return price.priced == {REQUEST}
        return not price.priced.isdisjoint((INPUT, INPUT_TEXT)) and not price.writes and price.makes is TEXT

    def read(self, asked: Asked) -> PlainCall:
        return read(asked.body)

    def check(self, call: PlainCall, entry: Entry) -> PlainCall:
        call = super().check(call, entry)
        if entry.price.has_tokens or call.fair is None:
            return replace(call, counted=INPUT)
        return replace(call, counted=REQUEST, fair=replace(call.fair, units=Decimal(1)))

    def bounds(self, call: PlainCall, entry: Entry) -> Bounds:
        """By its bytes alone: a model's context is for each of its texts."""
        if call.counted == REQUEST:
            return Bounds({REQUEST: 1}, {REQUEST: 1})
        material = call.material
        likely = likely_tokens(material.text_bytes, wide=material.wide) + LIKELY_FRAME_TOKENS
        return Bounds({INPUT: material.text_bytes + FRAME_TOKENS}, {INPUT: likely})
