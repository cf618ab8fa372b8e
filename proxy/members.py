"""A JSON object as its members' raw bytes: what is read is read alike by everybody, the rest goes on as it came.

Servers take the first of a repeated name, or the last, or a name in any case. So where we read inside an object, no
name that we know may stand in it twice, nor a twin of one in other letters.
"""

import codecs
import re
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import orjson

LARGE = 1_000_000
"""Bytes of a body from which on its structure is bounded before it is parsed."""
MOST_PARTS = 400_000
"""Objects, and lists, of a large body. Each takes some hundred bytes of memory once it is parsed."""
SHORTEST = len('"n":1,')
"""What the shortest member that we know takes: in less room none can hide."""
NAME = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
SPACE = re.compile(rb"[ \t\r\n]*")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])

Members = dict[str, msgspec.Raw]
OPENING = ord("{")
ITEM = re.compile(r"\$\[(\d+)\]")


class NotJson(ValueError):
    """Why the bytes are no JSON object that can be read, for the caller."""


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
    """Raise `NotJson` for what is not UTF-8, or so finely divided that its parts would fill the memory."""
    if len(raw) > LARGE and max(raw.count(b"{"), raw.count(b"[")) > MOST_PARTS:
        raise NotJson(f"it has more than {MOST_PARTS} objects or lists")
    if raw.isascii():
        return
    reader = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(raw), LARGE):
            reader.decode(raw[start : start + LARGE], final=start + LARGE >= len(raw))
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None


def members_of(raw: "bytes | msgspec.Raw", known: frozenset[str]) -> Members:
    """An object's members by name, in their order; raises `NotJson`, or `Ambiguous` for a name of `known`."""
    try:
        found = _object.decode(raw)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from None
    size, least = memoryview(raw).nbytes, 1
    for name, value in found.items():
        if name not in known and name.casefold() in known:
            raise Ambiguous(name)
        least += len(name) + memoryview(value).nbytes + 4  # quotes, colon, and comma or brace
    if size - least >= SHORTEST:
        _refuse_repeated(bytes(raw), found)
    return found


def objects_of(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The items of a list of objects; raises `NotJson`, or `NotAnObject` for the first item that is something else.

    A large one is looked at first without being kept: what is no object is not counted by `check_bytes`, and may be
    there by millions.
    """
    try:
        if size(raw) > LARGE:
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
    return b",".join([b"%b:%b" % (orjson.dumps(name), value) for name, value in members.items() if name not in without])


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


def _after_space(raw: bytes, at: int) -> int:
    match = SPACE.match(raw, at)
    return match.end() if match is not None else at
