"""The audit's look at refunds: requests, their parts, the top-ups' sums and the transfers say the same."""

from collections.abc import Iterator

from billing.audit.run import pages, snapshot
from billing.books import chart
from billing.books.kinds import Kind

# What a part has moved: gone out and not come back (out), arrived and not bounced (arrived). Each round has its keys.
PARTS = """
SELECT * FROM (
 SELECT r.customer_id, r.number, p.number AS part, p.state,
  CASE WHEN p.state IN ('sending', 'parked', 'done') THEN p.amount ELSE 0 END AS due, moved.out,
  CASE WHEN p.state = 'done' THEN p.amount ELSE 0 END AS arrived_due, moved.arrived,
  CASE WHEN p.state = 'done' THEN p.fee_amount ELSE 0 END AS fee_due, moved.fee
 FROM {page} r
 JOIN payments_refundpart p ON p.refund_id = r.id
 CROSS JOIN LATERAL (
  SELECT sum(coalesce(sent.amount, 0) + coalesce(excess.amount, 0)
    - coalesce(failed.amount, 0) - coalesce(excess_back.amount, 0)) AS out,
   sum(coalesce(done.amount, 0) + coalesce(usd.amount, 0)
    - coalesce(bounced.amount, 0) - coalesce(bounced_usd.amount, 0)) AS arrived,
   sum(coalesce(fee.amount, 0) - coalesce(bounced_fee.amount, 0)) AS fee
  FROM generate_series(1, p.round) round
  CROSS JOIN LATERAL (
   SELECT 'refund:' || r.id || ':part:' || p.number || CASE round WHEN 1 THEN '' ELSE ':round:' || round END AS key
  ) k
  LEFT JOIN billing_transfer sent ON sent.key = k.key || ':sent'
  LEFT JOIN billing_transfer excess ON excess.key = k.key || ':excess'
  LEFT JOIN billing_transfer failed ON failed.key = k.key || ':failed'
  LEFT JOIN billing_transfer excess_back ON excess_back.key = k.key || ':failed:excess'
  LEFT JOIN billing_transfer done ON done.key = k.key || ':done'
  LEFT JOIN billing_transfer usd ON usd.key = k.key || ':done:USD'
  LEFT JOIN billing_transfer bounced ON bounced.key = k.key || ':bounced'
  LEFT JOIN billing_transfer bounced_usd ON bounced_usd.key = k.key || ':bounced:USD'
  LEFT JOIN billing_transfer fee ON fee.key = k.key || ':done:fee'
  LEFT JOIN billing_transfer bounced_fee ON bounced_fee.key = k.key || ':bounced:fee'
 ) moved
) found
WHERE out <> due OR arrived <> arrived_due OR fee <> fee_due
ORDER BY number, part"""
REQUESTS = """
SELECT * FROM (
 SELECT r.customer_id, r.number, r.state, r.sent, r.returned, r.paid_after_all, r.excess,
  coalesce(sum(p.amount) FILTER (WHERE p.state IN ('sending', 'parked', 'done')), 0) AS parts_sent,
  coalesce(sum(p.amount) FILTER (WHERE p.state = 'done'), 0) AS parts_done,
  coalesce(sum(p.amount) FILTER (WHERE p.after_all), 0) AS parts_after_all, coalesce(sum(p.excess), 0) AS parts_excess,
  (SELECT count(*) FROM billing_hold h WHERE h.customer_id = r.customer_id AND h.state = 'open' AND h.kind = 'refund'
   AND (h.key = 'refund:' || r.id OR starts_with(h.key, 'refund:' || r.id || ':'))) AS holds
 FROM {page} r LEFT JOIN payments_refundpart p ON p.refund_id = r.id
 GROUP BY r.customer_id, r.id, r.number, r.state, r.sent, r.returned, r.paid_after_all, r.excess
) found
WHERE sent <> parts_sent OR returned <> parts_done OR holds > 1
 OR paid_after_all <> parts_after_all OR excess <> parts_excess
 OR (holds > 0 AND state NOT IN ('requested', 'approved', 'sending', 'returned'))
ORDER BY number"""
TOPUPS = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.refunded, t.refunded_charge, t.refunded_fee, t.amount,
  t.charge_amount - t.fee_amount AS base, t.fee_amount,
  coalesce(sum(p.amount), 0) AS parts, coalesce(sum(p.charge_amount), 0) AS charges,
  coalesce(sum(p.fee_amount), 0) AS fees
 FROM {page} t
 LEFT JOIN payments_refundpart p ON p.topup_id = t.id AND p.state IN ('sending', 'parked', 'done')
 GROUP BY t.customer_id, t.id, t.number, t.refunded, t.refunded_charge, t.refunded_fee, t.amount, t.charge_amount,
  t.fee_amount
) found
WHERE refunded <> least(parts, amount) OR refunded_fee <> least(fees, fee_amount)
 OR refunded_charge - refunded_fee <> least(charges - fees, base)
