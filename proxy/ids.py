"""Generation ids: `gen-` and a UUIDv7 in base62, padded to 24 characters, so that new rows go to the index's end."""

import os
import re
import time
from datetime import datetime

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
LENGTH = 24
FORM = re.compile(r"gen-[0-9A-Za-z]{24}")


def new_generation_id(nanoseconds: int | None = None) -> str:
    """RFC 9562 version 7: 48 bits of milliseconds, 12 bits of the millisecond's fraction, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns() if nanoseconds is None else nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random
    return "gen-" + _base62(number)


def is_generation_id(text: str) -> bool:
    return FORM.fullmatch(text) is not None


def first_id_of(moment: datetime) -> str:
    """The smallest id that a generation made at `moment` or later can have."""
    number = int(moment.timestamp() * 1000) << 80
    return "gen-" + _base62(number)


def _base62(number: int) -> str:
    pairs = []
    for _ in range(LENGTH // 2):
        number, pair = divmod(number, 62 * 62)
        pairs.append(PAIRS[pair])
    return "".join(reversed(pairs))
