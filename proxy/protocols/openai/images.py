"""`POST /v1/images/generations`: a text to pictures, in one piece or, with `stream`, as events.

https://platform.openai.com/docs/api-reference/images/create . Counted by the picture, at the price of its size and
quality, or, where the price has `output_image`, by tokens, which the answer tells.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from core.records import value
from proxy.models import Protocol
from proxy.prices.bounds import FRAME_TOKENS, LIKELY_FRAME_TOKENS, fair_tokens, likely_tokens, wide_bytes
from proxy.prices.catalog import Entry
from proxy.prices.units import IMAGE, INPUT, OUTPUT_IMAGE
from proxy.prices.usage import Usage, counted
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, Manner, Reported
from proxy.protocols.base import text_of as told_text
from proxy.protocols.endpoint import Asked, Bounds, Dialect
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.answering import PlainEndpoint, WholeAnswer, event
from proxy.protocols.openai.asking import PlainCall, fields_of, flag_of, model_of, rest_of, text_of, word_of
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.openai.media_events import NAMES, MediaStream
from proxy.protocols.sse import MOST_MEDIA_BYTES
from proxy.protocols.steering import refuse_steering

MOST_PICTURES, MOST_PARTIAL = 10, 3
TERMS = ("size", "quality", "resolution")
"""What the price of a picture may go by."""
OTHER_SIZES = frozenset(
    {
        *("width", "height", "image_size", "aspect_ratio", "num_images", "num_images_per_prompt", "batch_size"),
        *("batch_count", "n_images", "image", "images", "image_url", "mask", "input_image", "megapixels"),
    }
)
"""How other servers name a size or a number, and what would be edited: what they read would not be what was held."""
READ = frozenset({"model", "prompt", "n", "stream", "partial_images", "background", *TERMS, *OTHER_SIZES})
PARTIAL, COMPLETED = "image_generation.partial_image", "image_generation.completed"
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
PICTURE_TOKENS, PICTURE_PIXELS = 8_192, 1_024 * 1_536
"""A picture's most: gpt-image-1 has 6,240 at high quality and 1,024 x 1,536; a larger one as much more as it is."""
PARTIAL_TOKENS = 100
"""Of each partial picture beside, OpenAI says."""
FAIR_TOKENS = {"low": 272, "medium": 1_056, "high": 4_160}
"""gpt-image-1's, of a square one."""


@value
class ImageCall(PlainCall):
    """`words` are bytes of the prompt; `partial` pictures come before each of the `choices`."""

    words: int = 0
    wide: int = 0
    partial: int = 0
    has_tokens: bool = False
    """Tokens are charged beside the pictures."""


