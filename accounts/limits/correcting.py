"""What was counted as spent, corrected by what becomes of it: a hold that is settled, released or reversed.

A request counts in the periods of the day that it was counted on. Those that are over by now are left alone.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from accounts.limits.periods import ends
from accounts.limits.spending import ZERO
from core.arrays import columns


class MeterChange(NamedTuple):
    """What a key has spent more, and what was charged more of it, in USD; less than nothing is given back."""

    key_id: int
    counted_on: date
    spent: Decimal
    charged: Decimal


def _corrected(alias: str) -> str:
    during = {"day": "{m}.day < d.day_ends", "week": "{m}.day < d.week_ends", "month": "{m}.day < d.month_ends"}
    sums = []
    for kind in ("spent", "charged"):
        for period, condition in during.items():
            name = f"{period}_{kind}"
            is_during = condition.format(m=alias)
            sums.append(f"{name} = {alias}.{name} + CASE WHEN {is_during} THEN d.{kind} ELSE 0 END")
        sums.append(f"total_{kind} = {alias}.total_{kind} + d.{kind}")
    return ", ".join(sums)


_CORRECT = (
    "WITH d AS (SELECT * FROM unnest(%s::bigint[], %s::date[], %s::date[], %s::date[], %s::numeric[], %s::numeric[])"
    " AS d(key_id, day_ends, week_ends, month_ends, spent, charged)), keys AS ("
    f"UPDATE accounts_keymeter m SET {_corrected('m')} FROM d WHERE m.key_id = d.key_id RETURNING m.member_id, d.*)"
    f" UPDATE accounts_membermeter b SET {_corrected('b')} FROM ("
    "SELECT member_id, day_ends, week_ends, month_ends, sum(spent) AS spent, sum(charged) AS charged FROM keys"
    " GROUP BY 1, 2, 3, 4) d WHERE b.membership_id = d.member_id"
)


def correct(corrections: Iterable[MeterChange]) -> None:
    """Correct meters of keys, and of their members where those have caps. The customers' wallets are locked."""
    by_day: dict[date, dict[int, list[Decimal]]] = defaultdict(lambda: defaultdict(lambda: [ZERO, ZERO]))
    for key_id, counted_on, spent, charged in corrections:
        sums = by_day[counted_on][key_id]
        sums[0] += spent
        sums[1] += charged
    with connection.cursor() as cursor:
        # Keys in order within a query is the planner's choice; their wallets are locked, so nobody competes.
        for day, keys in by_day.items():
            rows = [(key_id, *ends(day)[:3], spent, charged) for key_id, (spent, charged) in keys.items()]
            cursor.execute(_CORRECT, columns(rows))
