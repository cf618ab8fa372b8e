"""A caller's JSON as the structs that a protocol's reader knows; what they do not know is refused by its name."""

import re
from typing import TypeVar

import msgspec

from proxy.protocols.base import BadRequest
from proxy.protocols.translate.form import Untranslatable

DATA = "data:"
PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*?)`", re.DOTALL)
LONGEST_NAME = 100
Shape = TypeVar("Shape")


class Known(msgspec.Struct, gc=False, forbid_unknown_fields=True, kw_only=True):
    """An object of which every member is known."""


def decoded(decoder: msgspec.json.Decoder[Shape], raw: bytes | msgspec.Raw, *, within: str = "") -> Shape:
    """`within` is where it stands in the body, "" for all of it.

    Raises `Untranslatable` for what the shape does not know, `BadRequest` for what is no JSON to us.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), within) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body cannot be translated: {str(error)[:LONGEST_NAME]}.") from None


def not_carried(param: str, why: str = "") -> Untranslatable:
    """`why` is a sentence of its own."""
    words = f"`{param}` cannot be carried to this model, whose provider speaks another protocol."
    return Untranslatable(f"{words} {why}" if why else words, param=param)


def data_in(url: str, place: str) -> tuple[str, str]:
    """The type and the base64 of a data URL; nothing of an address. Raises `Untranslatable` for any other data."""
    if url[: len(DATA)].lower() != DATA:
        return "", ""
    head, comma, data = url[len(DATA) :].partition(",")
    media_type, _, encoding = head.partition(";")
    if not comma or not media_type or "base64" not in encoding.lower() or not data:
        raise not_carried(place, "Data has to be in base64, behind its type.")
    return media_type.strip().lower(), data


def _refusal(words: str, within: str) -> Untranslatable:
    found = PLACE.search(words)
    place = found["place"] if found is not None else ""
    said = words[: found.start()] if found is not None else words
    if within:
        place = f"{within}{'.' if place and not place.startswith('[') else ''}{place}"
    if (unknown := UNKNOWN.match(said)) is not None:
        name = unknown["name"][:LONGEST_NAME]
        return not_carried(f"{place}.{name}" if place else name)
    return not_carried(place[:LONGEST_NAME] or "body", f"{said}.")
