"""The headers of a caller that are read: those that go upstream, by its protocol's list, and those of its session."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from proxy.protocols.base import MOST_NAME_CHARACTERS, BadRequest

LONGEST = 4_000
"""Characters of a value."""
SESSION = b"x-session-id"
"""Ours: in which any caller may name its session."""
SESSION_HEADERS = (b"x-session-affinity",)
"""In which clients name it whatever protocol they speak."""


def chosen(
    headers: Mapping[bytes, bytes], names: AbstractSet[bytes], *, prefixes: tuple[bytes, ...] = ()
) -> Mapping[str, str]:
    """Those of these `names`, in lower case, and those whose names begin so; what is no plain text is left out."""
    found = {}
    for name, value in headers.items():
        if name in names or (prefixes and name.startswith(prefixes)):
            text = value.decode("latin-1")
            if len(text) <= LONGEST and text.isascii() and text.isprintable():
                found[name.decode("latin-1")] = text
    return found


def session_of(headers: Mapping[bytes, bytes], names: Sequence[bytes]) -> str | None:
    """The session that a caller names: in our header, else in the first of its client's own `names` that has one.

    Raises `BadRequest` for one of ours that cannot be stored; a client's own is then none.
    """
    if told := headers.get(SESSION):
        if (text := _session(told)) is None:
            words = f"`X-Session-Id` must be at most {MOST_NAME_CHARACTERS} printable characters of ASCII."
            raise BadRequest(words, param="X-Session-Id")
        return text
    for name in names:
        if (told := headers.get(name)) and (text := _session(told)) is not None:
            return text
    return None


def _session(told: bytes) -> str | None:
    text = told.decode("latin-1")
    return text if len(text) <= MOST_NAME_CHARACTERS and text.isascii() and text.isprintable() else None
