"""What counts as produced by a model: counted where an upstream tells no usage."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.protocols.lossless import write

TEXT = rb'"[ \t]*+:[ \t]*+"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)"'
DELTAS = re.compile(rb'"delta' + TEXT)
WORDS = re.compile(rb'"(?:text|refusal|name|arguments|input|code)' + TEXT)
SEALED = re.compile(rb'"(?:encrypted_content|result)"[ \t]*+:[ \t]*+"[^"\n]')
"""Produced, but not to be counted by its bytes."""
MOST_UNCOUNTED_BYTES = 16_384


class Produced:
    """Counts what it is given, some time later: most upstreams tell their usage, and counting costs more than passing
    on. What comes in pieces comes again as a whole, and is counted once."""

    __slots__ = ("_deltas", "_has_sealed", "_items", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._deltas = self._items = 0
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
        return self._deltas or self._items or int(self._has_sealed)

    def _count(self) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        self._deltas += sum(map(len, DELTAS.findall(data)))
        if not self._deltas:
            self._items += sum(map(len, WORDS.findall(data)))
            self._has_sealed = self._has_sealed or SEALED.search(data) is not None


def produced_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of what an answer's items say; at least 1 where they hold anything produced, 0 where nothing."""
    data = write(answer.get("output"))
    return sum(map(len, WORDS.findall(data))) or int(SEALED.search(data) is not None)
