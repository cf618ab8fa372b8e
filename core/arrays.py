"""Rows as arrays as PostgreSQL writes them, for `unnest(%s::bigint[], ...)`: an adapter for each value costs more."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def columns(rows: Sequence[Sequence[Any]]) -> list[str]:
    """One array a column, of the values' text; SQL names the type. Takes texts, numbers, moments, days, bool, None."""
    return [_repeated(column) or array(column) for column in zip(*rows, strict=True)]


def array(values: Iterable[Any]) -> str:
    return "{" + ",".join([_WRITERS[type(value)](value) for value in values]) + "}"


def _repeated(column: Sequence[Any]) -> str:
    """The array of a column that holds one value, as most do; nothing for another."""
    first = column[0]
    if column.count(first) != len(column):
        return ""
    return "{" + ",".join([_WRITERS[type(first)](first)] * len(column)) + "}"


def _quoted(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


class _Writers(dict[type, Callable[[Any], str]]):
    def __missing__(self, kind: type) -> Callable[[Any], str]:
        """A text of a kind of its own, such as an enumeration's."""
        if not issubclass(kind, str):
            raise TypeError(f"an array cannot hold a {kind.__name__}")
        self[kind] = _quoted
        return _quoted


_WRITERS = _Writers(
    {
        str: _quoted,
        datetime: datetime.isoformat,  # nothing in it needs quotes
        date: str,
        int: str,
        Decimal: str,
        bool: str,
        type(None): lambda _: "NULL",
    }
)
