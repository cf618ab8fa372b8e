"""The members of an object that a caller sent, with its path for errors."""

from typing import Any

import msgspec

from proxy.protocols.base import BadRequest
from proxy.protocols.members import Ambiguous, Members, NotAnObject, first, members_of, objects_of, size, value_of
from proxy.protocols.structure import NotJson


class Fields:
    """The members of an object that the caller sent, `place` being its path in errors."""

    def __init__(self, raw: bytes | msgspec.Raw, *, known: frozenset[str], place: str) -> None:
        self.place = place
        try:
            self.members: Members = members_of(raw, known)
        except Ambiguous as error:
            name = self._path(error.name[:100])
            words = f"`{name}` stands twice, or in other letters too: servers would not agree which one counts."
            raise BadRequest(words, param=name) from None
        except NotJson as error:
            what = f"`{place}` must be an object" if place else "The body must be a JSON object"
            raise BadRequest(f"{what}: {error}", param=place or None) from None

    def get(self, name: str) -> msgspec.Raw | None:
        """The raw value; None where it is absent or null."""
        raw = self.members.get(name)
        return None if raw is None or (size(raw) == 4 and bytes(raw) == b"null") else raw

    def value(self, name: str, *, most: int = 1_000) -> Any:
        """A short value, parsed; None where it is absent, and `...` where it is too long to be one that we know."""
        raw = self.get(name)
        return None if raw is None else value_of(raw, most=most)

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            raise BadRequest(f"`{self._path(name)}` must be a whole number from {least} to {most}.", param=name)
        return value

    def inside(self, name: str, *, known: frozenset[str]) -> "Fields | None":
        """The members of an object within; None where it is absent."""
        raw, path = self.get(name), self._path(name)
        if raw is None:
            return None
        if first(raw) != b"{":
            raise BadRequest(f"`{path}` must be an object.", param=path)
        return Fields(raw, known=known, place=path)

    def items(self, name: str) -> list[msgspec.Raw]:
        """A list's items, which have to be objects each; none where it is absent."""
        raw, path = self.get(name), self._path(name)
        if raw is None:
            return []
        try:
            return objects_of(raw)
        except NotAnObject as error:
            place = path if error.index is None else f"{path}[{error.index}]"
            kind = "a list" if error.index is None else "an object"
            raise BadRequest(f"`{place}` must be {kind}.", param=place) from None
        except NotJson as error:
            raise BadRequest(f"`{path}` cannot be read: {error}.", param=path) from None

    def _path(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name
