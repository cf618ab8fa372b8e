"""What a bill says, line by line, in our terms; and how its texts become amounts, counts and days. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal

from billing.books.money import LARGEST
from core.records import value

STEP = Decimal("0.000000000001")
"""Amounts are kept at 12 places: providers write what a token costs."""
LONGEST_NAME = 200
AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")
COUNT = re.compile(r"([0-9]{1,15})(\.0+)?")
SECONDS = re.compile(r"[0-9]{9,10}")
FIRST_YEAR, LAST_YEAR = 2000, 2100

INPUT, CACHED, WRITTEN, WRITTEN_1H, OUTPUT, OTHER = "input", "cached", "written", "written_1h", "output", "other"
"""Parts of a request that some bills tell apart: fresh input, read from the cache, written to it, output, the rest."""
COUNTS = (
    *("input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "tokens"),
    "requests",
)
USUAL_TIERS = frozenset({"", "default", "standard", "auto", "null", "message"})


class BadCell(ValueError):
    """What a line has cannot be read; the text says what and why."""


@value
class BillLine:
    """A line of a bill. `number` is its place in the file; `amount` is in the bill's currency, None where the line
    tells counts alone. Counts are None where the line does not tell them; `input_tokens` are all, cached included, and
    `tokens` those of both sides.
    """

    number: int
    day: date
    model: str = ""
    tier: str = ""
    part: str = ""
    request_id: str = ""
    amount: Decimal | None = None
    currency: str = "USD"
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    requests: int | None = None


class Cells:
    """A line's cells by name. Each reader raises `BadCell`, naming the cell; `zone` is that of days without one."""

    def __init__(self, number: int, cells: Mapping[str, str], zone: tzinfo) -> None:
        self.number, self.zone = number, zone
        self._cells = cells

    def text(self, *names: str) -> str:
        """The first of these cells that is not empty, or ""."""
        for name in names:
            if found := self._cells.get(name, "").strip():
                if len(found) > LONGEST_NAME:
                    raise BadCell(f"{name} has more than {LONGEST_NAME} characters")
                if not found.isprintable():
                    raise BadCell(f"{name} has characters that nobody can read: {found[:40]!r}")
                return found
        return ""

    def amount(self, *names: str, per: int = 1) -> Decimal | None:
        """An amount, written in `per` parts of the currency's unit; None where the cell is empty."""
        text = self.text(*names)
        if not text:
            return None
        if text.startswith("-") and AMOUNT.fullmatch(text[1:]):
            raise BadCell(f"{names[0]} is below zero: {text[:40]}; book a credit by a journal entry")
        number = Decimal(text) / per if AMOUNT.fullmatch(text) else None
        if number is None or number > LARGEST:
            raise BadCell(f"{names[0]} is no amount: {text[:40]!r}")
        return number.quantize(STEP)

    def required(self, *names: str, per: int = 1) -> Decimal:
        """As `amount`, of a cell that may not be empty."""
        found = self.amount(*names, per=per)
        if found is None:
            raise BadCell(f"{names[0]} is empty")
        return found

    def count(self, *names: str) -> int | None:
        """A count of something; None where the cell is empty."""
        text = self.text(*names)
        if not text:
            return None
        found = COUNT.fullmatch(text)
        if found is None:
            raise BadCell(f"{names[0]} is no count: {text[:40]!r}")
        return int(found[1])

    def sum(self, *names: str) -> int | None:
        """All of these counts together; None where none is there."""
        found = [count for name in names if (count := self.count(name)) is not None]
        return sum(found) if found else None

    def day(self, *names: str) -> date:
        """The day of a moment, in the bill's zone: seconds since 1970, or as ISO 8601 writes it."""
        text = self.text(*names)
        try:
            if SECONDS.fullmatch(text):
                return datetime.fromtimestamp(int(text), UTC).astimezone(self.zone).date()
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise BadCell(f"{names[0]} is no day: {text[:40]!r}") from None
        if not FIRST_YEAR < moment.year < LAST_YEAR:
            raise BadCell(f"{names[0]} is out of range: {text[:40]!r}")
        return moment.date() if moment.tzinfo is None else moment.astimezone(self.zone).date()

    def currency(self, *names: str) -> str:
        """A currency's three letters, USD where the cell is empty."""
        code = (self.text(*names) or "USD").upper()
        if not re.fullmatch("[A-Z]{3}", code):
            raise BadCell(f"{names[0]} is no currency: {code[:40]!r}")
        return code


def tier_of(text: str) -> str:
    """A service tier, "" for the usual one."""
    tier = text.lower()
    if tier in USUAL_TIERS:
        return ""
    if len(tier) > 20:
        raise BadCell(f"the service tier is too long: {text[:40]!r}")
    return tier
