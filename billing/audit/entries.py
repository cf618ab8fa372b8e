"""The audit's look at journal entries: what was posted, and only that, stands in the books as it was approved."""

from collections.abc import Iterator

from billing.audit.run import pages, snapshot

ENTRIES = """
SELECT e.id, e.state, e.amount, e.currency, t.amount, t.currency
FROM {page} e LEFT JOIN billing_transfer t ON t.key = 'entry:' || e.id
WHERE (e.state = 'posted') <> (t.id IS NOT NULL)
 OR (t.kind, t.debit_id, t.credit_id, t.currency, t.amount)
  IS DISTINCT FROM ('entry', e.debit_id, e.credit_id, e.currency, e.amount) AND t.id IS NOT NULL
ORDER BY e.id"""
STRAYS = """
SELECT t.key FROM billing_transfer t LEFT JOIN billing_journalentry e ON t.key = 'entry:' || e.id
WHERE t.key >= 'entry:' AND t.key < 'entry;' AND e.id IS NULL ORDER BY t.id"""


def check_entries(customer_id: int | None) -> Iterator[str]:
    """Each posted entry has its transfer, no other has one, and no transfer of that key is without its entry."""
    if customer_id is not None:
        return
    for pk, state, amount, currency, posted, posted_in in pages(
        ENTRIES, table="billing_journalentry", key="id", first=0
    ):
        found = f"the books have {posted:f} {posted_in}" if posted is not None else "the books have none"
        yield f"journal entry {pk} is {state} with {amount:f} {currency}: {found}, or between other accounts"
    with snapshot() as cursor:
        cursor.execute(STRAYS)
        strays = cursor.fetchall()
    for (key,) in strays:
        yield f"{key} was posted without a journal entry"
