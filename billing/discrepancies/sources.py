"""Whose statements and bills the books are compared with. A source is a line in its app's `apps.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.functional import Promise

if TYPE_CHECKING:
    from billing.models import Discrepancy


@dataclass(frozen=True, slots=True)
class Source:
    """One that writes statements or bills. `code` has at most 10 characters and stands in the rows."""

    code: str
    label: str | Promise
    account: Callable[[Discrepancy], str]
    """The account of the house that a difference stands on, "" if it names none."""


_sources: dict[str, Source] = {}


def register(source: Source) -> None:
    """Add a source; the same code again replaces it."""
    _sources[source.code] = source


def get(code: str) -> Source:
    """The source of a code; raises `LookupError` for one that nobody registered."""
    return _sources[code]


def choices() -> list[tuple[str, str | Promise]]:
    """Each source's code and name, for the rows' column. A migration names this function: it stays where it is."""
    return [(source.code, source.label) for source in _sources.values()]
