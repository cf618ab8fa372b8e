"""What an account was charged by session, from the index of sessions: for a page a bounded stretch at a time, newest
first; for programs all of some days, the dearest.
"""

from decimal import Decimal
from typing import Any

from django.db import connection

from accounts.models import Customer
from core.records import value
from proxy.models import Generation
from proxy.records.sums import Chosen, Figures, Group
from proxy.records.window import Window

MOST_GROUPS = 1_000
"""Sessions that are told apart in one answer: there may be any number."""
MOST_LOOKED_AT = 20_000
"""Requests that a page looks at to find sessions."""
_DAYS = (
    "g.state = 'settled' AND (g.charged_on BETWEEN %(first)s AND %(last)s OR g.charged_on IS NULL"
    " AND g.settled_at >= %(opens)s AND g.settled_at < %(closes)s)"
)
_CHOSEN = (
    "(%(model)s::bigint IS NULL OR g.model_id = %(model)s) AND (%(key)s::bigint IS NULL OR g.key_id = %(key)s)"
    " AND (%(member)s::bigint IS NULL OR coalesce(g.maker_id, 0) = %(member)s)"
)
_FIGURES = (
    "count(*) FILTER (WHERE is_charge), coalesce(sum(input_tokens) FILTER (WHERE is_charge), 0)::bigint,"
    " coalesce(sum(output_tokens) FILTER (WHERE is_charge), 0)::bigint,"
    " coalesce(sum(cached_tokens) FILTER (WHERE is_charge), 0)::bigint,"
    " coalesce(sum(amount) FILTER (WHERE is_charge), 0), coalesce(sum(amount) FILTER (WHERE NOT is_charge), 0)"
)
_NET = "CASE WHEN g.charged_on IS NULL THEN coalesce(g.corrected_cost, g.cost, 0) ELSE coalesce(g.cost, 0) END"
_CHARGES = (
    f"SELECT g.session, g.input_tokens, g.output_tokens, g.cached_tokens, {_NET} AS amount, true AS is_charge"
    " FROM proxy_generation g WHERE g.customer_id = %(customer)s"
)
_CORRECTIONS = (
    "SELECT g.session, 0, 0, 0, c.amount, false FROM proxy_chargecorrection c"
    " JOIN proxy_generation g ON g.id = c.generation_id"
    f" WHERE c.customer_id = %(customer)s AND c.day BETWEEN %(first)s AND %(last)s AND {_CHOSEN}"
)
DEAREST = f"""
SELECT coalesce(session, ''), {_FIGURES} FROM (
 {_CHARGES} AND g.id >= %(first_id)s AND g.id < %(end_id)s AND {_DAYS} AND {_CHOSEN}
 UNION ALL
 {_CHARGES} AND g.id < %(first_id)s AND g.settled_at - g.created_at > interval '1 day' AND {_DAYS} AND {_CHOSEN}
 UNION ALL {_CORRECTIONS}
) u GROUP BY 1 ORDER BY sum(amount) DESC, 1 LIMIT %(most)s"""
NEWEST = f"""
WITH looked AS MATERIALIZED (
 SELECT g.id, g.session, g.state, g.model_id, g.key_id, g.maker_id FROM proxy_generation g
 WHERE g.customer_id = %(customer)s AND g.id >= %(first_id)s AND g.id < %(before)s ORDER BY g.id DESC LIMIT %(most)s
), newest AS (
 SELECT g.session, max(g.id) AS last FROM looked g WHERE g.session IS NOT NULL AND {_CHOSEN}
  AND NOT EXISTS (SELECT FROM proxy_generation n WHERE n.customer_id = %(customer)s AND n.session = g.session
   AND n.id >= %(before)s AND n.id < %(end_id)s)
 GROUP BY 1 ORDER BY 2 DESC LIMIT %(limit)s
)
SELECT s.session, s.last, u.*, (SELECT min(id) FROM looked), (SELECT count(*) FROM looked)
FROM newest s CROSS JOIN LATERAL (
 SELECT {_FIGURES} FROM (
  {_CHARGES} AND g.session = s.session AND g.id >= %(first_id)s AND g.id < %(end_id)s AND {_DAYS} AND {_CHOSEN}
  UNION ALL {_CORRECTIONS} AND g.session = s.session
 ) each) u ORDER BY s.last DESC"""
LOOKED = """
SELECT min(id), count(*) FROM (SELECT id FROM proxy_generation WHERE customer_id = %(customer)s AND id >= %(first_id)s
 AND id < %(before)s ORDER BY id DESC LIMIT %(most)s) looked"""


@value
class Page:
    """Sessions, the newest first; `before` is where to go on, "" where there are no more."""

    groups: list[Group]
    before: str


def dearest(customer: Customer, *, of: Chosen) -> list[Group]:
    """Of these days the dearest sessions, 1,000 at most; "" are the requests that name none."""
    rows = _rows(DEAREST, customer, of, most=MOST_GROUPS)
    return [Group(name, 0, _figures(figures)) for name, *figures in rows]


def newest(customer: Customer, *, of: Chosen, before: str = "", limit: int = 50) -> Page:
    """Sessions with requests in these days older than the id `before`, and what all of theirs came to."""
    given = {"before": before or Window(customer, of).end_id, "most": MOST_LOOKED_AT}
    rows = _rows(NEWEST, customer, of, limit=limit, **given)
    groups = [Group(session, 0, _figures(figures)) for session, _last, *figures, _oldest, _looked in rows]
    if len(rows) == limit:
        return Page(groups, rows[-1][1])
    [(oldest, looked)] = _rows(LOOKED, customer, of, **given)
    return Page(groups, oldest if looked == MOST_LOOKED_AT else "")


def names_any(customer: Customer) -> bool:
    """Whether a request of the account ever named its session."""
    return Generation.objects.filter(customer=customer, session__isnull=False).exists()


def _figures(found: list[Any]) -> Figures:
    requests, read, written, cached, charged, corrected = found
    return Figures(requests, read, written, cached, Decimal(charged), Decimal(corrected))


def _rows(query: str, customer: Customer, of: Chosen, **more: Any) -> list[tuple[Any, ...]]:
    window = Window(customer, of)
    given = {
        **{"customer": customer.pk, "first": of.first, "last": of.last, "opens": window.opens},
        **{"closes": window.closes, "first_id": window.first_id, "end_id": window.end_id},
        **{"model": of.model_id, "key": of.key_id, "member": of.member_id},
        **more,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
