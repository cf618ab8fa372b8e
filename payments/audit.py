"""The audit's look at top-ups: each paid one was posted once, and paid balances rest on them."""

from collections.abc import Iterator

from django.db.backends.utils import CursorWrapper

TOPUPS = """
SELECT t.number, t.state, t.amount, coalesce(usd.amount, direct.amount), t.charge_currency, t.charge_amount, cny.amount
FROM payments_topup t
LEFT JOIN billing_transfer direct ON direct.key = 'topup:' || t.id
LEFT JOIN billing_transfer usd ON usd.key = 'topup:' || t.id || ':USD'
LEFT JOIN billing_transfer cny ON cny.key = 'topup:' || t.id || ':CNY'
WHERE t.customer_id = %s ORDER BY t.id"""
COVERED = """
SELECT w.paid, coalesce((SELECT sum(t.amount - t.refunded - t.disputed) FROM payments_topup t
  WHERE t.customer_id = w.customer_id AND t.state = 'paid'), 0)
 + coalesce((SELECT sum(x.amount) FROM billing_transfer x WHERE x.credit_id = w.paid_account_id
   AND x.kind NOT IN ('topup')), 0)
FROM billing_wallet w WHERE w.customer_id = %s"""


def check_topups(cursor: CursorWrapper, customer_id: int) -> Iterator[str]:
    cursor.execute(TOPUPS, [customer_id])
    for number, state, amount, credited, currency, charged, through_fx in cursor.fetchall():
        if state == "paid" and credited != amount:
            yield f"{number} is paid with {amount}, credited {credited}"
        if state != "paid" and credited is not None:
            yield f"{number} is {state} and credited {credited}"
        if state == "paid" and currency == "CNY" and through_fx != charged:
            yield f"{number} was charged {charged} CNY, posted {through_fx}"
    cursor.execute(COVERED, [customer_id])
    for paid, covered in cursor.fetchall():
        if paid > covered:
            yield f"paid balance {paid} is more than its top-ups and other credits cover ({covered})"
