"""The audit's look at refunds: requests, their parts, the top-ups' sums and the transfers say the same."""

from collections.abc import Iterator

from billing.audit import pages

# What a part has moved: gone out and not come back (out), arrived and not bounced (arrived).
PARTS = """
SELECT * FROM (
 SELECT r.customer_id, r.number, p.number AS part, p.state,
  CASE WHEN p.state IN ('sending', 'parked', 'done') THEN p.amount ELSE 0 END AS due,
  coalesce(sent.amount, 0) - coalesce(failed.amount, 0) AS out,
  CASE WHEN p.state = 'done' THEN p.amount ELSE 0 END AS arrived_due,
  coalesce(done.amount, 0) + coalesce(usd.amount, 0)
   - coalesce(bounced.amount, 0) - coalesce(bounced_usd.amount, 0) AS arrived
 FROM {page} r
 JOIN payments_refundpart p ON p.refund_id = r.id
 CROSS JOIN LATERAL (SELECT 'refund:' || r.id || ':part:' || p.number AS key) k
 LEFT JOIN billing_transfer sent ON sent.key = k.key || ':sent'
 LEFT JOIN billing_transfer failed ON failed.key = k.key || ':failed'
 LEFT JOIN billing_transfer done ON done.key = k.key || ':done'
 LEFT JOIN billing_transfer usd ON usd.key = k.key || ':done:USD'
 LEFT JOIN billing_transfer bounced ON bounced.key = k.key || ':bounced'
 LEFT JOIN billing_transfer bounced_usd ON bounced_usd.key = k.key || ':bounced:USD'
) found
WHERE out <> due OR arrived <> arrived_due
ORDER BY number, part"""
REQUESTS = """
SELECT * FROM (
 SELECT r.customer_id, r.number, r.state, r.sent, r.returned,
  coalesce(sum(p.amount) FILTER (WHERE p.state IN ('sending', 'parked', 'done')), 0) AS parts_sent,
  coalesce(sum(p.amount) FILTER (WHERE p.state = 'done'), 0) AS parts_done,
  (SELECT count(*) FROM billing_hold h WHERE h.customer_id = r.customer_id AND h.state = 'open' AND h.kind = 'refund'
   AND (h.key = 'refund:' || r.id OR starts_with(h.key, 'refund:' || r.id || ':'))) AS holds
 FROM {page} r LEFT JOIN payments_refundpart p ON p.refund_id = r.id
 GROUP BY r.customer_id, r.id, r.number, r.state, r.sent, r.returned
) found
WHERE sent <> parts_sent OR returned <> parts_done OR holds > 1
 OR (holds > 0 AND state NOT IN ('requested', 'approved', 'sending', 'returned'))
ORDER BY number"""
TOPUPS = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.refunded, t.refunded_charge,
  coalesce(sum(p.amount), 0) AS parts, coalesce(sum(p.charge_amount), 0) AS charges
 FROM {page} t
 LEFT JOIN payments_refundpart p ON p.topup_id = t.id AND p.state IN ('sending', 'parked', 'done')
 GROUP BY t.customer_id, t.id, t.number, t.refunded, t.refunded_charge
) found
WHERE refunded <> parts OR refunded_charge <> charges
ORDER BY number"""


def check_refunds(customer_id: int | None) -> Iterator[str]:
    """Refunds of a customer or of everybody."""
    for customer, number, state, sent, returned, parts_sent, parts_done, count in pages(
        REQUESTS, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} is {state} with {sent:f} USD sent and {returned:f} arrived,"
            f" its parts say {parts_sent:f} and {parts_done:f}; {count} open holds"
        )
    for customer, number, refunded, charge, parts, charges in pages(
        TOPUPS, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} has {refunded:f} USD refunded ({charge:f} as charged),"
            f" the parts say {parts:f} ({charges:f})"
        )
    for customer, number, part, state, due, out, arrived_due, arrived in pages(
        PARTS, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} part {part} is {state}: {out:f} USD left the wallet for {due:f},"
            f" {arrived:f} arrived for {arrived_due:f}"
        )
