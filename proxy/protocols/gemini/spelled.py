"""The members of an object whose names have two spellings: `maxOutputTokens`, and `max_output_tokens` as in its schema.

Servers of this protocol read both, so that a name may stand once in either, and in no third. What stands where a list
belongs is taken for its only item. https://protobuf.dev/programming-guides/json/
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from proxy.protocols.base import BadRequest
from proxy.protocols.members import Members, first
from proxy.protocols.reading import Fields
from proxy.protocols.steering import folded

NOTHING = frozenset[str]()
CAPITAL = re.compile(r"[A-Z]")
LONGEST_NAME = 200


class Spelled(Fields):
    """The members of an object that the caller sent; `known` are names as `maxOutputTokens`."""

    def __init__(self, raw: bytes | msgspec.Raw, *, known: frozenset[str], place: str) -> None:
        super().__init__(raw, known=NOTHING, place=place)
        spellings, plain = _table(known)
        self.spelt: dict[str, str] = {}
        """By the name that we know, as the caller wrote it."""
        for name in self.members:
            found = spellings.get(name)
            if found is None and (len(name) > LONGEST_NAME or folded(name) not in plain):
                continue
            if found is None or found in self.spelt:
                path = self._path(name[:100])
                words = f"`{path}` stands twice, or in other letters: servers would not agree which one counts."
                raise BadRequest(words, param=path)
            self.spelt[found] = name

    def get(self, name: str) -> msgspec.Raw | None:
        return super().get(self.spelt.get(name, name))

    def inside(self, name: str, *, known: frozenset[str]) -> "Spelled | None":
        """The members of an object within; None where it is absent."""
        raw = self.get(name)
        return None if raw is None else Spelled(raw, known=known, place=self._path(self.spelt.get(name, name)))

    def listed(self, name: str, *, known: frozenset[str]) -> Iterator["Spelled"]:
        """The objects of a list, or the one that stands in its place."""
        raw = self.get(name)
        spelt = self.spelt.get(name, name)
        if raw is not None and first(raw) == b"{":
            yield Spelled(raw, known=known, place=self._path(spelt))
            return
        for index, item in enumerate(self.items(spelt)):
            yield Spelled(item, known=known, place=f"{self._path(spelt)}[{index}]")

    def without(self, *names: str) -> Members:
        """The members but these, whichever way they are spelt."""
        left_out = {self.spelt.get(name, name) for name in names}
        return {name: value for name, value in self.members.items() if name not in left_out}

    @property
    def unknown(self) -> list[str]:
        """The names that are none of those that we know."""
        known = set(self.spelt.values())
        return [name for name in self.members if name not in known]


@lru_cache
def _table(known: frozenset[str]) -> tuple[dict[str, str], frozenset[str]]:
    """Every spelling with its name, and the names as the laxest server reads them."""
    spellings = {name: name for name in known}
    spellings |= {CAPITAL.sub(lambda letter: "_" + letter[0].lower(), name): name for name in known}
    return spellings, frozenset(map(folded, known))
