"""Paths of the pages for customers and visitors."""

from django.urls import path

from console import home, refunds, security, topups, transactions
from console.automatic.page import auto_topup
from console.budgets import page as budgets
from console.codes import page as codes
from console.invoices import pages as invoices
from console.invoices.buyer import invoice_buyer
from console.keys import one
from console.keys import pages as keys
from console.people import joining, team
from console.settings import alerts
from console.settings import page as settings
from console.start.page import start
from console.statements import page as statements
from console.usage import page as usage
from console.webhooks import pages as webhooks

urlpatterns = [
    path("favicon.ico", home.favicon),
    path("", home.landing, name="landing"),
    path("models", home.models, name="models"),
    path("help/billing", transactions.help_billing, name="help-billing"),
    path("language", keys.set_language, name="set_language"),
    path("accounts/sessions/", security.sessions, name="sessions"),
    path("accounts/switch", joining.switch, name="switch"),
    path("accounts/invitations", joining.invitations, name="invitations"),
    path("accounts/invitations/<slug:token>", joining.invitation, name="invitation"),
    path("console", home.console_without_slash),
    path("console/", home.console, name="console"),
    path("console/start", start, name="start"),
    path("console/usage", usage.usage, name="usage"),
    path("console/usage.csv", usage.download, name="usage-csv"),
    path("console/usage/<str:generation_id>", home.receipt, name="receipt"),
    path("console/transactions", transactions.transactions, name="transactions"),
    path("console/statements", statements.statement_list, name="statements"),
    path("console/statements/<str:month>.csv", statements.statement_csv, name="statement-csv"),
    path("console/statements/<str:month>.pdf", statements.statement_pdf, name="statement-pdf"),
    path("console/statements/<str:month>", statements.statement_show, name="statement"),
    path("console/code", codes.code_enter, name="code"),
    path("console/keys", keys.key_list, name="keys"),
    path("console/keys/<int:key_id>", one.key_show, name="key"),
    path("console/keys/<int:key_id>/rotate", one.key_rotate, name="key-rotate"),
    path("console/keys/<int:key_id>/switch", keys.key_switch, name="key-switch"),
    path("console/keys/<int:key_id>/delete", keys.key_delete, name="key-delete"),
    path("console/team", team.team, name="team"),
    path("console/team/invitations/<int:invitation_id>", team.team_invitation, name="team-invitation"),
    path("console/team/<int:member_id>", team.team_member, name="team-member"),
    path("console/team/<int:member_id>/caps", team.team_caps, name="team-caps"),
    path("console/team/<int:member_id>/remove", team.team_remove, name="team-remove"),
    path("console/leave", joining.leave, name="leave"),
    path("console/settings", settings.settings_page, name="settings"),
    path("console/settings/time-zone", settings.set_zone, name="settings-zone"),
    path("console/settings/alerts", alerts.set_alerts, name="settings-alerts"),
    path("console/notices/<int:notice_id>/dismiss", alerts.notice_dismiss, name="notice-dismiss"),
    path("console/auto-topup", auto_topup, name="auto-topup"),
    path("console/webhooks", webhooks.webhook_list, name="webhooks"),
    path("console/webhooks/<slug:number>", webhooks.webhook_show, name="webhook-show"),
    path("console/webhooks/<slug:number>/rotate", webhooks.webhook_rotate, name="webhook-rotate"),
    path("console/webhooks/<slug:number>/switch", webhooks.webhook_switch, name="webhook-switch"),
    path("console/webhooks/<slug:number>/test", webhooks.webhook_test, name="webhook-test"),
    path("console/webhooks/<slug:number>/delete", webhooks.webhook_delete, name="webhook-delete"),
    path(
        "console/webhooks/<slug:number>/deliveries/<slug:delivery>/replay",
        webhooks.webhook_replay,
        name="webhook-replay",
    ),
    path("console/budgets", budgets.budget_list, name="budgets"),
    path("console/budgets/<int:budget_id>/end", budgets.budget_end, name="budget-end"),
    path("console/topup", topups.topup_new, name="topup"),
    path("console/topup/<slug:number>", topups.topup_show, name="topup-show"),
    path("console/topup/<slug:number>/state", topups.topup_state, name="topup-state"),
    path("console/topup/<slug:number>/cancel", topups.topup_cancel, name="topup-cancel"),
    path("console/topup/<slug:number>/receipt.pdf", topups.topup_receipt, name="topup-receipt"),
    path("console/refunds", refunds.refund_list, name="refunds"),
    path("console/refunds/<slug:number>", refunds.refund_show, name="refund-show"),
    path("console/refunds/<slug:number>/cancel", refunds.refund_cancel, name="refund-cancel"),
    path("console/invoices", invoices.invoice_list, name="invoices"),
    path("console/invoices/buyer", invoice_buyer, name="invoice-buyer"),
    path("console/invoices/<slug:number>", invoices.invoice_show, name="invoice-show"),
    path("console/invoices/<slug:number>/cancel", invoices.invoice_cancel, name="invoice-cancel"),
    path(
        "console/invoices/<slug:number>/documents/<int:document_id>", invoices.invoice_document, name="invoice-document"
    ),
]
