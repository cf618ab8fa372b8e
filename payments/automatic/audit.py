"""The audit's look at automatic top-ups: each is within what its customer agreed to."""

from collections.abc import Iterator

from billing.audit.run import pages

# What began in the same month in every zone is of one month of the account, whichever its zone was.
ATTEMPTS = """
SELECT * FROM (
 SELECT t.customer_id, t.number, t.charge_amount, a.ceiling,
  a.customer_id <> t.customer_id AS is_anothers,
  t.created_at < a.agreed_at - interval '5 minutes' OR t.created_at >= a.ends_at
   OR t.created_at > a.off_at + interval '5 minutes' AS is_beyond,
  t.amount < a.amount AS is_less,
  (SELECT sum(o.charge_amount) FROM payments_topup o
   WHERE o.automatic_id = t.automatic_id AND o.state IN ('open', 'paid')
    AND o.created_at > t.created_at - interval '26 days' AND o.created_at <= t.created_at
    AND date_trunc('month', o.created_at + interval '14 h') = date_trunc('month', t.created_at + interval '14 h')
    AND date_trunc('month', o.created_at - interval '14 h') = date_trunc('month', t.created_at - interval '14 h')
  ) AS spent,
  EXISTS (SELECT FROM payments_topup o WHERE o.customer_id = t.customer_id AND o.automatic_id IS NOT NULL
   AND o.id <> t.id AND o.created_at <= t.created_at
   AND o.created_at > t.created_at - interval '10 minutes') AS is_too_soon
 FROM {page} t JOIN payments_autotopup a ON a.id = t.automatic_id
) found
WHERE is_anothers OR is_beyond OR is_less OR is_too_soon OR spent > ceiling
ORDER BY number"""


def check_automatic(customer_id: int | None) -> Iterator[str]:
    """Automatic top-ups of a customer or of everybody, with the terms they rest on."""
    for customer, number, charge, ceiling, is_anothers, is_beyond, is_less, spent, is_soon in pages(
        ATTEMPTS, table="payments_topup", key="id", first=0, customer_id=customer_id
    ):
        wrong = (
            (is_anothers, "rests on what another customer agreed to"),
            (is_beyond, "began when nothing was agreed to"),
            (is_less, "brings less than was agreed to"),
            (is_soon, "began within 10 minutes of another"),
            (spent is not None and spent > ceiling, f"charges {charge:f}, {spent:f} in its month, above {ceiling:f}"),
        )
        yield f"customer {customer}: automatic {number} {', '.join(words for is_so, words in wrong if is_so)}"
