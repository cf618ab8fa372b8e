"""Automatic top-ups in Django admin: what was agreed to, its card, its state and its attempts, all read-only."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import Customer
from accounts.people.customers import customers_with
from desk.site import Colours, ExactSearch, ReadOnlyAdmin, asked_once, row_id
from payments.automatic import agreements
from payments.models import AutoTopUp, SavedCard, TopUp

SHOWN = 5


@admin.register(AutoTopUp)
class AutoTopUpAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = (
        "customer",
        "shown_state",
        "amount",
        "threshold",
        "ceiling",
        "card",
        "waits",
        "off_reason",
        "agreed_at",
    )
    list_filter = ("state", "off_reason", "waits")
    search_fields = ("customer",)
    search_help_text = gettext_lazy("A member's email address, or #12 for a customer.")
    list_select_related = ("customer", "card")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("customer", "state", "waits", "off_reason", "off_at", "card", "attempts")}),
        (gettext_lazy("Terms"), {"fields": ("amount", "threshold", "ceiling", "ends_at")}),
        (
            gettext_lazy("Agreed to"),
            {"fields": ("consent", "consent_version", "agreed_at", "agreed_by", "agreed_from")},
        ),
    )

    def found(self, term: str) -> Q:
        if term.startswith("#"):
            return Q(customer_id=row_id(term[1:]))
        return Q(customer_id__in=customers_with(term))

    @display(description=gettext_lazy("State"), label=Colours(on="success", waiting="warning"))
    def shown_state(self, row: AutoTopUp) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description=gettext_lazy("Attempts"))
    def attempts(self, row: AutoTopUp) -> str:
        return _attempts(TopUp.objects.filter(automatic=row))


@admin.register(SavedCard)
class SavedCardAdmin(ReadOnlyAdmin):
    """What people know a card by, and its state; its number never comes here."""

    list_display = ("customer", "brand", "last4", "state", "provider", "created_at", "changed_at")
    list_filter = ("state", "provider")
    list_select_related = ("customer",)
    ordering = ("-id",)
    exclude = ("setup_url", "request")


@asked_once
def of_customer(customer: Customer) -> str:
    """State and last attempts, for a customer's page."""
    agreement = agreements.current(customer.pk)
    if agreement is None:
        return _("Never agreed to.")
    words = [agreement.get_state_display()]
    words += [str(text) for text in (agreement.get_off_reason_display(), agreement.get_waits_display()) if text]
    link = reverse("admin:payments_autotopup_change", args=[agreement.pk])
    terms = _("$%(amount)s below $%(threshold)s, at most $%(ceiling)s a month") % {
        "amount": agreement.amount,
        "threshold": agreement.threshold,
        "ceiling": agreement.ceiling,
    }
    attempts = _attempts(TopUp.objects.filter(customer=customer, automatic__isnull=False))
    return format_html('<a href="{}">{}</a>: {}. {}{}', link, ", ".join(words), terms, agreement.card, attempts)


def _attempts(rows: Any) -> str:
    found = list(rows.order_by("-id")[:SHOWN])
    lines = [
        (
            reverse("admin:payments_topup_change", args=[row.pk]),
            f"{row.created_at:%Y-%m-%d %H:%M}",
            f"${row.amount}",
            row.get_state_display(),
        )
        for row in found
    ]
    return format_html_join("", '<div><a href="{}">{}</a> {} {}</div>', lines)
