"""The rooms of the desk, each of which registers what it shows."""

from desk import people, webhooks
from desk.bills import pages as bills
from desk.books import adjustments, codes, entries, events, ledger, mail, months
from desk.books import statements as months_of_customers
from desk.customers import page as customers
from desk.gateway import catalog, claims, groups, margin, price_proposals, purchases, requests, rerates
from desk.invoices import queue as invoices
from desk.payments import automatic, disputes, rates, statements, topups
from desk.refunds import queue as refunds
from desk.upstreams import page as upstreams

ROOMS = (
    people, customers, ledger, adjustments, codes, entries, months, months_of_customers, events, mail, webhooks,
    invoices, topups, automatic, refunds, disputes, statements, rates, catalog, groups, margin, price_proposals,
    purchases, bills, requests, claims, rerates, upstreams,
)  # fmt: skip
