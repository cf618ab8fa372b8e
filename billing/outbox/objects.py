"""How what a fact is about is shown to customers' programs: as its GET shows it, at the moment the fact is written.

Each app registers what it knows, the account API what it has a GET for. Nothing secret is ever shown.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone, translation

from accounts.models import Customer
from billing.books.money import api_amount
from billing.outbox.kinds import Shown
from core.records import value

Show = Callable[[Any], Mapping[str, Any]]
_shows: dict[str, Show] = {}


def register(what: Shown, show: Show) -> None:
    """`show` makes JSON of one such object: a row, or what stands for it."""
    _shows[what] = show


def show(what: Shown, about: object) -> dict[str, Any]:
    """What a program is shown, the same whoever's language and time zone are at work.

    Raises `LookupError` for an object that nobody shows, and `ValueError` where there is none.
    """
    if about is None:
        raise ValueError(f"a fact that programs hear of is about something: a {what}")
    with translation.override("en"), timezone.override(UTC):
        return dict(_shows[what](about))


@value
class Budget:
    """A budget or a cap of which `percent` is spent, amounts in USD.

    `of` is `account`, `key`, `member` or `budget` (of a run), whose `id` and `name` follow; `period` is `day`, `week`,
    `month` or `total`, which never resets.
    """

    of: str
    id: str
    name: str
    period: str
    percent: int
    limit: Decimal
    spent: Decimal
    resets_at: datetime | None
    refused: bool = False
    """A cap refused a request while so much was charged of it."""


def budget(about: Budget) -> Mapping[str, Any]:
    return {
        "of": about.of,
        "id": about.id,
        "name": about.name,
        "period": about.period,
        "percent": about.percent,
        "limit": api_amount(about.limit),
        "spent": api_amount(about.spent),
        "resets_at": None if about.resets_at is None else moment(about.resets_at),
        "refused": about.refused,
    }


def account(about: Customer) -> Mapping[str, Any]:
    """Not the reason: staff write it for themselves."""
    at = about.suspended_at
    return {"id": str(about.pk), "name": about.name, "suspended_at": None if at is None else moment(at)}


def moment(at: datetime) -> str:
    """A time as the API writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
