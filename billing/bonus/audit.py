"""The audit's look at bonus that was given: its row says what its transfers say."""

from collections.abc import Iterator

from billing.audit.run import pages

GRANTS = """
SELECT g.customer_id, g.id, g.expired, t.taken
FROM {page} g
LEFT JOIN billing_transfer f ON f.id = g.transfer_id AND f.kind = 'grant'
LEFT JOIN billing_ledgeraccount a ON a.id = f.credit_id AND a.kind = 'bonus'
CROSS JOIN LATERAL (
 SELECT coalesce(sum(e.amount), 0) AS taken, count(*) AS transfers,
  coalesce(bool_and(e.kind = 'bonus_expired' AND e.debit_id = f.credit_id), true) AS is_own
 FROM billing_transfer e WHERE e.key = ANY(
  ARRAY(SELECT 'bonus:' || g.id || ':expired' || CASE n WHEN 1 THEN '' ELSE ':' || n END
   FROM generate_series(1, g.takes + 1) n))
) t
WHERE f.id IS NULL OR a.customer_id IS DISTINCT FROM g.customer_id OR f.amount <> g.amount
 OR (t.taken, t.transfers) <> (g.expired, g.takes) OR NOT t.is_own
ORDER BY g.id"""


def check_grants(customer_id: int | None) -> Iterator[str]:
    """Each grant against the transfer that gave it and those that took it back."""
    for customer, number, said, taken in pages(
        GRANTS, table="billing_bonusgrant", key="id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: bonus {number} says {said:f} ended, by its transfers it is {taken:f}"


USES = """
SELECT u.customer_id, u.id, coalesce(f.amount, 0), b.amount
FROM {page} u
JOIN billing_codebatch b ON b.id = u.batch_id
JOIN billing_bonuscode c ON c.id = u.code_id
LEFT JOIN billing_transfer f ON f.id = u.transfer_id AND f.kind = 'grant' AND f.key = 'code:' || u.id
LEFT JOIN billing_ledgeraccount a ON a.id = f.credit_id AND a.kind = 'bonus'
WHERE a.customer_id IS DISTINCT FROM u.customer_id OR f.amount <> b.amount OR c.batch_id <> u.batch_id
ORDER BY u.id"""
CODES = """
SELECT c.id, c.uses_left, b.uses - u.used
FROM {page} c
JOIN billing_codebatch b ON b.id = c.batch_id
CROSS JOIN LATERAL (SELECT count(*) AS used FROM billing_codeuse u WHERE u.code_id = c.id) u
WHERE c.uses_left <> b.uses - u.used
ORDER BY c.id"""


def check_codes(customer_id: int | None) -> Iterator[str]:
    """Each use of a code against its transfer; for everybody, also what each code has left against its uses."""
    for customer, number, given, due in pages(
        USES, table="billing_codeuse", key="id", first=0, customer_id=customer_id
    ):
        yield f"customer {customer}: code:{number} gave {given:f}, its batch gives {due:f}"
    if customer_id is None:
        for number, left, due in pages(CODES, table="billing_bonuscode", key="id", first=0):
            yield f"code {number} has {left} uses left, by what was used it is {due}"
