"""The audit's look at statements: what a provider says was paid or taken stands in the books, or in a queue."""

from collections.abc import Iterator

from billing.audit.run import pages
from billing.books.money import shown

# A payment is told in the currency of its charge, too, where the account settles in another.
# A line that staff know of, open or closed with a note or an entry, is no drift; nor is what was set apart as another
# shop's, or paid and wholly paid back before it was credited. What was cured is: it fitted once.
LINES = """
SELECT * FROM (
 SELECT l.id, l.provider, s.day, l.key, l.kind, l.amount, l.currency, t.charge_amount, t.charge_currency,
  x.amount AS posted
 FROM {page} l
 JOIN payments_statement s ON s.id = l.statement_id AND s.matched_at IS NOT NULL
 LEFT JOIN payments_topup t ON l.kind = 'payment' AND t.method = l.provider AND t.state = 'paid'
  AND t.transaction_id = l.transaction_id AND l.transaction_id <> ''
 LEFT JOIN billing_transfer x ON l.kind IN ('fee', 'payout')
  AND x.key = 'statement:' || l.provider || ':' || l.key || ':' || l.kind
 WHERE (l.kind = 'payment' AND NOT coalesce((t.charge_amount, t.charge_currency) = (l.amount, l.currency)
    OR (t.charge_amount, t.charge_currency) = (l.charge_amount, l.charge_currency), false)
   OR l.kind IN ('fee', 'payout') AND s.held_back = 0 AND coalesce(x.amount, 0) <> abs(l.amount))
  AND NOT EXISTS (SELECT FROM payments_discrepancy d
   WHERE d.provider = l.provider AND d.day = s.day AND d.key IN (l.key, l.key || ':posted') AND d.state <> 'cured')
  AND NOT (l.kind = 'payment' AND t.id IS NULL
   AND EXISTS (SELECT FROM payments_topup e
    WHERE e.method = l.provider AND e.number = l.number AND e.state IN ('expired', 'failed'))
   AND 0 = (SELECT sum(b.amount) FROM payments_statementline b WHERE b.provider = l.provider
    AND b.transaction_id = l.transaction_id AND b.currency = l.currency
    AND b.kind IN ('payment', 'refund', 'refund_failure')))
  AND NOT EXISTS (SELECT FROM billing_transfer o
   WHERE o.key = 'statement:' || l.provider || ':' || l.key || ':others')
) found
ORDER BY id"""


def check_statements(customer_id: int | None) -> Iterator[str]:
    """Payments, fees and payouts of matched statements; a statement belongs to no customer."""
    if customer_id is not None:
        return
    for row in pages(LINES, table="payments_statementline", key="id", first=0):
        _id, provider, day, key, kind, amount, currency, ours, ours_in, posted = row
        here = "here it is not paid" if kind == "payment" else "the books have nothing"
        if ours is not None:
            here = f"here it is {shown(ours, currency=ours_in)}"
        elif posted is not None:
            here = f"the books have {shown(posted, currency=currency)}"
        yield f"{provider} says on {day} that {key} is a {kind} of {shown(amount, currency=currency)}; {here}"
