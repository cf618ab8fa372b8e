"""A request's head, read strictly: what one reader might take for this and another for that is refused.

RFC 9112 leaves much to a server's leniency (folded lines, bare line feeds, two lengths that agree), and each of these
has made a proxy and a server disagree about where a request ends. Nothing that is in use today needs them.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

MOST_HEAD_BYTES = 32_000
MOST_HEADERS = 200
END = b"\r\n\r\n"

FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""Any number of header lines, each whole. Every repetition ends at a fixed byte, so a match takes linear time."""
LONE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
"""Half of a line's end."""
LINE = re.compile(rb"([A-Z][A-Z-]{0,31}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
OTHER_VERSION = re.compile(rb"[A-Z]+ [\x21-\x7e]+ HTTP/(?!1\.[01]\r)[0-9](?:\.[0-9])?\r\n")
FIELD = re.compile(rb"(?<=\r\n)([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
ABSOLUTE = re.compile(rb"https?://([^/?#@]*)([/?].*)?", re.IGNORECASE)
LENGTH = re.compile(rb"[0-9]{1,15}")
FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})


class Unreadable(Exception):
    """What came is no request that can be served: an HTTP status and a sentence. The connection ends with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Head:
    """A request up to its body; `length` is None for a body in chunks, names of headers are in lower case."""

    method: str
    raw_path: bytes
    path: str
    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def read_head(block: bytes) -> Head:
    """The head in `block`, which ends with its empty line; raises `Unreadable`."""
    line = LINE.match(block)
    if line is None:
        if OTHER_VERSION.match(block):
            raise Unreadable(505, "This server speaks HTTP/1.1.")
        raise Unreadable(400, "The request's first line is not one of HTTP/1.1.")
    method, target, minor = line.groups()
    headers = [(name.lower(), value.strip(b" \t")) for name, value in FIELD.findall(block, line.end())]
    if len(headers) != block.count(b"\r\n") - 2:
        raise Unreadable(400, "A header's line is malformed.")
    if len(headers) > MOST_HEADERS:
        raise Unreadable(431, f"A request may have at most {MOST_HEADERS} headers.")
    said: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in FRAMING:
            said.setdefault(name, []).append(value)
    raw_path, query = _path(method, target, hosts=said.get(b"host", []), is_old=minor == b"0")
    path = raw_path.decode("ascii")
    connection = _tokens(said.get(b"connection", []))
    if b"upgrade" in connection and method == b"GET" and b"websocket" in _tokens(said.get(b"upgrade", [])):
        raise Unreadable(426, "There are no WebSockets here; ask by plain HTTP.")
    return Head(
        method=method.decode("ascii"),
        raw_path=raw_path,
        path=unquote(path) if "%" in path else path,
        query=query,
        version="1.0" if minor == b"0" else "1.1",
        headers=headers,
        length=_length(said, is_old=minor == b"0"),
        keep_alive=minor == b"1" and b"close" not in connection,
        expects_continue=minor == b"1" and _expects_continue(said.get(b"expect", [])),
    )


def _path(method: bytes, target: bytes, *, hosts: list[bytes], is_old: bool) -> tuple[bytes, bytes]:
    """Path and query; the target may name the host too, if it is the one that `Host` names."""
    if len(hosts) > 1 or (not hosts and not is_old):
        raise Unreadable(400, "A request has one Host header.")
    if not target.startswith(b"/"):
        absolute = ABSOLUTE.fullmatch(target)
        if method == b"CONNECT" or absolute is None:
            raise Unreadable(400, "The request's target must be a path.")
        if hosts and absolute[1].lower() != hosts[0].lower():
            raise Unreadable(400, "The request's target and its Host header name different hosts.")
        target = absolute[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    if b"#" in target:
        raise Unreadable(400, "The request's target holds a fragment.")
    path, _, query = target.partition(b"?")
    return path, query


def _length(said: dict[bytes, list[bytes]], *, is_old: bool) -> int | None:
    codings, lengths = said.get(b"transfer-encoding"), said.get(b"content-length")
    if codings is not None:
        if lengths is not None or is_old:
            raise Unreadable(400, "A body has one length: Content-Length, or chunks over HTTP/1.1.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Unreadable(501, "The only transfer coding known here is chunked.")
        return None
    if lengths is None:
        return 0
    if len(lengths) > 1 or LENGTH.fullmatch(lengths[0]) is None:
        raise Unreadable(400, "Content-Length is one number.")
    return int(lengths[0])


def _expects_continue(values: list[bytes]) -> bool:
    for value in values:
        if value.lower() != b"100-continue":
            raise Unreadable(417, "The only expectation known here is 100-continue.")
    return bool(values)


def _tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip(b" \t").lower() for value in values for token in value.split(b",")] if values else []
