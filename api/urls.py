"""Paths of the REST API, and those that payment providers notify."""

from django.urls import path

from api import auto_topup, balance, budgets, catalog, invoices, members, notifications, refunds, topups, usage
from api.alerts import views as alerts
from api.common.base import unknown_path
from api.keys import views as keys
from api.reference.document import SchemaView
from api.reference.page import reference
from api.statements import views as statements
from api.webhooks import deliveries as webhook_deliveries
from api.webhooks import endpoints as webhooks
from payments.providers import registry

GEMINI = ("v1beta", "gemini/v1beta", "gemini/v1")

urlpatterns = [
    path("v1/keys", keys.KeysView.as_view(), name="api-keys"),
    path("v1/keys/<int:key_id>", keys.KeyView.as_view(), name="api-key"),
    path("v1/members", members.MembersView.as_view(), name="api-members"),
    path("v1/members/<int:member_id>", members.MemberView.as_view(), name="api-member"),
    path("v1/invitations", members.InvitationsView.as_view(), name="api-invitations"),
    path("v1/invitations/<int:invitation_id>", members.InvitationView.as_view(), name="api-invitation"),
    path("v1/keys/<int:key_id>/rotate", keys.RotateView.as_view(), name="api-key-rotate"),
    path("v1/account", balance.AccountView.as_view(), name="api-account"),
    path("v1/budgets", budgets.BudgetsView.as_view(), name="api-budgets"),
    path("v1/budgets/<int:budget_id>", budgets.BudgetView.as_view(), name="api-budget"),
    path("v1/key/info", catalog.KeyInfoView.as_view(), name="api-key-info"),
    path("anthropic/v1/models", catalog.AnthropicModelsView.as_view(), name="api-models"),
    path("anthropic/v1/models/<path:model_id>", catalog.AnthropicModelView.as_view(), name="api-model"),
    *(path(f"{root}/models", catalog.GeminiModelsView.as_view(), name="api-models") for root in GEMINI),
    *(path(f"{root}/models/<path:model_id>", catalog.GeminiModelView.as_view(), name="api-model") for root in GEMINI),
    path("v1/models", catalog.ModelsView.as_view(), name="api-models"),
    path("v1/models/<path:model_id>", catalog.ModelView.as_view(), name="api-model"),
    path("v1/generation", catalog.GenerationView.as_view(), name="api-generation"),
    path("v1/usage", usage.UsageView.as_view(), name="api-usage"),
    path("v1/usage.csv", usage.UsageCsvView.as_view(), name="api-usage-csv"),
    path("v1/credits", balance.CreditsView.as_view(), name="api-credits"),
    path("v1/transactions", balance.TransactionsView.as_view(), name="api-transactions"),
    path("v1/topups/quote", topups.QuoteView.as_view(), name="api-topup-quote"),
    path("v1/topups", topups.TopUpListView.as_view(), name="api-topups"),
    path("v1/topups/<slug:number>", topups.TopUpView.as_view(), name="api-topup"),
    path("v1/topups/<slug:number>/cancel", topups.CancelView.as_view(), name="api-topup-cancel"),
    path("v1/topups/<slug:number>/receipt.pdf", topups.ReceiptView.as_view(), name="api-topup-receipt"),
    path("v1/statements", statements.StatementsView.as_view(), name="api-statements"),
    path("v1/statements/<str:month>.csv", statements.StatementCsvView.as_view(), name="api-statement-csv"),
    path("v1/statements/<str:month>.pdf", statements.StatementPdfView.as_view(), name="api-statement-pdf"),
    path("v1/statements/<str:month>", statements.StatementView.as_view(), name="api-statement"),
    path("v1/auto-topup", auto_topup.AutoTopUpView.as_view(), name="api-auto-topup"),
    path("v1/alerts", alerts.AlertsView.as_view(), name="api-alerts"),
    path("v1/refund-requests", refunds.RefundListView.as_view(), name="api-refunds"),
    path("v1/refund-requests/<slug:number>", refunds.RefundView.as_view(), name="api-refund"),
    path("v1/refund-requests/<slug:number>/cancel", refunds.RefundCancelView.as_view(), name="api-refund-cancel"),
    path("v1/invoice-requests", invoices.InvoiceListView.as_view(), name="api-invoices"),
    path("v1/invoice-requests/<slug:number>", invoices.InvoiceView.as_view(), name="api-invoice"),
    path("v1/invoice-requests/<slug:number>/cancel", invoices.InvoiceCancelView.as_view(), name="api-invoice-cancel"),
    path("v1/webhooks", webhooks.EndpointsView.as_view(), name="api-webhooks"),
    path("v1/webhooks/<slug:number>", webhooks.EndpointView.as_view(), name="api-webhook"),
    path("v1/webhooks/<slug:number>/rotate", webhooks.RotateView.as_view(), name="api-webhook-rotate"),
    path("v1/webhooks/<slug:number>/test", webhook_deliveries.TestView.as_view(), name="api-webhook-test"),
    path(
        "v1/webhooks/<slug:number>/deliveries",
        webhook_deliveries.DeliveriesView.as_view(),
        name="api-webhook-deliveries",
    ),
    path(
        "v1/webhooks/<slug:number>/deliveries/<slug:delivery>/replay",
        webhook_deliveries.ReplayView.as_view(),
        name="api-webhook-replay",
    ),
    *(
        path(address.removeprefix("/"), notifications.notify, {"provider": spec.code})
        for spec in registry.SPECS.values()
        for address in spec.notify_paths
    ),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", reference, name="api-docs"),
    path("v1/<path:rest>", unknown_path),
]
