"""The audit's look at disputes: what each moved, holds and left to the house is what the books say."""

from collections.abc import Iterator

from billing.audit.run import pages
from payments.models import Dispute

# `provider_id` of a movement is the provider's row; a movement of nothing but a fee has no transfer of its own.
DISPUTES = """
SELECT * FROM (
 SELECT d.customer_id, d.provider_id, d.status, d.held, d.withdrawn, d.problem,
  coalesce(moved.taken, 0) AS taken, coalesce(moved.wrong, 0) AS wrong,
  coalesce((SELECT sum(h.amount - h.captured) FROM billing_hold h
   WHERE h.customer_id = d.customer_id AND h.state = 'open' AND h.kind = 'dispute'
   AND (h.key = 'dispute:' || d.id OR starts_with(h.key, 'dispute:' || d.id || ':'))), 0) AS open_holds,
  CASE WHEN d.topup_id IS NULL OR d.status NOT IN ({open}) THEN 0 WHEN d.problem <> '' THEN d.held
   ELSE greatest(d.amount - trunc(t.fee_amount * least(d.amount, t.charge_amount) / t.charge_amount, 2)
    - d.withdrawn, 0) END AS to_hold,
  CASE WHEN d.written_off_at IS NULL THEN 0 ELSE d.write_off END AS to_write_off,
  coalesce((SELECT x.amount FROM billing_transfer x WHERE x.key = 'dispute:' || d.id || ':write_off'), 0) AS written,
  d.recovered, coalesce(moved.recovered, 0) AS given_back
 FROM {page} d
 LEFT JOIN payments_topup t ON t.id = d.topup_id
 LEFT JOIN LATERAL (
  SELECT -sum(m.booked + m.topup_fee) AS taken,
   count(*) FILTER (WHERE coalesce(x.amount, 0) <> abs(m.booked + m.topup_fee) OR coalesce(f.amount, 0) <> abs(m.fee)
    OR coalesce(e.amount, 0) <> abs(m.topup_fee)
    OR (m.booked + m.topup_fee <> 0
     AND w.paid_account_id <> CASE WHEN m.booked < 0 THEN x.debit_id ELSE x.credit_id END)) AS wrong,
   sum(coalesce(r.amount, 0)) AS recovered
  FROM payments_disputemovement m
  LEFT JOIN billing_wallet w ON w.customer_id = d.customer_id
  LEFT JOIN billing_transfer x ON x.key = 'dispute:' || d.id || ':' || m.provider_id
  LEFT JOIN billing_transfer f ON f.key = 'dispute:' || d.id || ':' || m.provider_id || ':fee'
  LEFT JOIN billing_transfer e ON e.key = 'dispute:' || d.id || ':' || m.provider_id || ':topup_fee'
  LEFT JOIN billing_transfer r ON r.key = 'dispute:' || d.id || ':' || m.provider_id || ':recovered'
  WHERE m.dispute_id = d.id
 ) moved ON true
) found
WHERE withdrawn <> taken OR wrong > 0 OR held <> open_holds OR held <> to_hold
 OR to_write_off <> written OR recovered <> given_back
ORDER BY provider_id""".replace("{open}", ", ".join(f"'{status}'" for status in Dispute.OPEN))
TOPUPS = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.disputed, greatest(coalesce(sum(d.held + d.withdrawn), 0), 0) AS due
 FROM {page} t LEFT JOIN payments_dispute d ON d.topup_id = t.id
 GROUP BY t.customer_id, t.id, t.number, t.disputed
) found
WHERE disputed <> due
ORDER BY number"""
WALLETS = """
SELECT * FROM (
 SELECT w.customer_id, w.disputed,
  coalesce((SELECT sum(t.disputed) FROM payments_topup t WHERE t.customer_id = w.customer_id), 0) AS due
 FROM {page} w
) found
WHERE disputed <> due
ORDER BY customer_id"""


def check_disputes(customer_id: int | None) -> Iterator[str]:
    """Disputes of a customer or of everybody, and the sums on their top-ups and wallets."""
    for row in pages(DISPUTES, table="payments_dispute", key="id", first=0, customer_id=customer_id):
        customer, number, status, held, withdrawn, _problem, taken, wrong, holds, to_hold = row[:10]
        to_write_off, written, recovered, given_back = row[10:]
        yield (
            f"customer {customer}: dispute {number} is {status} with {held:f} USD held and {withdrawn:f} withdrawn;"
            f" to hold are {to_hold:f}, open holds have {holds:f}, its movements took {taken:f}"
            f" and {wrong} of them are posted otherwise; written off {written:f} for {to_write_off:f},"
            f" recovered {given_back:f} for {recovered:f}"
        )
    for customer, number, disputed, due in pages(
        TOPUPS, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: {number} has {disputed:f} USD disputed, its disputes say {due:f}"
    for customer, disputed, due in pages(
        WALLETS, table="billing_wallet", key="customer_id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: the wallet's disputed is {disputed:f}, its top-ups say {due:f}"
