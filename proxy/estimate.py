"""How much a request can use (the bound) and likely uses (the estimate), without a tokenizer. Pure.

Bound: every byte of the body a token. A byte-level vocabulary has at most a token a byte, JSON escapes only make a
text longer, and a message's own few tokens are fewer than the bytes of its JSON. Images count at the most that a
provider counts for one; the text of a document sent as a file is compressed, so a file counts as the whole context.
"""

from dataclasses import dataclass

IMAGE_TOKENS = 40_000
"""The dearest image known: 36,835 tokens (gpt-4o-mini, high detail, by OpenAI's vision guide), rounded up."""
LIKELY_IMAGE_TOKENS = 1_600
FRAME_TOKENS = 64
"""What a provider adds around a prompt."""
FILE_TOKENS = 1_000_000
"""A file's most where the model's context is not known."""
LIKELY_OUTPUT_TOKENS = 1_024
NOT_ASCII = bytes(range(128, 256))


@dataclass(frozen=True, slots=True)
class Material:
    """What a request brings: bytes of text, its tokens counted carefully and fairly, and images and files apart."""

    text_bytes: int
    text_likely: int
    text_fair: int
    images: int = 0
    files: int = 0


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
    most = material.text_bytes + FRAME_TOKENS + material.images * IMAGE_TOKENS + material.files * FILE_TOKENS
    return most if context is None else min(most, context)


def likely_input(material: Material, *, context: int | None) -> int:
    likely = material.text_likely + FRAME_TOKENS + material.images * LIKELY_IMAGE_TOKENS
    likely += material.files * FILE_TOKENS
    return likely if context is None else min(likely, context)


def likely_output(limit: int) -> int:
    return min(limit, LIKELY_OUTPUT_TOKENS)
