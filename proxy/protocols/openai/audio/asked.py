"""What a request for a transcript or a translation asks: a form with one file of sound."""

from collections.abc import Set as AbstractSet
from dataclasses import field
from decimal import Decimal

from core.records import value
from proxy.errors import Refusal
from proxy.prices.bounds import AUDIO_CHARACTERS, fair_tokens, wide_bytes
from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.asking import flag_of, model_of, refuse_stream, text_of, word_of
from proxy.protocols.openai.forms import FormCall, FormFields, file_of, texts_of
from proxy.uploads.length import Length

FORMATS = frozenset({"json", "text", "srt", "vtt", "verbose_json"})
TEXTS = frozenset({"text", "srt", "vtt"})
"""Those that are no JSON."""
DIARIZED = "diarized_json"
FILE = "file"
READ = frozenset({"file", "model", "prompt", "response_format", "temperature", "language", "stream"})
OTHER_FILES = frozenset({"url", "audio_url", "file_url", "audio", "input", "file_id", "source_url"})
"""How other servers name the sound: what they read would not be what was counted."""
REFERENCES = "known_speaker_references"


UNKNOWN = Length(Decimal(0), Decimal(0), is_counted=False)


@value
class TranscriptCall(FormCall):
    """`words` are bytes of the texts beside the sound, `prompt_tokens` a fair count of the one that is read; `voices`
    are tokens of those that it names, at most.
    """

    format: str = "json"
    length: Length = field(default_factory=lambda: UNKNOWN)
    words: int = 0
    prompt_tokens: int = 0
    voices: int = 0


def read(asked: Asked, *, formats: AbstractSet[str], streams: bool) -> TranscriptCall:
    """Raise `BadRequest` or `Refusal` unless the form can be held, forwarded and priced."""
    form = asked.form
    if form is None:
        raise Refusal(415, "unsupported_media_type", "This path takes multipart/form-data with a `file`.")
    body = FormFields(
        form,
        known=READ | OTHER_FILES,
        files=frozenset({FILE}),
        literals=frozenset({"stream"}),
        nested=frozenset({"chunking_strategy"}),
    )
    if found := sorted(OTHER_FILES.intersection(body.members)):
        raise BadRequest(f"`{found[0]}` is not on offer here: send the sound as `file`.", param=found[0])
    file_of(form, FILE)
    if not streams:
        refuse_stream(body)
    form_of = word_of(body, "response_format") or "json"
    if form_of not in formats:
        raise BadRequest(f"`response_format` may be {', '.join(sorted(formats))}.", param="response_format")
    texts, prompt = texts_of(form), (text_of(body, "prompt") or "").encode()
    references = sum(len(part.data) for part in form.parts if part.name.startswith(REFERENCES))
    return TranscriptCall(
        model=model_of(body),
        stream=flag_of(body, "stream"),
        rest=texts,
        form=form,
        format=form_of,
        words=len(texts),
        prompt_tokens=fair_tokens(len(prompt), wide=wide_bytes(prompt)) if prompt else 0,
        voices=-(-references // AUDIO_CHARACTERS),
    )
