"""What counts as produced by a model: counted where an upstream tells no usage."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.protocols.lossless import write

FIELDS = ("text", "thinking", "partial_json", "name", "content")
WORDS = re.compile(rb'"(?:%b)"[ \t]*+:[ \t]*+"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)"' % "|".join(FIELDS).encode())
SEALED = re.compile(rb'"(?:data|signature|encrypted_content)"[ \t]*+:[ \t]*+"[^"\n]')
"""Produced, but not to be counted by its bytes."""
MOST_UNCOUNTED_BYTES = 16_384


class Produced:
    """Counts what it is given, some time later: most upstreams tell their usage, and counting costs more than passing
    on."""

    __slots__ = ("_bytes", "_has_sealed", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._bytes = 0
        self._has_sealed = False

    def add(self, events: bytes) -> None:
        self._pieces.append(events)
        self._size += len(events)
        if self._size > MOST_UNCOUNTED_BYTES:
            self._count()

    @property
    def bytes(self) -> int:
        """Bytes of what was produced; at least 1 where anything was."""
        self._count()
        return self._bytes or int(self._has_sealed)

    def _count(self) -> None:
        data = b"\n".join(self._pieces)
        self._pieces, self._size = [], 0
        self._bytes += sum(map(len, WORDS.findall(data)))
        if not self._bytes and not self._has_sealed:
            self._has_sealed = SEALED.search(data) is not None


def produced_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of what an answer's blocks say; at least 1 where they hold anything produced, 0 where nothing."""
    blocks = answer.get("content")
    found = 0
    for block in blocks if isinstance(blocks, list) else ():
        data = write(block)
        found += sum(map(len, WORDS.findall(data))) or int(SEALED.search(data) is not None)
        if isinstance(block, dict) and isinstance(block.get("input"), dict):
            found += len(write(block["input"])) - 2
    return found
