"""A caller's JSON as the structs that a protocol's reader knows; what they do not know is refused by its name."""

import re
from typing import TypeVar

import msgspec

from proxy.protocols.base import BadRequest
from proxy.protocols.translate.form import Untranslatable

PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*?)`", re.DOTALL)
LONGEST_NAME = 100
Shape = TypeVar("Shape")


class Known(msgspec.Struct, gc=False, forbid_unknown_fields=True, kw_only=True):
    """An object of which every member is known."""


def decoded(decoder: msgspec.json.Decoder[Shape], raw: bytes) -> Shape:
    """Raises `Untranslatable` for what the shape does not know, `BadRequest` for what is no JSON to us."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body cannot be translated: {str(error)[:LONGEST_NAME]}.") from None


def not_carried(param: str, why: str = "") -> Untranslatable:
    """`why` is a sentence of its own."""
    words = f"`{param}` cannot be carried to this model, whose provider speaks another protocol."
    return Untranslatable(f"{words} {why}" if why else words, param=param)


def _refusal(words: str) -> Untranslatable:
    found = PLACE.search(words)
    place = found["place"] if found is not None else ""
    said = words[: found.start()] if found is not None else words
    if (unknown := UNKNOWN.match(said)) is not None:
        name = unknown["name"][:LONGEST_NAME]
        return not_carried(f"{place}.{name}" if place else name)
    return not_carried(place[:LONGEST_NAME] or "body", f"{said}.")
