"""What counts as produced by a model, in a JSON answer and in a stream: one list for both.

It decides whether something was delivered, and is what is counted where an upstream tells no usage.
"""

import re
from collections.abc import Mapping
from typing import Any

from proxy.protocols.lossless import write

FIELDS = (
    *("content", "text", "refusal", "transcript"),
    *("reasoning_content", "reasoning", "thinking", "summary"),
    *("name", "arguments", "input"),  # of tool calls, custom tools and the older function_call
)
# Neither spans lines, so that events count the same together and alone.
WORDS = re.compile(
    rb'"(?:%b)"[ \t]*+:[ \t]*+"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)"' % "|".join(FIELDS).encode(),
)
MEDIA = re.compile(rb'"(?:data|url|b64_json)"[ \t]*+:[ \t]*+"[^"\n]')
"""Sound, pictures and sealed reasoning: produced, but not to be counted by their bytes."""


def word_bytes(data: bytes) -> int:
    """Bytes of words in the JSON of choices, as they stand there."""
    return sum(map(len, WORDS.findall(data)))


def has_media(data: bytes) -> bool:
    return MEDIA.search(data) is not None


def produced_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of what an answer's choices say; at least 1 where they hold anything produced, 0 where nothing."""
    data = write(answer.get("choices"))
    return word_bytes(data) or int(has_media(data))
