"""Decisions drawn from a fuzzer's bytes, so that one input says both what is sent and how."""

from collections.abc import Iterator


class Choices:
    """Bytes taken from the front; past the end every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, below: int) -> int:
        """From 0 up to, but not including, `below`."""
        width = ((below - 1).bit_length() + 7) // 8
        taken = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(taken, "big") % below

    def rest(self) -> bytes:
        """All that has not been taken."""
        rest, self._at = self._data[self._at :], len(self._data)
        return rest

    def cut(self, text: bytes, *, most: int = 8) -> Iterator[bytes]:
        """`text` in at most so many pieces, as a network may deliver it."""
        start = 0
        for _ in range(self.number(most)):
            end = start + self.number(len(text) - start + 1)
            yield text[start:end]
            start = end
        yield text[start:]
