"""Tables as the providers write them: headings checked by name, lines split as each provider does.

Neither quotes its cells: other shops' goods hold commas and quotes, and characters at which Python would end a line.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence

from payments.providers.base import ProviderError

GOODS = "商品名称"
"""The one column of free text; what is too much in a line was a comma in it."""
Cells = list[str]


class StatementNotReady(ProviderError):
    """There is no statement of that day yet; ask again later."""


class BadStatement(ProviderError):
    """A file that is not what it says."""


def lines_of(text: str) -> list[str]:
    """Its lines: they end at a line feed, and nowhere else."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def alipay_cells(line: str, names: Sequence[str]) -> Cells | None:
    """Cells apart by commas, a tab behind some of them; None where they do not fit the heading."""
    for cells in (line.split(","), next(csv.reader([line]), []) if "\0" not in line else []):
        if len(cells) == len(names):
            return [cell.strip("\t ") for cell in cells]
    return _with_goods(line.split(","), names, strip="\t ")


def wechat_cells(line: str, names: Sequence[str]) -> Cells | None:
    """Cells that begin with a backtick each; None where they do not fit the heading."""
    cells = line.removeprefix("`").split(",`") if line.startswith("`") else line.split(",")
    return _with_goods(cells, names, strip="`")


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
            heading = [cell.strip('`\t "') for cell in line.split(",")]
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


def _with_goods(cells: Cells, names: Sequence[str], *, strip: str) -> Cells | None:
    more = len(cells) - len(names)
    if more > 0 and GOODS in names:
        at = names.index(GOODS)
        cells = [*cells[:at], ",".join(cells[at : at + more + 1]), *cells[at + more + 1 :]]
    return [cell.strip(strip) for cell in cells] if len(cells) == len(names) else None
