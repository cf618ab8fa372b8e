"""JSON that goes through as it was written."""

import msgspec
import orjson

NULL = b"null"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def raw_of(value: msgspec.Raw) -> bytes:
    """b"" where it is absent or null."""
    text = bytes(value)
    return b"" if text == NULL else text


def is_object(text: bytes) -> bool:
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def fragment(raw: bytes) -> orjson.Fragment:
    """To stand in what `orjson.dumps` writes."""
    return orjson.Fragment(raw)


def as_object(arguments: str) -> orjson.Fragment:
    """Arguments of a call as the object that they have to be.

    A model may have been cut off while it wrote them, and its agent sends on what came: that stands in an object then.
    """
    text = arguments.strip().encode("utf-8", "surrogatepass")
    if not text:
        return orjson.Fragment(b"{}")
    if is_object(text):
        return orjson.Fragment(text)
    return orjson.Fragment(orjson.dumps({"arguments": arguments}))
