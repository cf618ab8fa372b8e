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
from accounts.limits.spending import CHARGED, ZERO, Whose
from core.arrays import columns
from core.records import value


class MeterChange(NamedTuple):
    """What a key has spent more, and what was charged more of it, in USD; less than nothing is given back."""

    key_id: int
    counted_on: date
    spent: Decimal
    charged: Decimal


@value
class Charged:
    """What was charged more, and is charged `after` that by `Period` (of an account the month alone), in USD.

    `pk` is the key's, the membership's or the customer's. It counts in the periods of `counted_on` that `day`, the
    meter's last one, lies in as well.
    """

    whose: Whose
    pk: int
    customer_id: int
    counted_on: date
    change: Decimal
    day: date
    after: tuple[Decimal, ...]


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


_AFTER = ", ".join(f"{{m}}.{name}" for name in ("day", *CHARGED))
_CORRECT = (
    "WITH d AS (SELECT * FROM unnest(%s::bigint[], %s::date[], %s::date[], %s::date[], %s::numeric[], %s::numeric[])"
    " AS d(key_id, day_ends, week_ends, month_ends, spent, charged)), keys AS ("
    f"UPDATE accounts_keymeter m SET {_corrected('m')} FROM d WHERE m.key_id = d.key_id"
    f" RETURNING m.customer_id, m.member_id, {_AFTER.format(m='m')}, d.*), members AS ("
    f"UPDATE accounts_membermeter b SET {_corrected('b')} FROM ("
    "SELECT member_id, day_ends, week_ends, month_ends, sum(spent) AS spent, sum(charged) AS charged FROM keys"
    " GROUP BY 1, 2, 3, 4) d WHERE b.membership_id = d.member_id"
    f" RETURNING b.customer_id, b.membership_id, {_AFTER.format(m='b')}, d.charged), months AS ("
    "UPDATE accounts_accountmeter a SET month = greatest(a.month, x.month),"
    " charged = x.charged * (x.month >= a.month)::int + a.charged * (x.month <= a.month)::int FROM ("
    "SELECT customer_id, (month_ends - interval '1 month')::date AS month, sum(charged) AS charged FROM keys"
    " GROUP BY 1, 2) x WHERE a.customer_id = x.customer_id AND %s"
    " RETURNING a.customer_id, a.month, a.charged AS after, x.charged * (x.month >= a.month)::int AS charged)"
    f" SELECT '{Whose.KEY}', k.key_id, k.customer_id, k.charged, {_AFTER.format(m='k')}"
    " FROM keys k JOIN accounts_customermeter c ON c.customer_id = k.customer_id AND c.warns"
    f" UNION ALL SELECT '{Whose.MEMBER}', m.membership_id, m.customer_id, m.charged, {_AFTER.format(m='m')}"
    " FROM members m JOIN accounts_customermeter c ON c.customer_id = m.customer_id AND c.warns"
    f" UNION ALL SELECT '{Whose.ACCOUNT}', customer_id, customer_id, charged, month, 0, 0, after, 0 FROM months"
)


def correct(corrections: Iterable[MeterChange], *, counts_for_account: bool = True) -> list[Charged]:
    """Correct meters of keys, of their members where those have caps, and of the account where that has a budget; what
    was charged of those that owners want to be warned of. The customers' wallets are locked.

    Not `counts_for_account`: it is charged to another key of the account as well, which tells of it.
    """
    by_day: dict[date, dict[int, list[Decimal]]] = defaultdict(lambda: defaultdict(lambda: [ZERO, ZERO]))
    for key_id, counted_on, spent, charged in corrections:
        sums = by_day[counted_on][key_id]
        sums[0] += spent
        sums[1] += charged
    told: list[Charged] = []
    with connection.cursor() as cursor:
        # Keys in order within a query is the planner's choice; their wallets are locked, so nobody competes.
        for day, keys in by_day.items():
            rows = [(key_id, *ends(day)[:3], spent, charged) for key_id, (spent, charged) in keys.items()]
            cursor.execute(_CORRECT, [*columns(rows), counts_for_account])
            told += [
                Charged(Whose(whose), pk, customer_id, counted_on=day, change=change, day=last, after=tuple(after))
                for whose, pk, customer_id, change, last, *after in cursor.fetchall()
                if change > 0
            ]
    return told
