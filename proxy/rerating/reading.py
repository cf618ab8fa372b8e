"""The requests of a re-rating, page by page, each with what it was charged and what was corrected of that."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.books.kinds import Kind
from billing.books.money import ZERO
from billing.books.reversals import reversed_among
from core.arrays import array
from core.records import value
from proxy.ids import first_id_of
from proxy.models import Rerate
from proxy.purchases.costs import COLUMNS, Used

MOST_REQUESTS = 500
"""In one transaction."""
MOST_PASSED = 5_000
"""Of all models' requests that a page passes over, so that a rare model's takes no longer."""
BALANCES = ("paid", "bonus")
ONE_DAY = timedelta(days=1)

UPTO = (
    "SELECT max(id) FROM (SELECT id FROM proxy_generation WHERE id > %(after)s AND id < %(end)s"
    f" ORDER BY id LIMIT {MOST_PASSED}) p"
)
READ = (
    "SELECT key_id, coalesce(counted_on, (created_at AT TIME ZONE 'UTC')::date),"
    f" {', '.join(COLUMNS)} FROM proxy_generation"
    " WHERE id > %(after)s AND id <= %(upto)s AND model_id = %(model)s AND state = 'settled' AND cost > 0"
    " AND settled_at <= %(settled_by)s AND (%(upstream)s::bigint IS NULL OR upstream_id = %(upstream)s)"
    " AND (%(held_at)s::bigint IS NULL OR price_id = %(held_at)s)"
    f" ORDER BY id LIMIT {MOST_REQUESTS}"
)
LOCKED = f"{READ} FOR NO KEY UPDATE"


@value
class Request:
    """A settled request; `is_reversed`: its charge was given back as a whole."""

    used: Used
    key_id: int
    counted_on: date
    is_reversed: bool

    @property
    def pk(self) -> str:
        return self.used.pk

    @property
    def cost(self) -> Decimal:
        """What settlement charged, USD."""
        return self.used.cost or ZERO

    @property
    def net(self) -> Decimal:
        """What is left of that, USD."""
        return self.cost if self.used.corrected_cost is None else self.used.corrected_cost

    @property
    def is_corrected(self) -> bool:
        return self.used.corrected_cost is not None


@value
class Page:
    requests: Sequence[Request]
    last: str
    """The id that the next page begins behind."""


def ids_of(first: date, last: date) -> tuple[str, str]:
    """The least id of these days (UTC, both included), and the least behind them."""
    behind = min(last, date.max - ONE_DAY) + ONE_DAY
    begin, end = (datetime.combine(day, time(), tzinfo=UTC) for day in (first, behind))
    return first_id_of(begin), first_id_of(end)


def page_of(rerate: Rerate, *, is_locked: bool) -> Page | None:
    """The requests behind its cursor, locked if they are to be corrected; None where there are no more."""
    asked: dict[str, Any] = {
        "after": rerate.cursor,
        "end": rerate.end_id,
        "model": rerate.model_id,
        "settled_by": rerate.settled_by,
        "upstream": rerate.upstream_id,
        "held_at": rerate.held_at_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(UPTO, asked)
        [upto] = cursor.fetchone()
        if upto is None:
            return None
        cursor.execute(LOCKED if is_locked else READ, {**asked, "upto": upto})
        rows = cursor.fetchall()
    found = [(key_id, counted_on, Used(*used)) for key_id, counted_on, *used in rows]
    gone = reversed_among([used.pk for *_, used in found if used.corrected_cost is not None])
    requests = [Request(used, key_id, counted_on, used.pk in gone) for key_id, counted_on, used in found]
    return Page(requests, requests[-1].pk if len(requests) == MOST_REQUESTS else upto)


def key_of(rerate_id: int, generation_id: str, balance: str) -> str:
    """The key of what a re-rating moves of a request's charge on one balance."""
    return f"rerate:{rerate_id}:{generation_id}:{balance}"


def moved(model_id: int, generation_ids: Iterable[str]) -> dict[str, dict[str, Decimal]]:
    """By request, what re-ratings took of each balance so far, below zero where they gave back; USD."""
    ids = sorted(generation_ids)
    found: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    if not ids:
        return found
    begun = Rerate.objects.filter(model_id=model_id, state__in=(Rerate.State.POSTING, Rerate.State.DONE))
    rerates = list(begun.filter(first_id__lte=ids[-1], end_id__gt=ids[0]).values_list("pk", flat=True))
    if not rerates:
        return found
    keys = array([key_of(number, pk, balance) for number in rerates for pk in ids for balance in BALANCES])
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, kind, amount FROM billing_transfer WHERE key = ANY(%s::text[])", [keys])
        rows = cursor.fetchall()
    for key, kind, amount in rows:
        _name, _number, pk, balance = key.split(":")
        found[pk][balance] += amount if kind == Kind.RERATE_UP else -amount
    return found