def read(raw: bytes) -> ImageCall:
    """Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    if found := sorted(OTHER_SIZES.intersection(body.members)):
        raise BadRequest(f"`{found[0]}` is not on offer here.", param=found[0])
    prompt = text_of(body, "prompt")
    if not prompt:
        raise BadRequest("`prompt` must be a text.", param="prompt")
    words = bytes(body.members["prompt"])
    terms = {name: word for name in TERMS if (word := word_of(body, name)) not in (None, "auto")}
    word_of(body, "background")  # elsewhere a flag for work that is done later
    is_stream = flag_of(body, "stream")
    count = body.whole("n", least=1, most=MOST_PICTURES) or 1
    if is_stream and count > 1:
        raise BadRequest("`n` must be 1 in a stream.", param="n")
    partial = body.whole("partial_images", least=0, most=MOST_PARTIAL) or 0
    return ImageCall(
        model=model_of(body),
        stream=is_stream,
        choices=count,
        rest=rest_of(body),
        asked=terms or None,
        words=len(words),
        wide=wide_bytes(words),
        partial=partial,
    )


class Drawn(WholeAnswer[ImageCall]):
    """Upstreams that speak it themselves."""

    path = "/images/generations"
    asks = "images"
    names = NAMES
    most_event_bytes = MOST_MEDIA_BYTES

    def read_answer(self, call: ImageCall, answer: Mapping[str, Any]) -> Reported:
        return _reported(call, answer, pictures=self.count(answer))

    def events(self, call: ImageCall, manner: Manner) -> MediaStream:
        return MediaStream(
            parts=frozenset({PARTIAL}), last=COMPLETED, read=lambda said: _reported(call, said, pictures=1)
        )

    def as_events(self, answer: bytes) -> bytes:
        """Of an upstream that answers in one piece."""
        said = orjson.loads(answer)
        if self.failure(said) is not None or not (said["data"] and isinstance(said["data"][0], dict)):
            return event("error", error=failure_of(said))
        shared = {name: held for name, held in said.items() if name != "data"}
        return event(COMPLETED, **{**shared, **said["data"][0]})


def _reported(call: ImageCall, answer: Mapping[str, Any], *, pictures: int) -> Reported:
    said = {name: told_text(answer, name) for name in TERMS}
    served = {name: word for name, word in said.items() if word not in ("", "auto")}
    told = usages.find(answer)
    if call.counted == IMAGE:
        brought = told.usage.input_tokens if told is not None and call.has_tokens else 0
        usage = Usage(input_tokens=brought, more={IMAGE: pictures}) if pictures else None
        return Reported(usage, is_whole=usage is not None, served=served)
    if told is None or not told.usage.output_tokens:
        return Reported(None, is_odd=told is not None, served=served)
    more = {OUTPUT_IMAGE: told.usage.output_tokens, **(told.usage.more or {})}
    return Reported(
        replace(told.usage, more=more),
        is_odd=told.is_odd or not told.usage.input_tokens,
        is_whole=True,
        served=served,
        stated_cost=usages.stated_cost(told),
    )


class ImageGenerations(PlainEndpoint[ImageCall]):
    path = "/v1/images/generations"
    what = "model for pictures"
    needs = (IMAGE, OUTPUT_IMAGE)
    brings = "size"
    end = b""
    dialects: Mapping[str, Dialect[ImageCall]] = {Protocol.OPENAI.value: Drawn()}

    def serves(self, price: PriceVersion) -> bool:
        return IMAGE in price.priced or OUTPUT_IMAGE in price.priced or price.counts_calls_as(IMAGE)

    def read(self, asked: Asked) -> ImageCall:
        return read(asked.body)

    def check(self, call: ImageCall, entry: Entry) -> ImageCall:
        call, price = super().check(call, entry), entry.price
        fair = fair_tokens(call.words, wide=call.wide) if price.has_tokens else 0
        if OUTPUT_IMAGE not in price.priced:
            self._check_unit(IMAGE, call, entry)
            used = Usage(input_tokens=fair, more={IMAGE: call.choices})
            return replace(call, counted=IMAGE, has_tokens=price.has_tokens, fair=used)
        most = most_tokens(call)
        if entry.max_output_tokens is not None:
            most = min(most, entry.max_output_tokens)
        drawn = min(most, FAIR_TOKENS.get(call.terms.get("quality", ""), FAIR_TOKENS["medium"])) * call.choices
        used = counted(input_tokens=fair, output_tokens=drawn, made={"image": drawn})
        return replace(call, counted=OUTPUT_IMAGE, output_limit=most, fair=used)

    def bounds(self, call: ImageCall, entry: Entry) -> Bounds:
        most = {INPUT: call.words + FRAME_TOKENS} if entry.price.has_tokens else {}
        likely = {INPUT: likely_tokens(call.words, wide=call.wide) + LIKELY_FRAME_TOKENS} if most else {}
        if call.counted == IMAGE:
            pictures = {IMAGE: call.choices}
            return Bounds({**most, **pictures}, {**likely, **pictures})
        return Bounds(most, likely, makes=entry.price.makes)


def most_tokens(call: ImageCall) -> int:
    """Of one picture, with those that come before it."""
    found = SIZE.fullmatch(call.terms.get("size", ""))
    pixels = int(found[1]) * int(found[2]) if found is not None else 0
    drawn = max(PICTURE_TOKENS, -(-PICTURE_TOKENS * pixels // PICTURE_PIXELS))
    return min(drawn, MOST_OUTPUT_TOKENS) + call.partial * PARTIAL_TOKENS
