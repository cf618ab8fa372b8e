"""An upstream's JSON without losses: what orjson refuses is read by the standard parser, what we leave alone is copied.

orjson refuses NaN, infinities, half a surrogate pair and bytes that are not UTF-8, and makes floats of integers beyond
64 bits. Upstreams send all of these, and have been paid for the answer.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
import orjson

BOM = b"\xef\xbb\xbf"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def load(data: bytes) -> Any:
    """The value, to be read and not written back; raises `ValueError`."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return load_exact(data)


def loaded(data: bytes, *, is_exact: bool = False) -> Any:
    """As `load` gives it, or `load_exact`; None for what is no JSON."""
    try:
        return load_exact(data) if is_exact else load(data)
    except ValueError:
        return None


def load_sound(data: bytes) -> tuple[Any, bytes]:
    """The value, and its text as every parser takes it: written anew where it is not UTF-8, or has control characters
    in a text. Raises `ValueError`.
    """
    try:
        return orjson.loads(data), data
    except orjson.JSONDecodeError:
        value = load_exact(data)
    try:
        json.loads(data.removeprefix(BOM).decode())
    except ValueError:
        return value, dump(value)
    return value, data


def load_exact(data: bytes) -> Any:
    """The value with every integer as it stands; raises `ValueError`."""
    try:
        return json.loads(data.removeprefix(BOM).decode("utf-8", "replace"), strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump(value: Any) -> bytes:
    """The JSON of what `load_exact` gave."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        return json.dumps(value, separators=(",", ":")).encode()


def write(value: Any) -> bytes:
    """The JSON of what `load` gave, as good as it could be read."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dump(value)


def splice(data: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """An object with some members exchanged or added, or taken out (None); the others byte for byte.

    Raises `ValueError` where something is to change and `data` is not an object.
    """
    return joined(members(data), changes) if changes else data


def joined(found: Mapping[str, Any], changes: Mapping[str, bytes | None]) -> bytes:
    """An object of these members, as `members` gives them, with some exchanged or added, or taken out."""
    pieces: list[Any] = []
    for name, value in {**found, **changes}.items():
        if value is not None:
            pieces += (_named(name), value)
    return b"{%b}" % b"".join(pieces)[1:]


def members(data: bytes) -> dict[str, Any]:
    """An object's members, each byte for byte: raw, or bytes. Raises `ValueError` where `data` is not an object."""
    try:
        found: dict[str, Any] = _members.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        whole = load_exact(data)
        if not isinstance(whole, dict):
            raise ValueError("not an object") from None
        return {name: dump(value) for name, value in whole.items()}
    return found


@lru_cache
def _named(name: str) -> bytes:
    """A comma, the name, a colon."""
    return b",%b:" % dump(name)
