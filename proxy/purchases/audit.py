"""The audit's look at purchases: what was posted of a batch is what its requests cost, by upstream and currency."""

from collections.abc import Iterator

from billing.audit.run import pages

MOST_BATCHES = 50
"""In a page: each has up to thousands of requests."""

OWED = """
SELECT coalesce(o.key, t.key), coalesce(o.amount, 0), t.amount FROM (
 SELECT 'purchase:' || b.id || ':' || u.name || ':' || paid.currency AS key, sum(paid.cost) AS amount
 FROM {page} b CROSS JOIN LATERAL (
  SELECT g.upstream_id, g.purchase_currency AS currency, g.purchase_cost AS cost FROM proxy_generation g
  WHERE g.id = ANY(b.generations) AND g.purchase_batch = b.id AND g.purchase_cost > 0
  UNION ALL
  SELECT a.upstream_id, a.purchase_currency, a.purchase_cost FROM proxy_attempt a
  WHERE a.id = ANY(b.attempts) AND a.purchase_batch = b.id AND a.purchase_cost > 0
 ) paid
 JOIN proxy_upstream u ON u.id = paid.upstream_id
 WHERE b.posted_at IS NOT NULL GROUP BY 1
) o FULL JOIN (
 SELECT t.key, t.amount FROM {page} b
 JOIN billing_transfer t ON t.key >= 'purchase:' || b.id || ':' AND t.key < 'purchase:' || b.id || ';'
) t ON t.key = o.key
WHERE o.amount IS DISTINCT FROM t.amount ORDER BY 1"""
OF_PURCHASES = "(SELECT * FROM billing_transfer WHERE key >= 'purchase:' AND key < 'purchase;') AS purchases"
STRAYS = """
SELECT t.key FROM {page} t
WHERE NOT EXISTS (SELECT FROM proxy_purchasebatch b WHERE b.id = split_part(t.key, ':', 2)::bigint) ORDER BY t.key"""

UNPAID = """
SELECT a.generation_id, a.number, g.id IS NULL OR m.id IS NULL OR u.id IS NULL FROM {page} a
LEFT JOIN proxy_generation g ON g.id = a.generation_id
LEFT JOIN proxy_model m ON m.id = a.model_id
LEFT JOIN proxy_upstream u ON u.id = a.upstream_id
WHERE g.id IS NULL OR m.id IS NULL OR u.id IS NULL OR a.is_known AND a.purchase_batch IS NULL AND NOT EXISTS (
 SELECT FROM proxy_purchasebatch b WHERE b.posted_at IS NULL AND a.id = ANY(b.attempts)) ORDER BY a.id"""


def check_purchases(customer_id: int | None) -> Iterator[str]:
    """Each batch's transfers equal the sums of its requests' and attempts' costs, and no transfer is of no batch; an
    attempt whose usage is known is posted, or waits in a batch.
    """
    if customer_id is not None:
        return
    for key, owed, posted in pages(OWED, table="proxy_purchasebatch", key="id", first=0, most=MOST_BATCHES):
        books = "the books have none" if posted is None else f"the books have {posted:f}"
        yield f"{key} is {owed:f} by its requests: {books}"
    for (key,) in pages(STRAYS, table=OF_PURCHASES, key="key", first=""):
        yield f"{key} was posted for no batch"
    for generation_id, number, is_stray in pages(UNPAID, table="proxy_attempt", key="id", first=0):
        why = "names a request, model or upstream that is not there" if is_stray else "is in no purchase batch"
        yield f"attempt {number} of {generation_id} {why}"
