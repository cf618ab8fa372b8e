"""A long JSON object on its way: its large members go on as they come, its small ones are read, its end is kept back.

What may go on of an object's beginning is known before the whole of it is there; what it used stands in a small member,
wherever. In memory are the small members, and the last 64 kB.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.protocols import lossless
from proxy.protocols.base import Long, Manner
from proxy.protocols.counts import costs_out

KEPT = 65_536
"""Bytes of the end that wait for METER, and the longest member that is read."""
MOST_SMALL_BYTES = 1_000_000
LONGEST_NAME = 1_000
TOKEN = re.compile(rb'["\[\]{}]')
STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
NAME = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+(?=.)', re.DOTALL)
SCALAR = re.compile(rb"[^,}\] \t\r\n]*+(?=.)", re.DOTALL)
SPACE = b" \t\r\n"
OURS = "x_chuizi"


class Scan:
    """Where a value ends that is a text, a list or an object; `items` counts the texts, lists and objects of a list."""

    def __init__(self) -> None:
        self.items = 0
        self._depth = 0
        self._in_text = self._is_escaped = False

    def feed(self, data: bytes, at: int) -> int:
        """The place behind it, -1 where it goes on."""
        if self._is_escaped and at < len(data):
            self._is_escaped, at = False, at + 1
        while at < len(data):
            if self._in_text:
                at = _end_of(STRING, data, at)
                if at == len(data):
                    return -1
                if data[at : at + 1] == b"\\":
                    self._is_escaped = True
                    return -1
                self._in_text, at = False, at + 1
            elif (found := TOKEN.search(data, at)) is None:
                return -1
            else:
                at = found.end()
                self._take(found[0])
            if not self._depth and not self._in_text:
                return at
        return -1

    def _take(self, mark: bytes) -> None:
        if mark in b"]}":
            self._depth -= 1
            return
        self.items += self._depth == 1
        if mark == b'"':
            self._in_text = True
        else:
            self._depth += 1


class Pieces:
    """Feed it what comes, write what is `ready`, and at last the `ending`. Raises `ValueError` for what is no object.

    `answer` is what has been read of it: a large member stands there as `Long`.
    """

    def __init__(self, manner: Manner, *, usage: str) -> None:
        self.answer: dict[str, Any] = {}
        self.is_complete = False
        self._manner, self._usage = manner, usage
        self._rest = b""
        self._step = self._begin
        self._name = b""
        self._scan = Scan()
        self._scanned = self._small = 0
        self._out: list[bytes] = []
        self._size = 0
        self._is_first = True

    def feed(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        while self._rest and self._step():
            pass

    def ready(self) -> bytes:
        """What may be written now."""
        if self._size <= KEPT:
            return b""
        whole = b"".join(self._out)
        self._out, self._size = [whole[-KEPT:]], KEPT
        return whole[:-KEPT]

    def ending(self, ours: Mapping[str, bytes | None]) -> bytes:
        """The rest, with these members behind the others."""
        for name, value in ours.items():
            if value is not None:
                self._put(orjson.dumps(name), value)
        return b"".join([*self._out, b"{}" if self._is_first else b"}"])

    def _begin(self) -> bool:
        self._rest = self._rest.lstrip(SPACE)
        if not self._rest:
            return False
        if self._rest[:1] != b"{":
            raise ValueError("not an object")
        self._rest, self._step = self._rest[1:], self._read_name
        return bool(self._rest)

    def _read_name(self) -> bool:
        found = NAME.match(self._rest)
        if found is None:
            rest = self._rest.lstrip(SPACE)
            if rest[:1] == b"}" and self._is_first:
                self._rest, self._step, self.is_complete = rest[1:], self._follow, True
                return True
            if len(rest) > LONGEST_NAME or (rest and rest[:1] != b'"'):
                raise ValueError("a member has no name")
            return False
        self._name, self._rest = found[1], self._rest[found.end() :]
        self._scan, self._scanned, self._step = Scan(), 0, self._read_value
        return True

    def _read_value(self) -> bool:
        if self._rest[:1] in (b'"', b"[", b"{"):
            end = self._scan.feed(self._rest, self._scanned)
        else:
            found = SCALAR.match(self._rest)
            end = found.end() if found is not None else -1
        if 0 <= end <= KEPT:
            self._take(self._rest[:end])
            self._rest, self._step = self._rest[end:], self._end_member
            return True
        self._scanned = len(self._rest)
        if end < 0 and len(self._rest) <= KEPT:
            return False
        if self._rest[:1] not in (b'"', b"[", b"{"):
            raise ValueError("not a value")
        self.answer[_text(self._name)] = Long(self._scan, is_list=self._rest[:1] == b"[")
        whole = len(self._rest) if end < 0 else end
        self._put(self._name, self._rest[:whole])
        self._rest, self._step = self._rest[whole:], self._pass_on if end < 0 else self._end_member
        return bool(self._rest)

    def _pass_on(self) -> bool:
        """More of a large member."""
        end = self._scan.feed(self._rest, 0)
        if end < 0:
            self._write(self._rest)
            self._rest = b""
            return False
        self._write(self._rest[:end])
        self._rest, self._step = self._rest[end:], self._end_member
        return True

    def _end_member(self) -> bool:
        self._rest = self._rest.lstrip(SPACE)
        mark, self._rest = self._rest[:1], self._rest[1:]
        if mark == b"}":
            self._step, self.is_complete = self._follow, True
        elif mark == b",":
            self._step = self._read_name
        elif mark:
            raise ValueError("an object does not end")
        return bool(self._rest)

    def _follow(self) -> bool:
        self._rest = self._rest.lstrip(SPACE)
        if self._rest:
            raise ValueError("something follows the object")
        return False

    def _take(self, raw: bytes) -> None:
        self._small += len(raw) + len(self._name)
        if self._small > MOST_SMALL_BYTES:
            raise ValueError("too many members")
        name = _text(self._name)
        said = {name: lossless.load(raw)}
        self.answer |= said
        if name in (self._usage, OURS) and not self._manner.is_plain:
            return  # at the end, as ours
        changes = costs_out(said, usage=self._usage) | self._manner.named(said)
        if (value := changes.get(name, raw)) is not None:
            self._put(self._name, value)

    def _put(self, name: bytes, value: bytes) -> None:
        self._write(b"{%b:" % name if self._is_first else b",%b:" % name)
        self._write(value)
        self._is_first = False

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self._size += len(data)


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return at if found is None else found.end()


def _text(name: bytes) -> str:
    return str(lossless.load(name))
