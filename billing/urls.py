from django.urls import path

from billing import api, invoice_api, invoice_views, views

urlpatterns = [
    path("console/transactions", views.transactions, name="transactions"),
    path("help/billing", views.help_billing, name="help-billing"),
    path("console/invoices", invoice_views.invoice_list, name="invoices"),
    path("console/invoices/<slug:number>", invoice_views.invoice_show, name="invoice-show"),
    path("console/invoices/<slug:number>/cancel", invoice_views.invoice_cancel, name="invoice-cancel"),
    path(
        "console/invoices/<slug:number>/documents/<int:document_id>",
        invoice_views.invoice_document,
        name="invoice-document",
    ),
    path("v1/invoice-requests", invoice_api.InvoiceListView.as_view(), name="api-invoices"),
    path("v1/invoice-requests/<slug:number>", invoice_api.InvoiceView.as_view(), name="api-invoice"),
    path(
        "v1/invoice-requests/<slug:number>/cancel", invoice_api.InvoiceCancelView.as_view(), name="api-invoice-cancel"
    ),
    path("v1/credits", api.CreditsView.as_view(), name="api-credits"),
    path("v1/transactions", api.TransactionsView.as_view(), name="api-transactions"),
]
