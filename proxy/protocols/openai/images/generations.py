"""`POST /v1/images/generations`: a text to pictures, in one piece or, with `stream`, as events.

https://platform.openai.com/docs/api-reference/images/create . Counted by the picture, at the price of its size and
quality, or, where the price has `output_image`, by tokens, which the answer tells.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from proxy.models import Protocol
from proxy.prices.bounds import (
    FRAME_TOKENS,
    LIKELY_FRAME_TOKENS,
    LIKELY_IMAGE_TOKENS,
    fair_tokens,
    likely_tokens,
)
from proxy.prices.catalog import Entry
from proxy.prices.units import IMAGE, INPUT, INPUT_IMAGE, OUTPUT_IMAGE
from proxy.prices.usage import Usage, counted
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import MOST_OUTPUT_TOKENS
from proxy.protocols.endpoint import Asked, Bounds, Dialect
from proxy.protocols.openai.answering import PlainEndpoint
from proxy.protocols.openai.images.asked import ImageCall, read_made
from proxy.protocols.openai.images.drawn import Drawn

SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
PICTURE_TOKENS, PICTURE_PIXELS = 8_192, 1_024 * 1_536
"""A picture's most: gpt-image-1 has 6,240 at high quality and 1,024 x 1,536; a larger one as much more as it is."""
DEARER = {"xhigh": 2, "max": 4}
"""Above high: what these take is not published."""
PARTIAL_TOKENS = 100
"""Of each partial picture beside, OpenAI says."""
FAIR_TOKENS = {"low": 272, "medium": 1_056, "high": 4_160}
"""gpt-image-1's, of a square one."""
EDITED_TOKENS = 16_384
"""A picture that is edited, at most: gpt-image-1 counts 65, 129 for each tile of 512 points, its shorter side being
one, and 6,240 where it looks closely: that would be one of 78 by 1."""


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
        return read_made(asked.body)

    def check(self, call: ImageCall, entry: Entry) -> ImageCall:
        call, price = super().check(call, entry), entry.price
        seen = call.edited * LIKELY_IMAGE_TOKENS if price.has_tokens else 0
        fair = seen + (fair_tokens(call.words, wide=call.wide) if price.has_tokens else 0)
        if OUTPUT_IMAGE not in price.priced:
            self._check_unit(IMAGE, call, entry)
            brought = {INPUT_IMAGE: seen} if seen else {}
            used = Usage(input_tokens=fair, more={IMAGE: call.choices, **brought})
            return replace(call, counted=IMAGE, has_tokens=price.has_tokens, fair=used)
        most = most_tokens(call)
        if entry.max_output_tokens is not None:
            most = min(most, entry.max_output_tokens)
        drawn = min(most, FAIR_TOKENS.get(call.terms.get("quality", ""), FAIR_TOKENS["medium"])) * call.choices
        used = counted(
            input_tokens=fair, output_tokens=drawn, brought={"image": seen} if seen else None, made={"image": drawn}
        )
        return replace(call, counted=OUTPUT_IMAGE, output_limit=most, fair=used)

    def bounds(self, call: ImageCall, entry: Entry) -> Bounds:
        most = {INPUT: call.words + FRAME_TOKENS} if entry.price.has_tokens else {}
        likely = {INPUT: likely_tokens(call.words, wide=call.wide) + LIKELY_FRAME_TOKENS} if most else {}
        if most and call.edited:
            most |= {INPUT_IMAGE: call.edited * EDITED_TOKENS}
            likely |= {INPUT_IMAGE: call.edited * LIKELY_IMAGE_TOKENS}
        if call.counted == IMAGE:
            pictures = {IMAGE: call.choices}
            return Bounds({**most, **pictures}, {**likely, **pictures})
        return Bounds(most, likely, makes=entry.price.makes)


def most_tokens(call: ImageCall) -> int:
    """Of one picture, with those that come before it."""
    found = SIZE.fullmatch(call.terms.get("size", ""))
    pixels = int(found[1]) * int(found[2]) if found is not None else 0
    drawn = max(PICTURE_TOKENS, -(-PICTURE_TOKENS * pixels // PICTURE_PIXELS))
    drawn *= DEARER.get(call.terms.get("quality", ""), 1)
    return min(drawn, MOST_OUTPUT_TOKENS) + call.partial * PARTIAL_TOKENS
