"""A bill's file, read from its first to its last line before anything is stored: every line fits, or none is taken."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, tzinfo
from decimal import Decimal
from typing import IO, BinaryIO

from billing.books.money import LARGEST
from proxy.bills.formats.base import Format
from proxy.bills.formats.known import FORMATS, recognise
from proxy.bills.lines import COUNTS, BadCell, BillLine, Cells
from proxy.bills.sheets import Unreadable, is_pages, page_rows, table_rows

COLUMNS = ("number", "day", "model", "tier", "part", "request_id", "amount", *COUNTS)
"""Of a line, as they are copied into the database."""
MOST_TOLD = 20
LONGEST_MODEL = 220
MOST_KINDS = 20_000
"""Days, models, tiers and parts that a bill may tell apart: their sums are kept in memory when it is compared."""
MOST_COUNTED = 10**14 - 1
PIECE = 1 << 20


class BillError(ValueError):
    """The bill cannot be taken; the message says why, and in which lines. It can be stored, whatever the file has."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)
        )


@dataclass(slots=True)
class Read:
    """What a file holds. `spool` gets its lines as PostgreSQL's COPY takes them, in the order of the file."""

    format: Format
    spool: IO[bytes]
    currency: str = "USD"
    lines: int = 0
    left_out: int = 0
    """Lines of other days than were asked for, and those that take nothing."""
    amount: Decimal = Decimal(0)
    counted: int = 0
    kinds: set[tuple[date, str, str, str]] = field(default_factory=set)


def sha256_of(file: BinaryIO) -> str:
    """Of the whole file; it stands at its beginning afterwards."""
    found = hashlib.sha256()
    while piece := file.read(PIECE):
        found.update(piece)
    file.seek(0)
    return found.hexdigest()


def read(file: BinaryIO, spool: IO[bytes], *, first: date, last: date, zone: tzinfo, code: str = "") -> Read:
    """Read what a file has of the days from `first` to `last`; `code` is the format's, "" to recognise it.

    `zone` is that of days and times without one. Raises `BillError`, which names the first bad lines.
    """
    place, rows = ("entry", page_rows(file)) if is_pages(file) else ("line", table_rows(file))
    bad: list[str] = []
    count = 0
    found: Read | None = None
    try:
        for number, cells in rows:
            if found is None:
                found = Read(_format(cells, code), spool)
            try:
                line = _line(found, number, cells, zone)
                _take(found, line, first=first, last=last)
            except BadCell as error:
                count += 1
                bad += [f"{place} {number}: {error}"] if len(bad) < MOST_TOLD else []
    except Unreadable as error:
        where = f"line {error.number}: " if error.number else ""
        raise BillError("\n".join([*bad, f"{where}{error}"])) from None
    if bad:
        more = [f"and {count - len(bad)} more"] if count > len(bad) else []
        raise BillError("\n".join([*bad, *more]))
    if found is None:
        raise BillError("the file has no lines")
    if not found.lines:
        raise BillError(f"no line is of the days from {first} to {last}")
    spool.seek(0)
    return found


def _format(cells: dict[str, str], code: str) -> Format:
    if code:
        found = FORMATS[code]
        if missing := sorted(found.columns - cells.keys()):
            raise BillError(f"{found.label}: there is no {', '.join(missing)}")
        return found
    recognised = recognise(cells)
    if recognised is None:
        names = ", ".join(list(cells)[:20])
        raise BillError(f"no format has these columns: {names[:300]}")
    return recognised


def _line(found: Read, number: int, cells: dict[str, str], zone: tzinfo) -> BillLine | None:
    if not cells:
        raise BadCell("another number of cells than the heading")
    return found.format.read(Cells(number, cells, zone))


def _take(found: Read, line: BillLine | None, *, first: date, last: date) -> None:
    """Put a line on the spool, if it is of the days asked for."""
    if line is None or not first <= line.day <= last:
        found.left_out += 1
        return
    if len(line.model) > LONGEST_MODEL:
        raise BadCell(f"the model's name has more than {LONGEST_MODEL} characters")
    if line.amount is not None and not found.lines:
        found.currency = line.currency
    elif line.amount is not None and line.currency != found.currency:
        raise BadCell(f"in {line.currency}, where others are in {found.currency}")
    found.amount += line.amount or 0
    found.counted += max((getattr(line, name) or 0 for name in COUNTS), default=0)
    if found.amount > LARGEST or found.counted > MOST_COUNTED:
        raise BadCell("all lines together are more than could be")
    found.kinds.add((line.day, line.model, line.tier, line.part))
    if len(found.kinds) > MOST_KINDS:
        raise Unreadable(f"more than {MOST_KINDS} different models and days: take fewer days at once", line.number)
    found.lines += 1
    found.spool.write("\t".join(_cells(line)).encode() + b"\n")


def _cells(line: BillLine) -> Iterator[str]:
    for name in COLUMNS:
        cell = getattr(line, name)
        if cell is None:
            yield r"\N"
        else:
            yield cell.replace("\\", "\\\\") if isinstance(cell, str) else str(cell)
