"""The audit's look at closed days: their totals are summed again from the transfers."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from billing.audit.run import snapshot
from billing.models import ClosedDay

DAY = """
SELECT a.name, coalesce(t.debits, 0), coalesce(t.credits, 0), coalesce(d.debits, 0), coalesce(d.credits, 0)
FROM (
 SELECT account, sum(debit) AS debits, sum(credit) AS credits, count(*) AS transfers FROM (
  SELECT debit_id AS account, amount AS debit, 0 AS credit FROM billing_transfer
   WHERE created_at >= %(start)s AND created_at < %(end)s
  UNION ALL
  SELECT credit_id, 0, amount FROM billing_transfer WHERE created_at >= %(start)s AND created_at < %(end)s
 ) m GROUP BY account
) t
FULL JOIN (SELECT * FROM billing_accountday WHERE day = %(day)s) d ON d.account_id = t.account
LEFT JOIN billing_ledgeraccount a ON a.id = coalesce(d.account_id, t.account)
WHERE (t.debits, t.credits, t.transfers) IS DISTINCT FROM (d.debits, d.credits, d.transfers)
ORDER BY a.name"""
GAPS = """
SELECT g.day::date FROM
 (SELECT generate_series(min(day), max(day), interval '1 day') AS day FROM billing_closedday
  UNION SELECT day FROM billing_accountday) g
LEFT JOIN billing_closedday c ON c.day = g.day::date
WHERE c.day IS NULL ORDER BY 1"""
LATE = """
SELECT to_char(m.month, 'YYYY-MM'), count(t.id), min(t.key) FROM
 (SELECT month, locked_at, coalesce(lead(locked_at) OVER (ORDER BY month), 'infinity') AS until
  FROM billing_monthlock) m
JOIN billing_transfer t ON t.created_at > m.locked_at AND t.created_at <= m.until
 AND t.booked_on < (m.month + interval '1 month')::date
GROUP BY m.month ORDER BY m.month"""
BEFORE = "SELECT count(*) FROM billing_transfer WHERE created_at < %s"


def check_days(customer_id: int | None) -> Iterator[str]:
    """Each closed day's totals against its transfers, that none is dated before the first of them, and that locked
    months stayed shut."""
    if customer_id is not None:
        return
    days = list(ClosedDay.objects.order_by("day").values_list("day", flat=True))
    for day in days:
        start = datetime.combine(day, time.min, tzinfo=UTC)
        with snapshot() as cursor:
            cursor.execute(DAY, {"day": day, "start": start, "end": start + timedelta(days=1)})
            rows = cursor.fetchall()
        for name, debits, credits, stored_debits, stored_credits in rows:
            yield (
                f"{name} on {day}: transfers sum to {debits:f} debits and {credits:f} credits,"
                f" the closed day has {stored_debits:f} and {stored_credits:f}"
            )
    with snapshot() as cursor:
        cursor.execute(GAPS)
        gaps = [day for (day,) in cursor.fetchall()]
        cursor.execute(LATE)
        late = cursor.fetchall()
    for day in gaps:
        yield f"{day} is not closed, though it has totals or days after it are: its transfers are counted wrongly"
    for month, count, first in late:
        yield f"{count} transfers were booked into {month} or before after it was locked, {first} among them"
    if days:
        with snapshot() as cursor:
            cursor.execute(BEFORE, [datetime.combine(days[0], time.min, tzinfo=UTC)])
            [early] = cursor.fetchone()
        if early:
            yield f"{early} transfers are dated before the first closed day, {days[0]}"
