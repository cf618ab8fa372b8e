"""What an account was charged, by day, model, key or member: read from the sums of its days, not from its requests."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection

from accounts.limits.periods import start_of, zone_of
from accounts.models import ApiKey, Customer, User
from billing.books.money import ZERO
from core.records import value
from proxy.models import Model


class By(StrEnum):
    """What a group is about."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"
    MEMBER = "member"


COLUMNS = {By.DAY: "day", By.MODEL: "model_id", By.KEY: "key_id", By.MEMBER: "maker_id"}


@value
class Chosen:
    """Which of an account's usage: days of its zone, both included; None means all."""

    first: date
    last: date
    model_id: int | None = None
    key_id: int | None = None
    member_id: int | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@value
class Figures:
    """Sums in USD and tokens. `charged` is as it was settled, `corrected` what was changed of charges in these days."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    charged: Decimal = ZERO
    corrected: Decimal = ZERO

    @property
    def cost(self) -> Decimal:
        """What these days cost: the charges and corrections that were posted in them."""
        return self.charged + self.corrected


@value
class Group:
    """What one day, model, key or member came to; `pk` is its id (of a day 0), `name` what it is called."""

    name: str
    pk: int
    figures: Figures


@value
class Part:
    """What one day cost of something, USD; `pk` is the id of a model, a key or a member."""

    day: date
    pk: int
    cost: Decimal


# What has no sums yet, as after an upgrade, is summed up as it stands, in the same statement: so each request is in it
# once while others are being counted (proxy/settlement/counting.py).
_USAGE = """
(SELECT day, model_id, key_id, maker_id, requests, input_tokens, output_tokens, cached_tokens, charged, corrected
 FROM proxy_usageday WHERE customer_id = %(customer)s AND day BETWEEN %(first)s AND %(last)s
UNION ALL
SELECT %(first)s::date + width_bucket(g.settled_at, %(starts)s::timestamptz[]) - 1, g.model_id, g.key_id,
  coalesce(k.created_by_id, 0), 1, g.input_tokens, g.output_tokens, g.cached_tokens, coalesce(g.cost, 0),
  coalesce(g.corrected_cost, g.cost, 0) - coalesce(g.cost, 0)
 FROM proxy_generation g JOIN accounts_apikey k ON k.id = g.key_id
 WHERE g.customer_id = %(customer)s AND g.state = 'settled' AND g.charged_on IS NULL
  AND g.settled_at >= %(opens)s AND g.settled_at < %(closes)s) u
WHERE (%(model)s::bigint IS NULL OR model_id = %(model)s) AND (%(key)s::bigint IS NULL OR key_id = %(key)s)
 AND (%(member)s::bigint IS NULL OR maker_id = %(member)s)"""
_SUMS = (
    "coalesce(sum(requests), 0)::bigint, coalesce(sum(input_tokens), 0)::bigint,"
    " coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cached_tokens), 0)::bigint,"
    " coalesce(sum(charged), 0), coalesce(sum(corrected), 0)"
)


def today_of(customer: Customer, *, now: datetime) -> date:
    """The account's day."""
    return now.astimezone(zone_of(customer.time_zone)).date()


def grouped(customer: Customer, by: By, *, of: Chosen) -> list[Group]:
    """Days from the newest back, others from the dearest down; what has none is left out."""
    rows = _rows(customer, f"SELECT {COLUMNS[by]}, {_SUMS} FROM {_USAGE} GROUP BY 1", of=of)
    names = names_of(by, [key for key, *_figures in rows])
    groups = [Group(str(names.get(key, key)), 0 if by is By.DAY else key, Figures(*figures)) for key, *figures in rows]
    if by is By.DAY:
        return sorted(groups, key=lambda group: group.name, reverse=True)
    return sorted(groups, key=lambda group: (-group.figures.cost, group.name, group.pk))


def charged_by(customer: Customer, *, of: Chosen) -> dict[By, list[tuple[int, Figures]]]:
    """All that was charged by model, by key and by member, each with its id, as one moment has it."""
    kinds = (By.MODEL, By.KEY, By.MEMBER)
    columns = [COLUMNS[by] for by in kinds]
    sets = ", ".join(f"({name})" for name in columns)
    query = f"SELECT {', '.join(columns)}, {_SUMS} FROM {_USAGE} GROUP BY GROUPING SETS ({sets})"
    found: dict[By, list[tuple[int, Figures]]] = {by: [] for by in kinds}
    for *ids, requests, inputs, outputs, cached, charged, corrected in _rows(customer, query, of=of):
        figures = Figures(requests, inputs, outputs, cached, charged, corrected)
        for by, pk in zip(kinds, ids, strict=True):
            if pk is not None:
                found[by].append((pk, figures))
    return found


def total(customer: Customer, *, of: Chosen) -> Figures:
    """All of it together."""
    return Figures(*_rows(customer, f"SELECT {_SUMS} FROM {_USAGE}", of=of)[0])


def parts(customer: Customer, by: By, *, of: Chosen) -> list[Part]:
    """What each day cost of each model, key or member, in no order."""
    query = f"SELECT day, {COLUMNS[by]}, sum(charged) + sum(corrected) FROM {_USAGE} GROUP BY 1, 2"
    return [Part(*row) for row in _rows(customer, query, of=of)]


def names_of(by: By, keys: Sequence[Any]) -> dict[Any, str]:
    """What models, keys and members are called: a model's id, a key's prefix, a person's address."""
    if by is By.MODEL:
        return dict(Model.objects.filter(pk__in=keys).values_list("pk", "slug"))
    if by is By.KEY:
        return dict(ApiKey.objects.filter(pk__in=keys).values_list("pk", "prefix"))
    if by is By.MEMBER:
        return {0: "", **dict(User.objects.filter(pk__in=keys).values_list("pk", "email"))}
    return {}


def _rows(customer: Customer, query: str, *, of: Chosen) -> list[tuple[Any, ...]]:
    zone = zone_of(customer.time_zone)
    starts = [start_of(of.first + timedelta(days=number), zone=zone) for number in range(of.days)]
    given: dict[str, Any] = {
        "customer": customer.pk,
        "first": of.first,
        "last": of.last,
        "starts": starts,
        "opens": starts[0],
        "closes": start_of(of.last + timedelta(days=1), zone=zone),
        "model": of.model_id,
        "key": of.key_id,
        "member": of.member_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
