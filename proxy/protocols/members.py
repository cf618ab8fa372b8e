"""A JSON object as its members' raw bytes: what is read is read alike by everybody, the rest goes on as it came.

Servers take the first of a repeated name, or the last, or a name in any case. So where we read inside an object, no
name that we know may stand in it twice, nor a twin of one in other letters.
"""

import codecs
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import orjson

from proxy.protocols.structure import LARGE, NotJson, check_structure

PIECE = 1_000_000
SHORT_LIST = 16_384
MOST_NAMES = 1_000
LONGEST_NAME = 10_000
"""Of a large object: its members, and the bytes of a name."""
SHORTEST = len('"n":1,')
"""What the shortest member that we know takes: in less room none can hide."""
NAME = re.compile(rb'[ \t\r\n]*("(?:[^"\\]++|\\.)*+")[ \t\r\n]*:[ \t\r\n]*')
SPACE = re.compile(rb"[ \t\r\n]*")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(msgspec.Raw)
_list = msgspec.json.Decoder(list[msgspec.Raw])

Members = dict[str, msgspec.Raw]
OPENING = ord("{")
FOLLOWED = re.compile(r"trailing characters \(byte (\d+)\)")
ITEM = re.compile(r"\$\[(\d+)\]")


class NotAnObject(NotJson):
    """A list's item at `index` that is no object; None where there is no list."""

    def __init__(self, index: int | None) -> None:
        super().__init__("not an object")
        self.index = index


class AnyObject(msgspec.Struct, gc=False):
    """What is looked at and not kept."""


class Ambiguous(ValueError):
    """A name that not every server reads alike: it stands twice, or in other letters too."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


_objects = msgspec.json.Decoder(list[AnyObject])


def check_bytes(raw: bytes) -> None:
    """Raise `NotJson` for what is not UTF-8, nested too deeply, or so finely divided that it would fill the memory."""
    check_structure(raw)
    if raw.isascii():
        return
    reader = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(raw), PIECE):
            reader.decode(raw[start : start + PIECE], final=start + PIECE >= len(raw))
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None


def members_of(raw: "bytes | msgspec.Raw", known: frozenset[str]) -> Members:
    """An object's members by name, in their order; raises `NotJson`, or `Ambiguous` for a name of `known`."""
    size, least = memoryview(raw).nbytes, 1
    try:
        found = _object.decode(raw) if size <= LARGE else _walked(memoryview(raw))
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
        raise NotJson(str(error)) from None
    for name, value in found.items():
        if name not in known and name.casefold() in known:
            raise Ambiguous(name)
        least += len(name) + memoryview(value).nbytes + 4  # quotes, colon, and comma or brace
    if size - least >= SHORTEST and size <= LARGE:
        _refuse_repeated(bytes(raw), found)
    return found


def objects_of(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The items of a list of objects; raises `NotJson`, or `NotAnObject` for the first item that is something else.

    A long one is looked at first without being kept: what is no object is not counted by `check_structure`, and may
    be there by millions.
    """
    try:
        if size(raw) > SHORT_LIST:
            _objects.decode(raw)
        items = _list.decode(raw)
    except msgspec.ValidationError as error:
        found = ITEM.search(str(error))
        raise NotAnObject(int(found.group(1)) if found is not None else None) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from None
    for index, item in enumerate(items):
        if memoryview(item)[0] != OPENING:
            raise NotAnObject(index)
    return items


def value_of(raw: msgspec.Raw, *, most: int = 1_000) -> Any:
    """A short value, parsed; a longer one as the text it stands in, which is no value that we know."""
    text = bytes(memoryview(raw)[: most + 1])
    if len(text) > most:
        return ...
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return ...


def first(raw: msgspec.Raw) -> bytes:
    """The first byte, which tells an object, a list and a text apart."""
    return bytes(memoryview(raw)[:1])


def size(raw: msgspec.Raw) -> int:
    """Bytes."""
    return memoryview(raw).nbytes


def joined(members: Members, *, without: AbstractSet[str]) -> bytes:
    """The members but some, as they stand in an object: `"a":1,"b":2`."""
    pieces: list[Any] = []
    for name, value in members.items():
        if name not in without:
            pieces += (b",", orjson.dumps(name), b":", value)
    return b"".join(pieces[1:])


def with_list(rest: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The members of an object (`"a":1,"b":2`) with each object of the list `name` changed, or taken out by b"". As it
    came where `name` is no list; raises `KeyError` where it is not there, and as `objects_of`.
    """
    body = members_of(b"{%b}" % rest, frozenset())
    if first(body[name]) != b"[":
        return rest
    kept = [changed for raw in objects_of(body[name]) if (changed := change(bytes(raw)))]
    others, listed = joined(body, without={name}), b"%b:[%b]" % (orjson.dumps(name), b",".join(kept))
    return b"%b,%b" % (others, listed) if others else listed


def _refuse_repeated(raw: bytes, found: Members) -> None:
    """Walk over the names alone: a value that stands once is where `found` has it, and is stepped over.

    `found` has the last value of a name that stands twice, so that its first one is another or comes again.
    """
    at, seen = _after_space(raw, 0) + 1, set[str]()
    while (match := NAME.match(raw, at)) is not None:
        name, at = orjson.loads(match.group(1)), match.end()
        value = memoryview(found[name])
        end = _after_space(raw, at + value.nbytes)
        if name in seen or not raw.startswith(value, at) or raw[end : end + 1] not in (b",", b"}"):
            raise Ambiguous(name)
        seen.add(name)
        at = end + 1


def _walked(raw: memoryview) -> Members:
    """A large object member by member, as a million of them would fill the memory before they are counted.

    Where a value ends is what the parser says of the rest: that it does not belong to it.
    """
    found: Members = {}
    at = _after_space(raw, 0)
    if _mark(raw, at) != b"{":
        raise NotJson("not an object")
    at = _after_space(raw, at + 1)
    is_over = _mark(raw, at) == b"}"
    while not is_over:
        match = NAME.match(raw, at, at + LONGEST_NAME)
        if match is None or len(found) == MOST_NAMES:
            raise NotJson(f"an object has no name, one beyond {LONGEST_NAME} bytes, or more than {MOST_NAMES} members")
        name, at = orjson.loads(match.group(1)), _after_space(raw, match.end())
        if name in found:
            raise Ambiguous(name)
        end = at + _value_end(raw[at:])
        found[name] = msgspec.Raw(raw[at:end])
        at = _after_space(raw, end)
        is_over = _mark(raw, at) == b"}"
        if not is_over and _mark(raw, at) != b",":
            raise NotJson("an object does not end")
        at = _after_space(raw, at + 1 - is_over)
    if _after_space(raw, at + 1) != len(raw):
        raise NotJson("something follows the object")
    return found


def _mark(raw: memoryview, at: int) -> bytes:
    return bytes(raw[at : at + 1])


def _value_end(rest: memoryview) -> int:
    """Where the value ends that `rest` begins with, and something else follows."""
    try:
        _value.decode(rest)
    except msgspec.DecodeError as error:
        if (follows := FOLLOWED.search(str(error))) is None:
            raise
        end = int(follows[1]) - 1
    else:
        end = len(rest)
    while end:
        piece = bytes(rest[max(0, end - SHORT_LIST) : end])
        kept = len(piece.rstrip(b" \t\r\n"))
        end -= len(piece) - kept
        if kept:
            break
    return end


def _after_space(raw: "bytes | memoryview", at: int) -> int:
    match = SPACE.match(raw, at)
    return match.end() if match is not None else at