ORDER BY number"""


# What is planned takes room of its top-up; only a request that is being sent may plan.
STRAYS = """
SELECT r.customer_id, r.number, p.number, r.state
FROM {page} r JOIN payments_refundpart p ON p.refund_id = r.id
WHERE p.state = 'planned' AND r.state <> 'sending'
ORDER BY r.number, p.number"""


# What customers owe for refunds, by the requests and by the house's account; entries by hand are finance's own.
OWED = """
SELECT (SELECT coalesce(sum(excess), 0) FROM billing_refundrequest WHERE excess > 0),
 (SELECT coalesce(sum(CASE WHEN t.debit_id = a.id THEN t.amount ELSE -t.amount END), 0)
  FROM billing_ledgeraccount a JOIN billing_transfer t ON a.id IN (t.debit_id, t.credit_id)
  WHERE a.name = %(receivable)s AND t.kind = ANY(%(kinds)s))"""
# A part is parked when its time is over; workers come to it every six hours.
OVERDUE = """
SELECT r.customer_id, r.number, p.number, p.sent_at
FROM {page} r JOIN payments_refundpart p ON p.refund_id = r.id
WHERE p.state = 'sending'
 AND p.sent_at < now() - interval '12 hours'
  - CASE WHEN p.to_bank_card THEN interval '7 days' ELSE interval '3 days' END
ORDER BY r.number, p.number"""


def check_refunds(customer_id: int | None) -> Iterator[str]:
    """Refunds of a customer or of everybody."""
    for customer, number, state, *sums, count in pages(
        REQUESTS, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        sent, returned, after_all, excess, parts_sent, parts_done, parts_after_all, parts_excess = sums
        yield (
            f"customer {customer}: {number} is {state} with {sent:f} USD sent and {returned:f} arrived,"
            f" {after_all:f} after all and {excess:f} owed, its parts say {parts_sent:f} and {parts_done:f},"
            f" {parts_after_all:f} and {parts_excess:f}; {count} open holds"
        )
    for customer, number, refunded, charge, fee, _amount, _base, _fee, parts, charges, fees in pages(
        TOPUPS, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} has {refunded:f} USD refunded ({charge:f} as charged),"
            f" the parts say {parts:f} ({charges:f}); of the fee {fee:f} and {fees:f}"
        )
    for customer, number, part, state, due, out, arrived_due, arrived, fee_due, fee in pages(
        PARTS, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} part {part} is {state}: {out:f} USD left the wallet for {due:f},"
            f" {arrived:f} arrived for {arrived_due:f}, {fee:f} of the fee for {fee_due:f}"
        )
    for customer, number, part, state in pages(
        STRAYS, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: {number} part {part} is planned, and the request is {state}"
    for customer, number, part, sent_at in pages(
        OVERDUE, table="billing_refundrequest", key="id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: {number} part {part} is on the way beyond its time, since {sent_at:%Y-%m-%d}"
    if customer_id is None:
        with snapshot() as cursor:
            kinds = [kind for kind in Kind.values if kind.startswith(Kind.REFUND)]
            cursor.execute(OWED, {"receivable": chart.RECEIVABLE, "kinds": kinds})
            owed, booked = cursor.fetchone()
        if owed != booked:
            yield f"customers owe {owed:f} USD for refunds, {chart.RECEIVABLE} holds {booked:f}"
