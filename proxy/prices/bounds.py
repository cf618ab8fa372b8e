"""How much a request can use (the bound) and likely uses (the estimate), without a tokenizer. Pure.

Bound: every byte of the body a token. A byte-level vocabulary has at most a token a byte, JSON escapes only make a
text longer, and a message's own few tokens are fewer than the bytes of its JSON. What is not text counts at the most
that a provider counts for it; what is in a file cannot be seen (documents are compressed, a video is a URL), so a
file counts as the whole context. (A vocabulary that rewrites its text first, as old ones do with a few rare letters,
may go beyond; the charge does not.)
"""

from core.records import value
from proxy.prices.units import INPUT, INPUT_AUDIO, INPUT_IMAGE, INPUT_VIDEO

IMAGE_TOKENS = 49_152
"""The dearest image known: gpt-4o-mini, high detail, 2,833 + 8 tiles of 5,667 = 48,169 by OpenAI's vision guide."""
LOW_IMAGE_TOKENS = 16_384
"""With `detail: low`. OpenAI counts 2,833 at most, but who knows no details counts in full: Qwen-VL up to this."""
LIKELY_IMAGE_TOKENS = 1_600
LIKELY_LOW_IMAGE_TOKENS = 300
AUDIO_CHARACTERS = 24
"""Base64 characters of wav or mp3 a token, at least: mp3's least, 1,000 bytes/s, are 41 at Gemini's 32 tokens/s, and
speech codecs inside a wav go down to 660 bytes/s."""
LIKELY_AUDIO_CHARACTERS = 200
"""The same, for speech at 32 kbit/s and 25 tokens/s."""
FRAME_TOKENS = 128
"""What a chat template adds around a conversation, beyond what the bytes of its JSON pay for: gpt-oss adds 70."""
LIKELY_FRAME_TOKENS = 8
TOOL_FRAME_TOKENS = 1_024
"""What a provider adds to tell a model of its tools, beside their schemas: Anthropic 300 to 500, it says."""
LIKELY_TOOL_FRAME_TOKENS = 350
FILE_TOKENS = 1_000_000
"""A file's most where the model's context is not known."""
LIKELY_TOOL_TOKENS = 10_000
"""What a search finds and the model reads, mostly."""
LIKELY_OUTPUT_TOKENS = 1_024
NOT_ASCII = bytes(range(128, 256))


@value
class Material:
    """What a request brings: bytes of text, of which `wide` are not ASCII, and apart what is not text.

    `low_images` are those of low detail, not among `images`. `audio` are base64 characters of wav and mp3; `sounds` are
    those of other formats and `films`, whose length cannot be seen, as in files. `predicted` are bytes of predicted
    output: what the model does not use of them is billed as output too. `kept` are tokens of what an upstream keeps and
    the request names.
    """

    text_bytes: int
    wide: int
    images: int = 0
    low_images: int = 0
    audio: int = 0
    sounds: int = 0
    films: int = 0
    files: int = 0
    tools: bool = False
    predicted: int = 0
    kept: int = 0

    @property
    def is_plain(self) -> bool:
        """Nothing but text."""
        return not (self.images or self.low_images or self.audio or self.sounds or self.films or self.files)

    @property
    def fair(self) -> int:
        """A fair count of it all: billed as input where an upstream told nothing."""
        return fair_tokens(self.text_bytes, wide=self.wide) + _likely_images(self) + self.fair_audio + self.kept

    @property
    def fair_audio(self) -> int:
        """A fair count of its sound alone."""
        return -(-self.audio // LIKELY_AUDIO_CHARACTERS)


def likely_tokens(size: int, *, wide: int) -> int:
    """A conservative count for `size` bytes of which `wide` are not ASCII: 3 (prose has 4 to 5) or 2 a token."""
    return (size - wide + 2) // 3 + (wide + 1) // 2


def fair_tokens(size: int, *, wide: int) -> int:
    """A fair count for `size` bytes of which `wide` are not ASCII: 4 or 3 bytes a token. Billed where an upstream
    told nothing."""
    return (size - wide) // 4 + wide // 3 + 1


def wide_bytes(text: bytes) -> int:
    """How many bytes are not ASCII."""
    return 0 if text.isascii() else len(text) - len(text.translate(None, delete=NOT_ASCII))


def most_input(material: Material, *, context: int | None) -> int:
    """Tokens of input, at most. What goes beyond the model's context is refused by its provider."""
    return sum(most_by_unit(material, context=context).values())


def likely_input(material: Material, *, context: int | None) -> int:
    """Tokens of input, careful and likely."""
    return sum(likely_by_unit(material, context=context).values())


def most_by_unit(material: Material, *, context: int | None) -> dict[str, int]:
    """Tokens of input, at most, by the unit that they may be of, text first.

    Images are billed beyond the context: gpt-4o-mini multiplies an image's tokens for the bill alone.
    """
    text = material.text_bytes + FRAME_TOKENS + material.files * FILE_TOKENS + material.kept
    if material.tools:
        text += TOOL_FRAME_TOKENS
    if material.is_plain:
        return {INPUT: text if context is None else min(text, whole_context(context))}
    sound = -(-material.audio // AUDIO_CHARACTERS) + material.sounds * FILE_TOKENS
    film = material.films * FILE_TOKENS
    if context is not None:
        whole = whole_context(context)
        text = whole if material.files else min(text, whole)
        sound = whole if material.sounds else min(sound, whole)
        film = min(film, whole)
    images = material.images * IMAGE_TOKENS + material.low_images * LOW_IMAGE_TOKENS
    return _present(text, images, sound, film)


def likely_by_unit(material: Material, *, context: int | None) -> dict[str, int]:
    """Tokens of input, careful and likely, by unit."""
    text = likely_tokens(material.text_bytes, wide=material.wide) + LIKELY_FRAME_TOKENS
    text += material.files * FILE_TOKENS + material.kept
    if material.tools:
        text += LIKELY_TOOL_FRAME_TOKENS
    if material.is_plain:
        return {INPUT: text if context is None else min(text, context)}
    images, sound = _likely_images(material), material.fair_audio + material.sounds * FILE_TOKENS
    found = _present(text, images, sound, material.films * FILE_TOKENS)
    if context is None:
        return found
    left = context
    for name, count in found.items():
        found[name] = min(count, left)
        left -= found[name]
    return found


def whole_context(context: int) -> int:
    """A context's tokens, at most: catalogs round, and "1,000,000" is 1,048,576 to its provider."""
    return context + context // 16


def _present(text: int, images: int, sound: int, film: int) -> dict[str, int]:
    parts = {INPUT: text, INPUT_IMAGE: images, INPUT_AUDIO: sound, INPUT_VIDEO: film}
    return {name: count for name, count in parts.items() if count or name == INPUT}


def most_extra_output(material: Material) -> int:
    """Tokens billed as output beyond the limit, at most: what was predicted and not used."""
    return material.predicted


def likely_output(limit: int) -> int:
    """Tokens of output, careful and likely, under that limit."""
    return min(limit, LIKELY_OUTPUT_TOKENS)


def _likely_images(material: Material) -> int:
    return material.images * LIKELY_IMAGE_TOKENS + material.low_images * LIKELY_LOW_IMAGE_TOKENS
