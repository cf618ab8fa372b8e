"""Tables as the providers write them: headings checked by name, lines split as each provider does.

Few quote their cells: other shops' goods hold commas and quotes, and characters at which Python would end a line.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.books.money import InvalidAmount, cents, floor_cents
from payments.providers.base import Bill, BillRow, ProviderError, Unreadable

SHANGHAI = ZoneInfo("Asia/Shanghai")
WIDE = str.maketrans("()", "（）")
"""Both kinds of brackets stand in headings, by a bill's age."""
GOODS = "商品名称"
"""The one column of free text; what is too much in a line was a comma in it."""
Cells = list[str]


class StatementNotReady(ProviderError):
    """There is no statement of that day yet; ask again later."""


class BadStatement(ProviderError):
    """A file that is not what it says."""


def lines_of(text: str) -> list[str]:
    """Its lines: they end at a line feed, and nowhere else. Without NUL, which no database keeps."""
    return [line.removesuffix("\r") for line in text.replace("\0", "").split("\n")]


def table(
    lines: list[str], *, required: Sequence[str], split: Callable[[str, Sequence[str]], Cells | None]
) -> Iterator[tuple[int, str, Mapping[str, str] | None]]:
    """(line number, its text, its cells by name) below the heading that begins with the first required column.

    Raises `BadStatement` where no heading is there, or naming the columns that it lacks. Cells are None where a line
    does not fit the heading.
    """
    names: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not names:
            heading = [cell.strip('`\t "').translate(WIDE) for cell in line.split(",")]
            if heading[0] == required[0]:
                names = heading
                if missing := [name for name in required if name not in names]:
                    raise BadStatement(f"the heading has no {', '.join(missing)}: {line[:300]}")
            continue
        if not line.strip("`,\t "):
            continue
        cells = split(line, names)
        yield number, line, dict(zip(names, cells, strict=True)) if cells is not None else None
    if not names:
        raise BadStatement(f"no heading with {required[0]}")


def bill_of(
    raw: bytes, lines: Iterator[tuple[int, str, Mapping[str, str] | None]], read: Callable[[Mapping[str, str]], BillRow]
) -> Bill:
    """The lines as rows; one that cannot be read is told with its text, and the rest is read.

    So is a second one of the same number: it would stand in the place of the first.
    """
    rows, unreadable, keys = [], [], set[str]()
    for number, text, cells in lines:
        try:
            if cells is None:
                raise BadStatement("another number of cells than the heading")
            row = read(cells)
            if row.key in keys:
                raise BadStatement(f"{row.key} stands there already")
            rows.append(row)
            keys |= {row.key} - {""}
        except (BadStatement, KeyError) as error:
            unreadable.append(Unreadable(number, f"{error}: {text}"))
    return Bill(raw, rows, unreadable)


def yuan(text: str) -> Decimal:
    """An amount of money; fees come with 5 places of which the last are zero, or are cut."""
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,8})?", text):
        raise BadStatement(f"{text[:20]!r} is not an amount")
    try:
        return cents(text)
    except InvalidAmount:
        return floor_cents(Decimal(text))


def moment(text: str) -> datetime:
    """A time in Shanghai."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        raise BadStatement(f"{text[:20]!r} is not a time") from None


def with_goods(cells: Cells, names: Sequence[str], *, strip: str) -> Cells | None:
    """Cells with the goods' commas back in their place, each stripped; None where they do not fit the heading."""
    more = len(cells) - len(names)
    if more > 0 and GOODS in names:
        at = names.index(GOODS)
        cells = [*cells[:at], ",".join(cells[at : at + more + 1]), *cells[at + more + 1 :]]
    return [cell.strip(strip) for cell in cells] if len(cells) == len(names) else None
