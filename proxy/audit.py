"""The audit's look at generations: what was settled was charged, and what is open has an open hold."""

from collections.abc import Iterator

from django.db.backends.utils import CursorWrapper

from billing.audit import pages

GENERATIONS = """
SELECT g.id, g.state, g.held, g.cost, coalesce(b.amount, 0) + coalesce(p.amount, 0), h.state,
 k.id IS NOT NULL AND m.id IS NOT NULL AND v.id IS NOT NULL AND v.model_id = g.model_id
FROM (SELECT * FROM proxy_generation WHERE customer_id = %s AND id > %s ORDER BY id LIMIT %s) g
LEFT JOIN billing_transfer b ON b.key = g.id || ':bonus'
LEFT JOIN billing_transfer p ON p.key = g.id || ':paid'
LEFT JOIN billing_hold h ON h.key = g.id
LEFT JOIN accounts_apikey k ON k.id = g.key_id AND k.customer_id = g.customer_id
LEFT JOIN proxy_model m ON m.id = g.model_id
LEFT JOIN proxy_price v ON v.id = g.price_id
ORDER BY g.id"""
UNRESOLVED = ("held", "metered", "quarantined")


def check_generations(cursor: CursorWrapper, customer_id: int) -> Iterator[str]:
    for key, state, held, cost, charged, hold_state, is_whole in pages(cursor, GENERATIONS, customer_id):
        if charged != ((cost or 0) if state in ("settled", "released") else 0):
            yield f"{key} is {state} at {cost}, charged {charged:f}"
        expected = ("open" if state in UNRESOLVED else "resolved") if held else None
        found = None if hold_state is None else "open" if hold_state == "open" else "resolved"
        if found != expected:
            yield f"{key} is {state}, its hold is {hold_state or 'missing'}"
        if not is_whole:
            yield f"{key} names a key, model or price that is not there"
