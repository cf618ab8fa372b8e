"""The audit's look at top-ups: each paid one was posted once, and paid balances rest on them."""

from collections.abc import Iterator

from billing.audit.run import pages

TOPUPS = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.state,
  CASE WHEN t.state = 'paid' THEN t.amount ELSE 0 END AS due,
  coalesce(direct.amount, 0) + coalesce(usd.amount, 0) AS credited,
  CASE WHEN t.state = 'paid' AND t.charge_currency = 'CNY' THEN t.charge_amount - t.fee_amount ELSE 0 END
   AS charge_due,
  coalesce(cny.amount, 0) AS charged,
  CASE WHEN t.state = 'paid' THEN t.fee_amount ELSE 0 END AS fee_due, coalesce(fee.amount, 0) AS fee,
  w.customer_id IS NULL OR coalesce(direct.credit_id <> w.paid_account_id, false)
   OR coalesce(usd.credit_id <> w.paid_account_id, false) AS elsewhere
 FROM {page} t
 LEFT JOIN billing_wallet w ON w.customer_id = t.customer_id
 LEFT JOIN billing_transfer direct ON direct.key = 'topup:' || t.id
 LEFT JOIN billing_transfer usd ON usd.key = 'topup:' || t.id || ':USD'
 LEFT JOIN billing_transfer cny ON cny.key = 'topup:' || t.id || ':CNY'
 LEFT JOIN billing_transfer fee ON fee.key = 'topup:' || t.id || ':fee'
) found
WHERE credited <> due OR charged <> charge_due OR fee <> fee_due OR elsewhere
ORDER BY number"""
# What was refunded after all and spent meanwhile is owed, and not taken from the wallet. A disputed amount stays on
# the wallet, under a hold, until the provider takes it. Reversals, refunds that failed and disputes that were won give
# back what top-ups brought; adjustments and write-offs alone make paid balance without one.
COVERED = """
SELECT * FROM (
 SELECT w.customer_id, w.paid,
  coalesce((SELECT sum(t.amount - t.refunded - t.disputed) FROM payments_topup t
   WHERE t.customer_id = w.customer_id AND t.state = 'paid'), 0)
  + coalesce((SELECT sum(x.amount) FROM billing_transfer x
   WHERE x.credit_id = w.paid_account_id AND x.kind IN ('adjustment', 'write_off')), 0)
  - coalesce((SELECT sum(x.amount) FROM billing_transfer x
   WHERE x.debit_id = w.paid_account_id AND x.kind IN ('adjustment', 'write_off_recovered')), 0)
  + coalesce((SELECT sum(r.excess) FROM billing_refundrequest r
   WHERE r.customer_id = w.customer_id AND r.excess > 0), 0)
  + coalesce((SELECT sum(h.amount - h.captured) FROM billing_hold h
   WHERE h.customer_id = w.customer_id AND h.state = 'open' AND h.kind = 'dispute'), 0) AS covered
 FROM {page} w
) found
WHERE paid > 0 AND paid > covered
ORDER BY customer_id"""


def check_topups(customer_id: int | None) -> Iterator[str]:
    """Top-ups of a customer or of everybody, and the paid balances they are to cover."""
    for customer, number, state, due, credited, charge_due, charged, fee_due, fee, is_elsewhere in pages(
        TOPUPS, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} is {state}, to credit {due:f} USD and credited {credited:f}"
            + (f", to charge {charge_due:f} CNY and posted {charged:f}" if charge_due != charged else "")
            + (f", with a fee of {fee_due:f} and posted {fee:f}" if fee_due != fee else "")
            + (", to another account" if is_elsewhere else "")
        )
    for customer, paid, covered in pages(
        COVERED, table="billing_wallet", key="customer_id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: paid balance {paid:f} is more than its top-ups and adjustments cover, {covered:f}"
