"""Ids of tool calls, as another protocol takes them.

An id that does not fit becomes another by itself alone: the next turn sends the same, from whatever process, and the
model's prompt cache finds what it had.
"""

import re
from collections import deque
from hashlib import sha256

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGEST_CHARACTERS = 32


class Ids:
    """The ids of one request's calls, in the form that `fits`; of `most` characters where one has to be made."""

    def __init__(self, fits: re.Pattern[str], *, most: int = 0) -> None:
        self._fits = fits
        self._most = most
        self._given: dict[str, str] = {}
        self._waiting: dict[str, deque[str]] = {}
        """What each id has become, by its calls that have no result yet."""
        self._used: set[str] = set()
        self._times: dict[str, int] = {}
        """How often each id was used, so that none of many costs more than the first."""

    def of_call(self, id: str) -> str:
        """An id that was used before is another now: some upstreams count from zero each turn, others refuse that."""
        given, again = self._fitted(id), self._times.get(id, 1)
        while given in self._used:
            again += 1
            given = self._made(f"{id} {again}")
        self._times[id] = again
        self._used.add(given)
        self._given[id] = given
        self._waiting.setdefault(id, deque()).append(given)
        return given

    def of_result(self, id: str) -> str:
        """Of the first call with that id that has none yet, else of the last: some servers name several calls alike."""
        if waiting := self._waiting.get(id):
            self._given[id] = waiting.popleft()
        return self._given.get(id) or self._fitted(id)

    def _fitted(self, id: str) -> str:
        return id if self._fits.fullmatch(id) else self._made(id)

    def _made(self, id: str) -> str:
        return digest(id, most=self._most) if self._most else f"call_{digest(id, most=DIGEST_CHARACTERS)}"


def digest(text: str, *, most: int) -> str:
    """Letters and digits that stand for a text."""
    number, letters = int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest(), "big"), ""
    while len(letters) < most:
        number, place = divmod(number, len(LETTERS))
        letters += LETTERS[place]
    return letters
