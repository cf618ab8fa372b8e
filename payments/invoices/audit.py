"""The audit's look at invoiced payments: what stands on documents was paid and did not go back unnoticed."""

from collections.abc import Iterator

from billing.audit.run import pages

# What went back of an invoiced payment is credited, waived by staff, or wanted by an open task.
COVERED = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.charge_currency, t.charge_amount - t.refunded_charge
   - trunc(t.charge_amount * lost.sum / t.amount, 2) AS rest,
  a.stands - tasks.open AS stands
 FROM {page} t
 CROSS JOIN LATERAL (
  SELECT coalesce(sum(withdrawn), 0) AS sum FROM payments_dispute WHERE topup_id = t.id AND status = 'lost'
 ) lost
 CROSS JOIN LATERAL (
  SELECT coalesce(sum(a.amount - a.credited - a.waived), 0) AS stands
  FROM billing_invoiceallocation a JOIN billing_invoicerequest r ON r.id = a.request_id
  WHERE a.source_id = t.id AND r.state IN ('issued', 'partly_credited')
 ) a
 CROSS JOIN LATERAL (
  SELECT coalesce(sum(amount - credited), 0) AS open FROM billing_credittask
  WHERE source_id = t.id AND state = 'open'
 ) tasks
) found
WHERE stands > greatest(rest, 0)
ORDER BY number"""


def check_invoiced(customer_id: int | None) -> Iterator[str]:
    """Top-ups of a customer or of everybody."""
    for customer, number, currency, rest, stands in pages(
        COVERED, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {stands:f} {currency} of {number} is invoiced and not wanted back,"
            f" {rest:f} of it is left"
        )
