"""How finely a JSON text is divided and how deeply nested, found before it is parsed: in linear time, in little memory.

Parsed, each object, list and member takes some hundred bytes, so that a body of 20 MB could fill a gigabyte.
"""

from collections.abc import Iterator
from itertools import accumulate

LARGE = 262_144
"""Bytes of a text that may be divided as finely as it likes."""
MOST_DEPTH = 200
MOST_PARTS = 100_000
"""Objects, and lists, of a large body: what is read of them is kept while it is read."""
MOST_MEMBERS = 400_000
"""Of all objects of a large body together."""
MOST_COMMAS = 1_000_000
"""Between members and items of a large body: to step over ten millions takes a tenth of a second each time."""
PIECE = 65_536
OTHERS = bytes(set(range(256)) - set(b'"[]{}:,'))
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""What each bracket adds to the depth, as signed bytes."""


class NotJson(ValueError):
    """Why the bytes are no JSON object that can be read, for the caller."""


def check_structure(raw: bytes) -> None:
    """Raise `NotJson` for what is nested too deeply, or so finely divided that its parts would fill the memory."""
    size = len(raw)
    if size <= LARGE:
        if size > 2 * MOST_DEPTH and _opened(raw) > MOST_DEPTH:
            _check_depth(raw)
    elif (
        raw.count(b"{") + raw.count(b"[") > MOST_DEPTH
        or raw.count(b":") > MOST_MEMBERS
        or raw.count(b",") > MOST_COMMAS
    ):
        _check_parts(raw)
        _check_depth(raw)


def _opened(raw: bytes) -> int:
    """Objects and lists begun, in texts too. To take a rare byte out is much faster than to count it."""
    return 2 * len(raw) - len(raw.replace(b"{", b"")) - len(raw.replace(b"[", b""))


def _check_parts(raw: bytes) -> None:
    parts = members = commas = 0
    for marks in _marks(raw):
        members += marks.count(b":")
        parts += marks.count(b"{") + marks.count(b"[")
        commas += marks.count(b",")
        if parts > MOST_PARTS:
            raise NotJson(f"it has more than {MOST_PARTS} objects or lists")
        if members > MOST_MEMBERS:
            raise NotJson(f"it has more than {MOST_MEMBERS} members")
        if commas > MOST_COMMAS:
            raise NotJson(f"it has more than {MOST_COMMAS} values")


def _check_depth(raw: bytes) -> None:
    depth = 0
    for marks in _marks(raw):
        steps = memoryview(marks.translate(STEPS, b":,")).cast("b")
        if max(accumulate(steps, initial=depth)) > MOST_DEPTH:
            raise NotJson(f"it is nested more than {MOST_DEPTH} deep")
        depth += sum(steps)


def _marks(raw: bytes) -> Iterator[bytes]:
    """The brackets, colons and commas outside of texts, piece by piece.

    Take out what is escaped, then all but quotes and marks, then what stands between quotes.
    """
    at, is_in_text = 0, False
    while at < len(raw):
        piece = raw[at : at + PIECE]
        at += PIECE
        if b"\\" in piece:
            at += (len(piece) - len(piece.rstrip(b"\\"))) % 2  # what follows is escaped
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        between = piece.translate(None, OTHERS).split(b'"')
        yield b"".join(between[is_in_text::2])
        is_in_text ^= len(between) % 2 == 0
