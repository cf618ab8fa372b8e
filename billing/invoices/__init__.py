"""Invoices: asked by the customer, made or recorded by staff, taken back by credit notes; never changed.

This package alone writes requests, allocations, documents and tasks. It knows no provider: payments registers what was
paid (`register`) and says when invoiced money goes back (`need_credit`). Every act is keyword-only, takes `now`, raises
`InvoiceError` with the field at fault, and writes nothing then. Lock order: the series, the request's row, then its
wallet, which guards everything that is invoiced of a customer.

The customer's side: `sums_of`, `months_of`, `ask`, `cancel`, and the buyer that is kept: `saved`, `keep`, `forget`. The
desk's: `preview`, `issue` or `record_fapiao`, `deny`, `mark_posted`. Finance's: `open_tasks`, `credit`, `override`,
`reissue`. Payments': `register`, `claimed`, `need_credit`, `open_tasks_for`.
"""

from billing.invoices.asking import FAPIAO_CURRENCY, ask, cancel, checked_amount, of_customer
from billing.invoices.buyer.countries import countries
from billing.invoices.buyer.details import Details, checked
from billing.invoices.buyer.saved import forget, keep, saved
from billing.invoices.core import InvoiceError, NotAllowed, NotMovable
from billing.invoices.crediting import (
    LOOK_AGAIN,
    credit,
    need_credit,
    open_tasks,
    open_tasks_for,
    override,
    reissue,
)
from billing.invoices.deciding import deny, issue, mark_posted, preview, record_fapiao
from billing.invoices.papers.documents import seller_in_use, series_in_use
from billing.invoices.payments import Invoiceable, Month, Sum, currencies, invoiceable, months, months_of, sums_of
from billing.invoices.sources import Source, claimed, register

__all__ = [
    "FAPIAO_CURRENCY",
    "LOOK_AGAIN",
    "Details",
    "InvoiceError",
    "Invoiceable",
    "Month",
    "NotAllowed",
    "NotMovable",
    "Source",
    "Sum",
    "ask",
    "cancel",
    "checked",
    "checked_amount",
    "claimed",
    "countries",
    "credit",
    "currencies",
    "deny",
    "forget",
    "invoiceable",
    "issue",
    "keep",
    "mark_posted",
    "months",
    "months_of",
    "need_credit",
    "of_customer",
    "open_tasks",
    "open_tasks_for",
    "override",
    "preview",
    "record_fapiao",
    "register",
    "reissue",
    "saved",
    "seller_in_use",
    "series_in_use",
    "sums_of",
]
