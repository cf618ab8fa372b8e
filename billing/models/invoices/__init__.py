from billing.models.invoices.buyers import Buyer
from billing.models.invoices.documents import CreditTask, Document
from billing.models.invoices.requests import InvoiceAllocation, InvoiceRequest, InvoiceSeries

__all__ = ["Buyer", "CreditTask", "Document", "InvoiceAllocation", "InvoiceRequest", "InvoiceSeries"]
