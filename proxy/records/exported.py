"""An account's charges as CSV, one a line and of any length: read in pages by key, so in constant memory.

Its sum is what the transfers of these days took: a correction is a line of its own, with what is given back below zero,
on the day on which it posted.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from accounts.models import ApiKey, Customer
from billing.months.journal import harmless
from proxy.ids import first_id_of
from proxy.models import Model
from proxy.records.sums import By, Chosen, names_of
from proxy.records.window import LATE, Window
from proxy.settlement.counting import day_of

HEADER = (
    *("settled_at", "created_at", "generation_id", "model", "key", "member", "session", "status"),
    *("input_tokens", "output_tokens", "cached_tokens", "cost"),
)
PAGE = 5_000
_COLUMNS = (
    "id, settled_at, created_at, model_id, key_id, maker_id, session, input_tokens, output_tokens, cached_tokens, cost,"
    " charged_on, state, corrected_cost"
)
_EARLY = f"SELECT {_COLUMNS} FROM proxy_generation WHERE customer_id = %s AND id > %s AND id < %s ORDER BY id LIMIT %s"
_LATE = (
    f"SELECT {_COLUMNS} FROM proxy_generation WHERE customer_id = %s AND id > %s AND id < %s"
    " AND settled_at - created_at > interval '1 day' ORDER BY id LIMIT %s"
)
_CORRECTED = (
    "SELECT c.id, c.posted_at, g.created_at, g.model_id, g.key_id, g.maker_id, g.session, c.amount, g.id, c.day"
    " FROM proxy_chargecorrection c JOIN proxy_generation g ON g.id = c.generation_id"
    " WHERE c.customer_id = %s AND (c.day, c.id) > (%s, %s) AND c.day <= %s ORDER BY c.day, c.id LIMIT %s"
)


def usage_csv(customer: Customer, *, of: Chosen) -> Iterator[str]:
    """A header, then each charge and each correction of these days, in pieces of many lines."""
    lines = _Lines(customer, of)
    yield lines.written([HEADER])
    for page in _pages(_EARLY, customer, of):
        yield lines.written(lines.charges(page, is_late=False))
    for page in _pages(_LATE, customer, of):
        yield lines.written(lines.charges(page, is_late=True))
    day, last = of.first - timedelta(days=1), 2**62
    while page := _fetched(_CORRECTED, [customer.pk, day, last, of.last, PAGE]):
        yield lines.written(lines.corrections(page))
        last, day = page[-1][0], page[-1][-1]


class _Lines:
    """Rows as lines, with what models, keys and members are called."""

    def __init__(self, customer: Customer, of: Chosen) -> None:
        self.of, self.zone, self.window = of, customer.time_zone, Window(customer, of)
        keys = list(ApiKey.objects.filter(customer=customer).values_list("pk", "prefix", "created_by_id"))
        self.keys = {pk: prefix for pk, prefix, _ in keys}
        self.makers = {pk: maker for pk, _, maker in keys}
        self.models = dict(Model.objects.values_list("pk", "slug"))
        self.members: dict[int | None, str] = {None: ""}

    def written(self, rows: Any) -> str:
        buffer = io.StringIO()
        csv.writer(buffer).writerows(rows)
        return buffer.getvalue()

    def charges(self, page: Sequence[Sequence[Any]], *, is_late: bool) -> Iterator[tuple[Any, ...]]:
        for row in page:
            pk, settled_at, created_at, model, key, maker, session, *tokens, cost, day, state, net = row
            if state != "settled" or (settled_at - created_at > LATE) is not is_late:
                continue
            if day is None:  # in no sums yet: it is where it will be
                day, maker = day_of(settled_at, zone=self.zone), self.makers.get(key)
                cost = cost if net is None else net
            if self.of.first <= day <= self.of.last and self._is_chosen(model, key, maker):
                about = (self.models.get(model, model), self.keys.get(key, key), self._member(maker), _safe(session))
                yield (_moment(settled_at), _moment(created_at), pk, *about, "settled", *tokens, f"{cost or 0:.8f}")

    def corrections(self, page: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        for _pk, posted_at, created_at, model, key, maker, session, amount, pk, _day in page:
            if self._is_chosen(model, key, maker):
                about = (self.models.get(model, model), self.keys.get(key, key), self._member(maker), _safe(session))
                yield (_moment(posted_at), _moment(created_at), pk, *about, "corrected", 0, 0, 0, f"{amount:.8f}")

    def _is_chosen(self, model: int, key: int, maker: int | None) -> bool:
        of = self.of
        return (
            (of.model_id is None or model == of.model_id)
            and (of.key_id is None or key == of.key_id)
            and (of.member_id is None or (maker or 0) == of.member_id)
        )

    def _member(self, maker: int | None) -> str:
        if maker not in self.members:
            self.members[maker] = _safe(names_of(By.MEMBER, [maker]).get(maker, ""))
        return self.members[maker]


def _pages(query: str, customer: Customer, of: Chosen) -> Iterator[list[tuple[Any, ...]]]:
    window = Window(customer, of)
    # What was settled late may have been made at any time before.
    after = window.first_id if query is _EARLY else first_id_of(datetime(1970, 1, 1, tzinfo=UTC))
    while page := _fetched(query, [customer.pk, after, window.end_id, PAGE]):
        yield page
        after = page[-1][0]


def _fetched(query: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _safe(text: str | None) -> str:
    return harmless(text) if text else ""


def since_the_first() -> date:
    """The first day of a file that names none."""
    return date(2000, 1, 1)
