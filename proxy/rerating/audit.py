"""The audit's look at re-ratings: what each says that it posted stands in the books. Request by request,
`proxy/settlement/audit.py` compares charges and corrections with the corrected cost.
"""

from collections.abc import Iterator

from billing.audit.run import pages, snapshot

RERATES = """
SELECT r.id, r.state, s.given_back, s.taken, t.given_back, t.taken FROM {page} r
CROSS JOIN LATERAL (
 SELECT coalesce(sum(given_back), 0) AS given_back, coalesce(sum(taken), 0) AS taken
 FROM proxy_rerateshare WHERE rerate_id = r.id
) s
CROSS JOIN LATERAL (
 SELECT coalesce(sum(amount) FILTER (WHERE kind = 'rerate'), 0) AS given_back,
  coalesce(sum(amount) FILTER (WHERE kind <> 'rerate'), 0) AS taken
 FROM billing_transfer WHERE key >= 'rerate:' || r.id || ':' AND key < 'rerate:' || r.id || ';'
) t
WHERE (s.given_back, s.taken) <> (t.given_back, t.taken) ORDER BY r.id"""
STRAYS = """
SELECT t.key FROM billing_transfer t
WHERE t.key >= 'rerate:' AND t.key < 'rerate;'
 AND NOT EXISTS (SELECT FROM proxy_rerate r WHERE r.id = split_part(t.key, ':', 2)::bigint
  AND r.state IN ('posting', 'done'))
ORDER BY t.id LIMIT 100"""


def check_rerates(customer_id: int | None) -> Iterator[str]:
    """Each re-rating's shares against its transfers, and that no transfer is of none."""
    if customer_id is not None:
        return
    for pk, state, back, taken, posted_back, posted_up in pages(
        RERATES, table="proxy_rerate", key="id", first=0, most=1
    ):
        yield (
            f"re-rating {pk} is {state}, its shares gave back {back:f} and took {taken:f}:"
            f" the books have {posted_back:f} and {posted_up:f}"
        )
    with snapshot() as cursor:
        cursor.execute(STRAYS)
        strays = cursor.fetchall()
    for (key,) in strays:
        yield f"{key} was posted by no re-rating"
