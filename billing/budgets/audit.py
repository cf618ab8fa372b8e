"""The audit's look at budgets: each has its hold, and what was taken out of that is what its requests hold and cost."""

from collections.abc import Iterator

from billing.audit.run import pages

BUDGETS = """
SELECT b.customer_id, b.id, coalesce(h.state, 'missing'), coalesce(h.captured, 0), i.taken, h.captured = i.taken
FROM {page} b
LEFT JOIN billing_hold h ON h.key = 'budget:' || b.id AND h.kind = 'budget'
LEFT JOIN accounts_childkey c ON c.key_id = b.key_id
LEFT JOIN accounts_apikey k ON k.id = b.key_id
CROSS JOIN LATERAL (
 SELECT coalesce(sum(CASE i.state WHEN 'open' THEN i.amount ELSE i.captured END), 0) AS taken,
  coalesce(bool_or(i.customer_id <> b.customer_id), false) AS is_elsewhere
 FROM billing_hold i WHERE i.inside = 'budget:' || b.id
) i
WHERE h.key IS NULL OR (h.customer_id, h.amount, h.bound, h.captured) <> (b.customer_id, b.amount, b.amount, i.taken)
 OR (h.state = 'open') <> (b.ended_at IS NULL) OR i.is_elsewhere
 OR c.purse IS DISTINCT FROM h.key OR k.customer_id <> b.customer_id OR (b.ended_at IS NOT NULL AND k.is_active)
ORDER BY b.id"""
STRAYS = """
SELECT h.customer_id, h.key FROM {page} h
LEFT JOIN billing_budget b ON b.id = CASE h.kind WHEN 'budget' THEN substr(h.key, 8)::bigint END
LEFT JOIN billing_hold o ON o.key = h.inside AND o.kind = 'budget'
WHERE (h.kind = 'budget' AND b.id IS NULL) OR (h.inside IS NOT NULL AND o.key IS NULL)
ORDER BY h.key"""


def check_budgets(customer_id: int | None) -> Iterator[str]:
    """Each budget against its hold, its key and the holds inside it; for everybody, also holds of no budget."""
    for customer, number, state, taken, due, is_right in pages(
        BUDGETS, table="billing_budget", key="id", first=0, customer_id=customer_id
    ):
        said = f"customer {customer}: the hold of budget {number} is {state}, {taken:f} is taken out of it"
        wrong = ", and its budget or its key is not as that" if is_right else f", by its requests it is {due:f}"
        yield said + wrong
    if customer_id is None:
        for customer, key in pages(STRAYS, table="billing_hold", key="key", first=""):
            yield f"customer {customer}: hold {key} belongs to no budget"
