"""What a provider wrote, read as what it should be: another type, too long or not storable is not readable."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from payments.providers.base import ProviderUnavailable

MOST_ID = 120
"""Characters of a provider's number, as the columns that keep one have."""


class NotReadable(ProviderUnavailable):
    """Not what its provider should have written; as an answer it says nothing about what happened."""


def mapping(value: Any, name: str = "the answer") -> Mapping[str, Any]:
    """An object; raises `NotReadable`."""
    if not isinstance(value, Mapping):
        raise NotReadable(f"{name} is no object")
    return value


def inside(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that may be left out; raises `NotReadable` for anything else."""
    value = told.get(name)
    return {} if value is None else mapping(value, name)


def text(told: Mapping[str, Any], name: str, *, most: int = MOST_ID) -> str:
    """A text of at most so many characters that a database can keep, "" if it is left out; raises `NotReadable`."""
    value = told.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most or not is_storable(value):
        raise NotReadable(f"{name} is not a text of at most {most} characters")
    return value


def needed(told: Mapping[str, Any], name: str, *, most: int = MOST_ID) -> str:
    """As `text`, and it has to be there."""
    value = text(told, name, most=most)
    if not value:
        raise NotReadable(f"{name} is missing")
    return value


def whole(told: Mapping[str, Any], name: str) -> int:
    """A whole number that has to be there; raises `NotReadable`."""
    value = told.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 10**14:
        raise NotReadable(f"{name} is no whole number")
    return value


def words(value: Any, *, most: int = 300) -> str:
    """Whatever a provider says, as a text for staff that can be kept."""
    return str(value or "").encode("utf-8", "replace").decode().replace("\0", "")[:most]


def is_storable(value: str) -> bool:
    """PostgreSQL takes neither NUL nor half a character."""
    try:
        return "\0" not in value and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def second(value: Any) -> datetime | None:
    """A moment from Unix seconds; None for what is none."""
    try:
        return datetime.fromtimestamp(int(value), tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
