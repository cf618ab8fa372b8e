"""Which months corrections of charges are about: those in which the corrected requests were charged."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from django.db import connection

from billing.books.kinds import Kind
from core.arrays import array
from core.records import value

KINDS = frozenset({Kind.REVERSAL, Kind.RERATE, Kind.RERATE_UP})
MOST_READ = 20_000
"""Corrections that are looked up while somebody waits; a closed month has all of them."""

# A correction's key names its request, whose charge has that name and the balance as its own.
ABOUT = """
WITH own AS (
 SELECT unnest(ARRAY[paid_account_id, bonus_account_id]) AS id FROM billing_wallet WHERE customer_id = %(customer_id)s
), moved AS (
 SELECT kind, key, amount FROM billing_transfer
  WHERE credit_id IN (SELECT id FROM own) AND kind = ANY(%(kinds)s::text[]) AND id >= %(moves_from)s
   AND created_at >= %(opens_at)s AND created_at < %(closes_at)s
 UNION ALL
 SELECT kind, key, -amount FROM billing_transfer
  WHERE debit_id IN (SELECT id FROM own) AND kind = ANY(%(kinds)s::text[]) AND id >= %(moves_from)s
   AND created_at >= %(opens_at)s AND created_at < %(closes_at)s
)
SELECT m.kind, to_char(charge.made_at AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, count(*), sum(m.amount)
FROM moved m
CROSS JOIN LATERAL (SELECT substring(m.key FROM 'gen-[0-9A-Za-z]+') AS id) request
CROSS JOIN LATERAL (
 SELECT min(created_at) AS made_at FROM billing_transfer WHERE key IN (request.id || ':paid', request.id || ':bonus')
) charge GROUP BY 1, 2 ORDER BY 1, 2"""


@value
class Share:
    """What of a line is about one month, such as 2026-10; "" where its charges are not known. USD."""

    month: str
    count: int
    amount: Decimal


def by_month(
    kinds: Iterable[str], *, customer_id: int, zone: str, opens_at: datetime, closes_at: datetime, moves_from: int
) -> Mapping[str, list[Share]]:
    """By kind, the months in the account's zone that its corrections between two moments are about."""
    wanted = sorted(KINDS & set(kinds))
    found: dict[str, list[Share]] = {}
    if not wanted:
        return found
    given: dict[str, int | str | datetime] = {
        "customer_id": customer_id,
        "zone": zone,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "moves_from": moves_from,
        "kinds": array(wanted),
    }
    with connection.cursor() as cursor:
        cursor.execute(ABOUT, given)
        for kind, month, count, amount in cursor.fetchall():
            found.setdefault(kind, []).append(Share(month or "", count, amount))
    return found
