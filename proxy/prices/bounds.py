"""How much a request can use (the bound) and likely uses (the estimate), without a tokenizer. Pure.

Bound: every byte of the body a token. A byte-level vocabulary has at most a token a byte, JSON escapes only make a
text longer, and a message's own few tokens are fewer than the bytes of its JSON. What is not text counts at the most
that a provider counts for it; what is in a file cannot be seen (documents are compressed, a video is a URL), so a
file counts as the whole context. (A vocabulary that rewrites its text first, as old ones do with a few rare letters,
may go beyond; the charge does not.)
"""

from core.records import value

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
LIKELY_OUTPUT_TOKENS = 1_024
NOT_ASCII = bytes(range(128, 256))


@value
class Material:
    """What a request brings: bytes of text, of which `wide` are not ASCII, and apart what is not text.

    `low_images` are those of low detail, not among `images`. `audio` are base64 characters of wav and mp3; other
    formats are files. `predicted` are bytes of predicted output: what the model does not use of them is billed as
    output too.
    """

    text_bytes: int
    wide: int
    images: int = 0
    low_images: int = 0
    audio: int = 0
    files: int = 0
    tools: bool = False
    predicted: int = 0

    @property
    def fair(self) -> int:
        """A fair count of it all: billed as input where an upstream told nothing."""
        return fair_tokens(self.text_bytes, wide=self.wide) + _likely_media(self)


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
    """Tokens of input, at most. What goes beyond the model's context is refused by its provider.

    Images are billed beyond it: gpt-4o-mini multiplies an image's tokens for the bill alone.
    """
    most = material.text_bytes + FRAME_TOKENS + material.files * FILE_TOKENS
    if material.tools:
        most += TOOL_FRAME_TOKENS
    most += -(-material.audio // AUDIO_CHARACTERS)
    if context is not None:
        whole = context + context // 16  # catalogs round: "1,000,000" is 1,048,576 to its provider
        most = whole if material.files else min(most, whole)
    return most + material.images * IMAGE_TOKENS + material.low_images * LOW_IMAGE_TOKENS


def likely_input(material: Material, *, context: int | None) -> int:
    """Tokens of input, careful and likely."""
    likely = likely_tokens(material.text_bytes, wide=material.wide) + LIKELY_FRAME_TOKENS + _likely_media(material)
    likely += material.files * FILE_TOKENS
    if material.tools:
        likely += LIKELY_TOOL_FRAME_TOKENS
    return likely if context is None else min(likely, context)


def most_extra_output(material: Material) -> int:
    """Tokens billed as output beyond the limit, at most: what was predicted and not used."""
    return material.predicted


def likely_output(limit: int) -> int:
    """Tokens of output, careful and likely, under that limit."""
    return min(limit, LIKELY_OUTPUT_TOKENS)


def _likely_media(material: Material) -> int:
    images = material.images * LIKELY_IMAGE_TOKENS + material.low_images * LIKELY_LOW_IMAGE_TOKENS
    return images + -(-material.audio // LIKELY_AUDIO_CHARACTERS)
