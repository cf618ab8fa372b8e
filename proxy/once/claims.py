"""Which requests may be one and the same: those with an `Idempotency-Key`, and what official clients send again.

Both are known by keyed hashes, so that nobody who reads the database can try out what was asked. docs/gateway.md, "Once
only".
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from django.conf import settings

from core.records import value
from proxy.protocols.base import BadRequest
from proxy.uploads.form import Form
from proxy.uploads.spool import Stored

NAME = b"idempotency-key"
RETRIES = b"x-stainless-retry-count"
"""Of the official clients, which are made by Stainless: 0 with the first try, one more with each further one."""
MOST_NAME = 255
NAMED_SECONDS = 24 * 3600
UNNAMED_SECONDS = 600
FILE_PIECE = 1_000_000


@value
class Mark:
    """What a request says of itself before its body is read: the caller's key for it, "" where it has none."""

    name: str
    is_retry: bool


@value
class Claim:
    """A request that is to be done once. `digest` and `asked` in hexadecimal: what its repeats are found by, and all
    that they have in common with it.

    `is_named`: it has a key. Else `is_retry`: its client says that it tries again; a first try claims nothing, but is
    remembered. `unless` is the id of a generation that counts for nothing, as its answer is gone and was delivered.
    """

    customer_id: int
    digest: str
    asked: str
    is_named: bool
    is_retry: bool
    unless: str = ""

    @property
    def is_looked_up(self) -> bool:
        return self.is_named or self.is_retry

    @property
    def seconds(self) -> int:
        return NAMED_SECONDS if self.is_named else UNNAMED_SECONDS


def is_looked_up(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request may be a repeat, by its head."""
    return bool(headers.get(NAME)) or _is_retry(headers.get(RETRIES, b""))


def _is_retry(count: bytes) -> bool:
    return count.isdigit() and count.strip(b"0") != b""


def mark_of(headers: Mapping[bytes, bytes], *, is_repeated: bool) -> Mark | None:
    """None of most requests. `is_repeated`: the header of the key stands twice, with different values.

    Raises `BadRequest` for a key that is none.
    """
    name = headers.get(NAME, b"")
    if not name:
        retries = headers.get(RETRIES)
        return None if retries is None else Mark("", _is_retry(retries))
    text = name.decode("latin-1")
    if len(text) > MOST_NAME or not (text.isascii() and text.isprintable()):
        words = f"`Idempotency-Key` must be at most {MOST_NAME} printable characters of ASCII."
        raise BadRequest(words, param="Idempotency-Key")
    if is_repeated:
        raise BadRequest("The request has two different keys.", param="Idempotency-Key")
    return Mark(text, is_retry=False)


def claim_of(
    mark: Mark, scope: Mapping[str, Any], body: bytes | Form, *, customer_id: int, key_id: int, is_plain: bool
) -> Claim:
    """`scope` is ASGI's. Takes a millisecond for a megabyte."""
    head = f"asked\0{key_id}\0{scope['method']}\0{is_plain}\0".encode()
    asked = _digest(b"%b%b\0%b\0" % (head, scope["raw_path"], scope["query_string"]), body)
    if not mark.name:
        return Claim(customer_id, asked, asked, is_named=False, is_retry=mark.is_retry)
    named = _digest(f"named\0{key_id}\0{mark.name}".encode(), b"")
    return Claim(customer_id, named, asked, is_named=True, is_retry=False)


def _digest(head: bytes, body: bytes | Form) -> str:
    """Nothing that a head is made of holds a NUL."""
    made = _keyed(settings.FIELD_ENCRYPTION_KEY).copy()
    made.update(head)
    if isinstance(body, bytes):
        made.update(body)
        return made.hexdigest()
    for part in body.parts:  # a client writes another boundary with each try
        told = [part.name, part.kind, repr(part.filename), str(len(part.data))]
        made.update("\0".join(told).encode("utf-8", "surrogatepass") + b"\0")
        for piece in _pieces(part.data):
            made.update(piece)
    return made.hexdigest()


def _pieces(data: bytes | Stored) -> Iterable[bytes]:
    if isinstance(data, bytes):
        return (data,)
    return (data.read(at, FILE_PIECE) for at in range(0, len(data), FILE_PIECE))


@cache
def _keyed(secret: str) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=32, key=hashlib.sha256(b"once:" + secret.encode()).digest())
