"""A count that an upstream tells."""

from collections.abc import Mapping
from typing import Any

MOST_TOKENS = 1 << 60
"""Sums of a few stay in 64 bits."""


def tokens(counts: Mapping[str, Any], field: str) -> int | None:
    """A whole number that is not negative, also where it is written as a float or a text; else None."""
    value = counts.get(field)
    if type(value) is int:
        return value if 0 <= value < MOST_TOKENS else None
    is_whole = type(value) is float and value.is_integer()
    if is_whole or (type(value) is str and len(value) < 19 and value.isascii() and value.isdigit()):
        value = int(value or 0)
        return value if 0 <= value < MOST_TOKENS else None
    return None
