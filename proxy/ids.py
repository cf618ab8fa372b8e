"""Generation ids: `gen-` and a UUIDv7 in base62, padded to 24 characters, so that new rows go to the index's end."""

import os
import re
import time
from datetime import datetime

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
TWO, FOUR, EIGHT = 62**2, 62**4, 62**8
FORM = re.compile(r"gen-[0-9A-Za-z]{24}")


def new_generation_id(nanoseconds: int | None = None) -> str:
    """RFC 9562 version 7: 48 bits of milliseconds, 12 bits of the millisecond's fraction, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns() if nanoseconds is None else nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random
    return "gen-" + _base62(number)


def generation_id_at(moment: datetime, *, place: int = 0) -> str:
    """The id of one of several generations made at once; `place` keeps them in their order."""
    return new_generation_id(round(moment.timestamp() * 1_000_000) * 1000 + 250 * place)


def is_generation_id(text: str) -> bool:
    return FORM.fullmatch(text) is not None


def first_id_of(moment: datetime) -> str:
    """The smallest id that a generation made at `moment` or later can have: before 1970 the smallest of all."""
    number = max(0, int(moment.timestamp() * 1000)) << 80
    return "gen-" + _base62(number)


def _base62(number: int) -> str:
    """In steps of eight digits, which fit into one word of the machine: longer numbers take longer."""
    number, last = divmod(number, EIGHT)
    first, middle = divmod(number, EIGHT)
    return _eight(first) + _eight(middle) + _eight(last)


def _eight(number: int) -> str:
    high, low = divmod(number, FOUR)
    return PAIRS[high // TWO] + PAIRS[high % TWO] + PAIRS[low // TWO] + PAIRS[low % TWO]
