"""The audit's look at requests: what was settled was charged, what is open has an open hold, and vice versa."""

from collections.abc import Iterator

from billing.audit.run import pages, snapshot
from billing.books.kinds import Kind

GENERATIONS = """
SELECT customer_id, id, state, cost, charged, given_back, hold_state, whole, grown FROM (
 SELECT g.customer_id, g.id, g.state, g.cost, coalesce(b.amount, 0) + coalesce(p.amount, 0) AS charged,
  g.cost - coalesce(g.corrected_cost, g.cost) AS correction,
  coalesce(rb.amount, 0) + coalesce(rp.amount, 0) - coalesce(c.paid, 0) - coalesce(c.bonus, 0) AS given_back,
  coalesce(p.amount, 0) + coalesce(c.paid, 0) - coalesce(rp.amount, 0) AS paid_left,
  coalesce(b.amount, 0) + coalesce(c.bonus, 0) - coalesce(rb.amount, 0) AS bonus_left,
  CASE WHEN g.state IN ('settled', 'released') THEN coalesce(g.cost, 0) ELSE 0 END AS due,
  coalesce(g.corrected_cost > g.bound, false) AS is_beyond,
  h.state AS hold_state,
  CASE WHEN g.held = 0 THEN NULL WHEN g.state NOT IN ('settled', 'released') THEN 'open'
   WHEN g.cost > 0 THEN 'captured' ELSE 'released' END AS hold_due,
  h.key IS NULL OR (h.customer_id, h.amount, h.bound) = (g.customer_id, g.held, g.bound)
   AND h.inside IS NOT DISTINCT FROM y.purse
   AND (h.kind = 'request' OR h.kind = 'job' AND (g.state <> 'held' OR j.generation_id IS NOT NULL)) AS same,
  k.id IS NOT NULL AND m.id IS NOT NULL AND v.id IS NOT NULL AND w.customer_id IS NOT NULL
   AND (g.upstream_id IS NULL OR u.id IS NOT NULL) AS whole,
  g.hold_changes IS NULL OR (SELECT count(*) > 0 AND coalesce(bool_and(s.held = s.due), false) FROM (
   SELECT (c ->> 3)::numeric AS held,
    coalesce(lead((c ->> 3)::numeric - (c ->> 2)::numeric) OVER (ORDER BY n), g.held) AS due
   FROM jsonb_array_elements(g.hold_changes) WITH ORDINALITY AS one(c, n)) s) AS grown
 FROM {page} g
 LEFT JOIN billing_transfer b ON b.key = g.id || ':bonus'
 LEFT JOIN billing_transfer p ON p.key = g.id || ':paid'
 LEFT JOIN billing_transfer rb ON rb.key = CASE WHEN g.corrected_cost IS NOT NULL THEN g.id || ':bonus:reversed' END
 LEFT JOIN billing_transfer rp ON rp.key = CASE WHEN g.corrected_cost IS NOT NULL THEN g.id || ':paid:reversed' END
 LEFT JOIN LATERAL (
  SELECT sum(CASE WHEN t.key LIKE '%%:paid' THEN m.change END) AS paid,
   sum(CASE WHEN t.key LIKE '%%:bonus' THEN m.change END) AS bonus
  FROM proxy_rerate r
  JOIN billing_transfer t
   ON t.key = ANY(ARRAY['rerate:' || r.id || ':' || g.id || ':paid', 'rerate:' || r.id || ':' || g.id || ':bonus'])
  CROSS JOIN LATERAL (SELECT CASE t.kind WHEN 'rerate' THEN -t.amount ELSE t.amount END AS change) m
  WHERE g.corrected_cost IS NOT NULL AND r.model_id = g.model_id AND r.state IN ('posting', 'done')
   AND g.id > r.first_id AND g.id < r.end_id
 ) c ON true
 LEFT JOIN billing_hold h ON h.key = g.id
 LEFT JOIN proxy_job j ON g.state = 'held' AND j.generation_id = g.id AND j.ended_at IS NULL
 LEFT JOIN billing_wallet w ON w.customer_id = g.customer_id
 LEFT JOIN accounts_apikey k ON k.id = g.key_id AND k.customer_id = g.customer_id
 LEFT JOIN accounts_childkey y ON y.key_id = g.key_id
 LEFT JOIN proxy_model m ON m.id = g.model_id
 LEFT JOIN proxy_price v ON v.id = g.price_id AND v.model_id = g.model_id
 LEFT JOIN proxy_upstream u ON u.id = g.upstream_id
) found
WHERE charged <> due OR given_back <> coalesce(correction, 0) OR paid_left < 0 OR bonus_left < 0 OR is_beyond
 OR hold_state IS DISTINCT FROM hold_due OR NOT same OR NOT whole OR NOT grown
ORDER BY id"""
OPEN_HOLDS = """
SELECT h.customer_id, h.key FROM billing_hold h LEFT JOIN proxy_generation g ON g.id = h.key
WHERE h.customer_id = %s AND h.state = 'open' AND h.kind IN ('request', 'job') AND g.id IS NULL ORDER BY h.key"""
HOLDS = """
SELECT h.customer_id, h.key FROM {page} h LEFT JOIN proxy_generation g ON g.id = h.key
WHERE h.kind IN ('request', 'job') AND g.id IS NULL ORDER BY h.key"""
RERATES = f"('{Kind.RERATE}', '{Kind.RERATE_UP}')"
CHARGES = f"""
SELECT t.key, g.id IS NULL FROM {{page}} t LEFT JOIN proxy_generation g
 ON g.id = split_part(t.key, ':', CASE WHEN t.kind IN {RERATES} THEN 3 ELSE 1 END)
WHERE t.kind IN ('{Kind.USAGE}', '{Kind.USAGE_BONUS}') AND g.id IS NULL
 OR (t.kind = '{Kind.REVERSAL}' OR t.kind IN {RERATES}) AND g.corrected_cost IS NULL
ORDER BY t.id"""


def check_generations(customer_id: int | None) -> Iterator[str]:
    """Requests of a customer against their holds and charges; for everybody, also holds and charges of no request."""
    for customer, key, state, cost, charged, given_back, hold_state, is_whole, has_grown in pages(
        GENERATIONS, table="proxy_generation", key="id", first="", customer_id=customer_id
    ):
        at = "" if cost is None else f" at {cost:f}"
        said = f"customer {customer}: request {key} is {state}{at}, charged {charged:f},"
        said += f" {given_back:f} of it given back," if given_back else ""
        said += f" its hold is {hold_state or 'missing'}"
        if not has_grown:
            said += ", what is held for it is not what its changes came to"
        yield said if is_whole else f"{said}, and it names a key, model, price, upstream or wallet that is not there"
    for customer, key in _holds(customer_id):
        yield f"customer {customer}: hold {key} belongs to no request"
    if customer_id is None:
        for key, is_stray in pages(CHARGES, table="billing_transfer", key="id", first=0):
            yield (
                f"the charge {key} belongs to no request" if is_stray else f"{key} is not taken off its request's cost"
            )


def _holds(customer_id: int | None) -> Iterator[tuple[int, str]]:
    if customer_id is None:
        yield from pages(HOLDS, table="billing_hold", key="key", first="")
        return
    with snapshot() as cursor:
        cursor.execute(OPEN_HOLDS, [customer_id])
        rows = cursor.fetchall()
    yield from rows
