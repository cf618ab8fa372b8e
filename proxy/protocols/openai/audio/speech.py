"""`POST /v1/audio/speech`: a text to sound, as bytes or, with `stream_format: sse`, as events.

https://platform.openai.com/docs/api-reference/audio/createSpeech . Counted by the characters of `input`, or, where the
price has `output_audio`, by tokens: events tell them, bytes do not, and are counted by the length of the text.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from core.records import value
from proxy.models import Protocol
from proxy.prices.bounds import FRAME_TOKENS, LIKELY_FRAME_TOKENS, fair_tokens, likely_tokens, wide_bytes
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import CHARACTER, INPUT, OUTPUT_AUDIO, REQUEST, TEXT
from proxy.prices.usage import Usage, counted
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import BadRequest, Habits, Manner, Reported
from proxy.protocols.counts import tokens
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Reply, Sending
from proxy.protocols.openai.answering import PlainEndpoint, event
from proxy.protocols.openai.asking import (
    PlainCall,
    fields_of,
    model_of,
    refuse_stream,
    rest_of,
    sending,
    text_of,
    word_of,
)
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.openai.media_events import MediaStream
from proxy.protocols.steering import refuse_steering

DELTA, DONE = "speech.audio.delta", "speech.audio.done"
READ = frozenset({"model", "input", "instructions", "speed", "stream", "stream_format"})
AUDIO_TOKENS, SPARE_TOKENS = 16, 512
"""A character's most: a digit is a word of 0.4 s, of 21 tokens a second (OpenAI: 0.015 USD a minute at 12 a million);
twice that, where instructions have it said slowly; and silence around it."""
LEAST_SPEED, MOST_SPEED = 0.25, 4.0
FAIR_CHARACTERS, FAIR_WIDE_TOKENS = Decimal("1.5"), 5
"""Tokens of a character as usually spoken: 15 letters a second, or 4 characters of Chinese."""


@value
class SpeechCall(PlainCall):
    """`characters` of the text, `wide` of which are not ASCII; `words` are bytes of text and instructions."""

    characters: int = 0
    wide: int = 0
    words: int = 0
    wide_bytes: int = 0
    slowness: Decimal = Decimal(1)
    """How much longer than usual it takes at most, as `speed` has it."""


def read(raw: bytes) -> SpeechCall:
    """Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    refuse_stream(body)
    said, told = text_of(body, "input"), text_of(body, "instructions") or ""
    if not said:
        raise BadRequest("`input` must be a text.", param="input")
    form = word_of(body, "stream_format")
    if form not in (None, "audio", "sse"):
        raise BadRequest("`stream_format` may be audio or sse.", param="stream_format")
    try:
        words = (said + told).encode()
    except UnicodeEncodeError:
        raise BadRequest("`input` has half a character.", param="input") from None
    return SpeechCall(
        model=model_of(body),
        stream=form == "sse",
        rest=rest_of(body),
        characters=len(said),
        wide=sum(not letter.isascii() for letter in said),
        words=len(words),
        wide_bytes=wide_bytes(words),
        slowness=_slowness(body.value("speed")),
    )


def _slowness(speed: Any) -> Decimal:
    if speed is None:
        return Decimal(1)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not LEAST_SPEED <= speed <= MOST_SPEED:
        raise BadRequest(f"`speed` must be a number from {LEAST_SPEED} to {MOST_SPEED}.", param="speed")
    return max(Decimal(1), 1 / Decimal(str(speed)))


class Spoken(Dialect[SpeechCall]):
    """Upstreams that speak it themselves."""

    asks = "audio"

    def request(
        self, call: SpeechCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return sending("/audio/speech", call, destination)

    def reply(self, call: SpeechCall) -> Reply:
        return Reply.EVENTS if call.stream else Reply.BYTES

    def failure(self, answer: Any) -> Any:
        return failure_of(answer)

    def read_answer(self, call: SpeechCall, answer: Mapping[str, Any]) -> Reported:
        return _reported(call, answer)

    def measured(self, call: SpeechCall, headers: Mapping[str, str], size: int) -> Reported:
        return _reported(call, {})

    def events(self, call: SpeechCall, manner: Manner) -> MediaStream:
        return MediaStream(parts=frozenset({DELTA}), last=DONE, read=lambda said: _reported(call, said))

    def as_events(self, answer: bytes) -> bytes:
        """One JSON text in the place of events is an error; raises `ValueError` for anything else."""
        return event("error", error=failure_of(orjson.loads(answer)))


def _reported(call: SpeechCall, answer: Mapping[str, Any]) -> Reported:
    """Characters and calls are known beforehand; tokens where they are told."""
    if call.counted == CHARACTER:
        return Reported(Usage(more={CHARACTER: call.characters}), is_whole=True)
    if call.counted == REQUEST:
        return Reported(Usage(units=Decimal(1)), is_whole=True)
    said = answer.get("usage")
    told = said if isinstance(said, dict) else {}
    brought, made = tokens(told, "input_tokens"), tokens(told, "output_tokens")
    if not made:
        return Reported(None, is_odd=made == 0)
    usage = counted(input_tokens=brought or 0, output_tokens=made, made={"audio": made})
    return Reported(usage, is_odd=not brought, is_whole=True)


class Speech(PlainEndpoint[SpeechCall]):
    path = "/v1/audio/speech"
    what = "model for speech"
    needs = (CHARACTER, OUTPUT_AUDIO)
    brings = "input"
    end = b""
    dialects: Mapping[str, Dialect[SpeechCall]] = {Protocol.OPENAI.value: Spoken()}

    def serves(self, price: PriceVersion) -> bool:
        if price.writes:
            return False
        return CHARACTER in price.priced or OUTPUT_AUDIO in price.priced or price.priced == {REQUEST}

    def read(self, asked: Asked) -> SpeechCall:
        return read(asked.body)

    def check(self, call: SpeechCall, entry: Entry) -> SpeechCall:
        call, price = super().check(call, entry), entry.price
        if CHARACTER in price.priced:
            return replace(call, counted=CHARACTER, fair=Usage(more={CHARACTER: call.characters}))
        if not price.has_tokens:
            return replace(call, counted=REQUEST, fair=Usage(units=Decimal(1)))
        most = int(AUDIO_TOKENS * call.characters * call.slowness) + SPARE_TOKENS
        if entry.max_output_tokens is not None:
            most = min(most, entry.max_output_tokens)
        plain = call.characters - call.wide
        spoken = int((plain * FAIR_CHARACTERS + call.wide * FAIR_WIDE_TOKENS) * call.slowness) + 1
        spoken = min(spoken, most)
        fair = counted(
            input_tokens=fair_tokens(call.words, wide=call.wide_bytes), output_tokens=spoken, made={"audio": spoken}
        )
        return replace(call, counted=OUTPUT_AUDIO, output_limit=most, fair=fair)

    def bounds(self, call: SpeechCall, entry: Entry) -> Bounds:
        if call.counted == CHARACTER:
            return Bounds({CHARACTER: call.characters}, {CHARACTER: call.characters}, makes=TEXT)
        if call.counted == REQUEST:
            return Bounds({REQUEST: 1}, {REQUEST: 1})
        likely = likely_tokens(call.words, wide=call.wide_bytes) + LIKELY_FRAME_TOKENS
        return Bounds({INPUT: call.words + FRAME_TOKENS}, {INPUT: likely}, makes=(OUTPUT_AUDIO,))
