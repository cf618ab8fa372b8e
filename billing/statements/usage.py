"""What the requests of a statement's month were charged, by model, key and member.

Each list adds up to the usage of the statement: what the sums do not have, or have too much, is a row of its own.

The app above billing that keeps sums of requests registers how it tells them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.books.money import ZERO, api_amount
from core.records import value

MOST_SHOWN = 20
"""Rows of a list that people are shown; programs get all."""


class By(StrEnum):
    """What a row is about; a statement has its list under this name."""

    MODEL = "by_model"
    KEY = "by_key"
    MEMBER = "by_member"


@value
class Used:
    """What requests of a model, a key or a member's keys were charged, USD. `id` is "" for keys of nobody, `prefix` how
    a key begins.
    """

    id: str
    name: str
    requests: int
    charged: Decimal
    prefix: str = ""


Source = Callable[[int, date, date], Mapping[By, Sequence[Used]]]
"""Given a customer's id and days of its zone, both included: what was charged on them, the dearest first."""
_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Add what an app knows; the same name again replaces it."""
    _sources[name] = source


def used_in(month: date, *, customer_id: int) -> Mapping[By, Sequence[Used]]:
    """What the sums have of the month that begins on that day."""
    last = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    found: dict[By, list[Used]] = {by: [] for by in By}
    for source in _sources.values():
        for by, rows in source(customer_id, month, last).items():
            found[by].extend(rows)
    return found


def lists(used: Mapping[By, Sequence[Used]], *, charged: Decimal) -> dict[str, list[dict[str, Any]]]:
    """The lists as a statement has them, each of which comes to `charged`."""
    return {by.value: [*map(_row, used.get(by, ())), *_rest(used.get(by, ()), charged)] for by in By}


def completed(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A statement's usage with its lists; one that was kept without them has all in the rest."""
    return {**lists({}, charged=Decimal(usage["charged"])), **usage}


def _row(one: Used) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "prefix": one.prefix,
        "requests": one.requests,
        "charged": api_amount(one.charged),
        "is_rest": False,
    }


def _rest(rows: Iterable[Used], charged: Decimal) -> list[dict[str, Any]]:
    left = charged - sum((one.charged for one in rows), ZERO)
    if not left:
        return []
    rest = {"id": "", "name": "", "prefix": "", "requests": None, "charged": api_amount(left), "is_rest": True}
    return [rest]


def called(row: Mapping[str, Any]) -> str:
    """What a row is about, for people, in the language that is active."""
    if row["is_rest"]:
        return _("Not told apart")
    if row["prefix"]:
        return f"{row['prefix']}… {row['name']}"
    return row["name"] or _("nobody's key")


@value
class Table:
    """A list for people: its largest rows, what the others come to, USD, and the rest if any."""

    by: By
    rows: Sequence[Mapping[str, Any]]
    more: int
    more_requests: int
    more_charged: str
    rest: Mapping[str, Any] | None

    @property
    def title(self) -> str:
        return {By.MODEL: _("By model"), By.KEY: _("By key"), By.MEMBER: _("By member")}[self.by]

    @property
    def rest_words(self) -> str:
        """Why there is a rest."""
        return _("The month and its days differ, as after a change of the time zone.")

    @property
    def more_words(self) -> str:
        return ngettext("%(count)s more", "%(count)s more", self.more) % {"count": self.more}


def tables(usage: Mapping[str, Any]) -> list[Table]:
    """The lists of a statement's usage as people see them; those with nothing in them are left out."""
    whole = completed(usage)
    return [_table(by, whole[by.value]) for by in By if whole[by.value]]


def _table(by: By, rows: Sequence[Mapping[str, Any]]) -> Table:
    used = [row for row in rows if not row["is_rest"]]
    more = used[MOST_SHOWN:]
    return Table(
        by,
        used[:MOST_SHOWN],
        len(more),
        sum(row["requests"] for row in more),
        api_amount(sum((Decimal(row["charged"]) for row in more), ZERO)),
        next((row for row in rows if row["is_rest"]), None),
    )
