"""The audit's look at invoices: requests, their allocations, their documents and the series' numbers say the same."""

import hashlib
from collections.abc import Iterator

from billing.audit.run import pages, snapshot
from billing.models import Document

REQUESTS = """
SELECT r.customer_id, r.number, r.state, r.amount, r.credited, a.amount, a.credited, d.first, d.back, d.net
FROM {page} r
CROSS JOIN LATERAL (
 SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(credited), 0) AS credited
 FROM billing_invoiceallocation WHERE request_id = r.id
) a
CROSS JOIN LATERAL (
 SELECT coalesce(sum(gross) FILTER (WHERE gross > 0), 0) AS first,
  coalesce(-sum(gross) FILTER (WHERE gross < 0), 0) AS back, coalesce(sum(net), 0) AS net
 FROM billing_document WHERE request_id = r.id
) d
WHERE a.amount <> r.amount OR a.credited <> r.credited OR d.back <> r.credited
 OR (r.state = 'credited' AND d.net <> 0)
 OR d.first <> CASE WHEN r.state IN ('requested', 'denied', 'cancelled') THEN 0 ELSE r.amount END
ORDER BY r.id"""
SERIES = """
SELECT s.prefix, s.next_number, count(d.id), min(d.sequence), max(d.sequence)
FROM billing_invoiceseries s JOIN billing_document d ON d.series_id = s.id
GROUP BY s.id HAVING max(d.sequence) <> s.next_number - 1 OR max(d.sequence) - min(d.sequence) + 1 <> count(d.id)
ORDER BY s.id"""
CHUNK = 200


def check_invoices(customer_id: int | None) -> Iterator[str]:
    """Invoices of a customer or of everybody; for everybody, also that no number is missing and no file was changed."""
    for customer, number, state, amount, credited, parts, parts_credited, first, back, net in pages(
        REQUESTS, table="billing_invoicerequest", key="id", first=0, customer_id=customer_id
    ):
        yield (
            f"customer {customer}: {number} is {state} over {amount:f} with {credited:f} credited; its payments say"
            f" {parts:f} and {parts_credited:f}, its documents {first:f} and {back:f}, {net:f} of net remain"
        )
    if customer_id is not None:
        return
    with snapshot() as cursor:
        cursor.execute(SERIES)
        found = cursor.fetchall()
    for prefix, next_number, count, lowest, highest in found:
        yield f"series {prefix}: {count} documents from {lowest} to {highest}, the next is {next_number}"
    yield from _changed_files()


def _changed_files() -> Iterator[str]:
    last = 0
    while page := list(Document.objects.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        for document in page:
            if document.sha256 != (hashlib.sha256(bytes(document.content)).hexdigest() if document.content else ""):
                yield f"customer {document.customer_id}: the file of {document.number} is not what was made"
        last = page[-1].pk
