"""A bill's file as rows of cells by name, read piece by piece: tables (CSV), and pages of an API (JSON)."""

import csv
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

Row = tuple[int, dict[str, str]]
LONGEST_LINE = 65_536
LONGEST_PAGES = 32 * 1024 * 1024
"""Of pages, which are read whole: a month by model and day is a few hundred kB."""
MOST_COLUMNS = 200


class Unreadable(ValueError):
    """The file is none that could be read; `number` is the line, 0 for the file as a whole."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


def is_pages(file: BinaryIO) -> bool:
    """Whether the file is JSON; it stands at its beginning afterwards."""
    start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    return start[:1] in (b"{", b"[")


def table_rows(file: BinaryIO) -> Iterator[Row]:
    """(line number, cells by name in small letters) below the heading, which is the first line that is not empty.

    A line with another number of cells than the heading has no cells at all. Raises `Unreadable`.
    """
    lines = _lines(file)
    before, line = next((found for found in lines if found[1].strip()), (0, ""))
    if not line:
        raise Unreadable("the file is empty")
    delimiter = max(",;\t", key=line.count)
    try:
        heading = [_name(cell) for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error as error:
        raise Unreadable(str(error), before) from None
    if len(heading) > MOST_COLUMNS:
        raise Unreadable(f"more than {MOST_COLUMNS} columns", before)
    if len(set(heading)) != len(heading):
        raise Unreadable("a column stands there twice", before)
    reader = csv.reader((text for _number, text in lines), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cells):
                matching = len(cells) == len(heading)
                yield before + reader.line_num, dict(zip(heading, cells, strict=True)) if matching else {}
    except csv.Error as error:
        raise Unreadable(str(error), before + reader.line_num) from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise Unreadable(f"longer than {LONGEST_LINE} bytes", number)
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise Unreadable("not UTF-8: save the file as “CSV UTF-8”", number) from None


def _name(cell: str) -> str:
    return "_".join(cell.strip().lower().split())


def page_rows(file: BinaryIO) -> Iterator[Row]:
    """(number of the entry, its cells) of pages as the APIs for usage and costs answer them, one after another.

    An entry has its period's cells too; what is nested has its outer name before its own, with a line between. Numbers
    stay as they are written. Raises `Unreadable`.
    """
    raw = file.read(LONGEST_PAGES + 1)
    if len(raw) > LONGEST_PAGES:
        raise Unreadable(f"longer than {LONGEST_PAGES // 1024 // 1024} MB: take fewer days at once")
    number, seen, more = 0, set[str](), False
    for document in _documents(raw):
        periods = document.get("data") if isinstance(document, dict) else None
        if not isinstance(periods, list):
            raise Unreadable("a page has no list named data")
        more = document.get("has_more") is True
        for period in periods:
            results = _results(period)
            begins = str(period.get("start_time") or period.get("starting_at") or "")
            if begins in seen:
                raise Unreadable(f"the period that begins at {begins[:40]} stands there twice", number)
            seen.add(begins)
            outer = {name: inner for name, inner in period.items() if not isinstance(inner, list)}
            for result in results:
                number += 1
                yield number, _flat({**outer, **result})
    if more:
        raise Unreadable("the last page says that there are more: put them behind it")


def _documents(raw: bytes) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    try:
        text, at = raw.decode("utf-8-sig"), 0
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            document, at = decoder.raw_decode(text, at)
            yield from document if isinstance(document, list) else [document]
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"no JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise Unreadable("no JSON: nested too deeply") from None


def _results(period: Any) -> list[dict[str, Any]]:
    """The entries of a period; OpenAI once called them `result`."""
    found = period.get("results", period.get("result")) if isinstance(period, dict) else None
    if not isinstance(found, list) or not all(isinstance(result, dict) for result in found):
        raise Unreadable("a period has no list named results")
    return found


def _flat(entry: dict[str, Any], before: str = "") -> dict[str, str]:
    cells: dict[str, str] = {}
    for name, inner in entry.items():
        if isinstance(inner, dict) and not before:
            cells |= _flat(inner, f"{before}{name}_")
        elif isinstance(inner, str | bool):
            cells[f"{before}{name}"] = inner if isinstance(inner, str) else str(inner).lower()
    return cells
