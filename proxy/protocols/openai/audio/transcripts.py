"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: sound to text, as JSON, as text or as events.

https://platform.openai.com/docs/api-reference/audio/createTranscription . Counted by the second, or, where the price
has `input_audio`, by tokens. The bound goes by the sound's own frames (proxy/uploads/counting.py).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import orjson

from proxy.models import Protocol
from proxy.prices.bounds import FRAME_TOKENS, LIKELY_FRAME_TOKENS
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import INPUT, INPUT_AUDIO, REQUEST, SECOND
from proxy.prices.versions import NO_TERMS, PriceVersion
from proxy.protocols.base import Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Reply, Sending
from proxy.protocols.openai.answering import PlainEndpoint, WholeAnswer, event
from proxy.protocols.openai.audio import used
from proxy.protocols.openai.audio.asked import DIARIZED, FILE, FORMATS, TEXTS, TranscriptCall, read
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.openai.forms import file_of, form_sending
from proxy.protocols.openai.media_events import NAMES, MediaStream
from proxy.uploads.length import length_of

DELTA, SEGMENT, DONE = "transcript.text.delta", "transcript.text.segment", "transcript.text.done"
SPARE_SECONDS = 1
"""An upstream may round up, and count what its decoder adds."""
MOST_SOUND_TOKENS, MOST_TEXT_TOKENS = 32, 25
"""Of a second: what Gemini hears is the most known, and nobody says more than 8 words."""
SPARE_TOKENS = 1_024


class Heard(WholeAnswer[TranscriptCall]):
    """Upstreams that speak it themselves."""

    asks = "audio"
    holds = "text"
    names = NAMES

    def __init__(self, path: str) -> None:
        self._path = path

    def request(
        self, call: TranscriptCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        return form_sending(self._path, call.form, destination)

    def reply(self, call: TranscriptCall) -> Reply:
        if call.stream:
            return Reply.EVENTS
        return Reply.BYTES if call.format in TEXTS else Reply.WHOLE

    def failure(self, answer: Any) -> Any:
        """A text alone is what some say where a text was asked for."""
        if isinstance(answer, str) or (
            isinstance(answer, dict) and not answer.get("error") and isinstance(answer.get("text"), str | msgspec.Raw)
        ):
            return None
        return failure_of(answer)

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        return int("text" in answer and not answer.get("error"))

    def read_answer(self, call: TranscriptCall, answer: Mapping[str, Any]) -> Reported:
        return used.reported(call, answer)

    def measured(self, call: TranscriptCall, headers: Mapping[str, str], size: int) -> Reported:
        return used.reported(call, {})

    def events(self, call: TranscriptCall, manner: Manner) -> MediaStream:
        return MediaStream(parts=frozenset({DELTA, SEGMENT}), last=DONE, read=lambda said: used.reported(call, said))

    def as_events(self, answer: bytes) -> bytes:
        """Of an upstream, or a model, that answers in one piece."""
        said = orjson.loads(answer)
        if self.failure(said) is not None or not isinstance(said, dict):
            return event("error", error=failure_of(said))
        return event(DONE, **{name: held for name, held in said.items() if name != "type"})


class Transcriptions(PlainEndpoint[TranscriptCall]):
    path = "/v1/audio/transcriptions"
    what = "model for transcripts"
    needs = (SECOND, INPUT_AUDIO)
    brings = FILE
    end = b""
    takes_forms = True
    streams: ClassVar[bool] = True
    formats: ClassVar[frozenset[str]] = FORMATS | {DIARIZED}
    dialects: Mapping[str, Dialect[TranscriptCall]] = {Protocol.OPENAI.value: Heard("/audio/transcriptions")}

    def serves(self, price: PriceVersion) -> bool:
        if price.has_tokens:
            return price.writes and price.sells(INPUT_AUDIO, NO_TERMS) and SECOND not in price.priced
        return SECOND in price.priced or price.priced == {REQUEST}

    def read(self, asked: Asked) -> TranscriptCall:
        return read(asked, formats=self.formats, streams=self.streams)

    def measure(self, call: TranscriptCall) -> TranscriptCall:
        return replace(call, length=length_of(file_of(call.form, FILE)))

    def check(self, call: TranscriptCall, entry: Entry) -> TranscriptCall:
        call, price = super().check(call, entry), entry.price
        if not price.has_tokens:
            call = replace(call, counted=SECOND if SECOND in price.priced else REQUEST)
            return replace(call, fair=used.fair(call))
        most = math.ceil(call.length.most * MOST_TEXT_TOKENS) + SPARE_TOKENS
        call = replace(call, counted=INPUT_AUDIO, output_limit=most)
        return replace(call, fair=used.fair(call))

    def bounds(self, call: TranscriptCall, entry: Entry) -> Bounds:
        if call.counted == REQUEST:
            return Bounds({REQUEST: 1}, {REQUEST: 1})
        most, likely = (math.ceil(seconds) for seconds in (call.length.most, call.length.seconds))
        if call.counted == SECOND:
            counts = [math.ceil(entry.price.billed(seconds)) for seconds in (most + SPARE_SECONDS, likely)]
            return Bounds({SECOND: counts[0]}, {SECOND: counts[1]})
        sound = (most + SPARE_SECONDS) * MOST_SOUND_TOKENS + call.voices
        return Bounds(
            {INPUT: call.words + FRAME_TOKENS, INPUT_AUDIO: sound},
            {
                INPUT: call.prompt_tokens + LIKELY_FRAME_TOKENS,
                INPUT_AUDIO: likely * used.FAIR_SOUND_TOKENS + call.voices,
            },
        )


class Translations(Transcriptions):
    path = "/v1/audio/translations"
    streams = False
    formats = FORMATS
    dialects: Mapping[str, Dialect[TranscriptCall]] = {Protocol.OPENAI.value: Heard("/audio/translations")}
