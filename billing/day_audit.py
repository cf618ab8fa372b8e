"""The audit's look at closed days: their totals are summed again from the transfers."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from billing.audit import snapshot
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
BEFORE = "SELECT count(*) FROM billing_transfer WHERE created_at < %s"


def check_days(customer_id: int | None) -> Iterator[str]:
    """Each closed day's totals against its transfers, and that none is dated before the first of them."""
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
    if days:
        with snapshot() as cursor:
            cursor.execute(BEFORE, [datetime.combine(days[0], time.min, tzinfo=UTC)])
            [early] = cursor.fetchone()
        if early:
            yield f"{early} transfers are dated before the first closed day, {days[0]}"
