"""The staff desk: the books, to look at. Nothing is written here."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import Membership
from billing.models import Hold, LedgerAccount, Transfer, Wallet
from chuizi.adminsite import ReadOnlyAdmin

STATE_COLOURS = {"open": "warning", "captured": "success", "released": "default"}


def customers_with(email: str) -> list[int]:
    """The customers that have a member with that address."""
    return list(Membership.objects.filter(user__email=email.strip().lower()).values_list("customer_id", flat=True))


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "currency", "customer")
    list_select_related = ("customer",)
    list_filter = ("kind", "currency")
    search_fields = ("name",)
    ordering = ("kind", "name")


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("customer", "paid", "bonus", "held", "free", "topped_up")
    list_select_related = ("customer",)
    ordering = ("-customer_id",)
    search_fields = ("=customer__members__email", "customer__name")
    search_help_text = _("A member's email address, or the customer's name.")
    fields = ("customer", "paid", "bonus", "held", "free", "exposure", "topped_up")

    @display(description=_("Available"))
    def free(self, wallet: Wallet) -> Any:
        return wallet.available


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "kind", "key", "debit", "credit", "amount", "currency")
    list_select_related = ("debit", "credit")
    ordering = ("-id",)
    search_fields = ("key",)  # makes the search box; get_search_results decides
    search_help_text = _("A key or a group in full (topup:7), or a member's email address.")
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transfer], search_term: str
    ) -> tuple[QuerySet[Transfer], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        if "@" in term:
            accounts = list(
                LedgerAccount.objects.filter(customer_id__in=customers_with(term)).values_list("pk", flat=True)
            )
            return queryset.filter(Q(debit_id__in=accounts) | Q(credit_id__in=accounts)), False
        exact = [term, f"{term}:paid", f"{term}:bonus", f"{term}:USD", f"{term}:CNY"]
        return queryset.filter(key__in=exact), False


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("key", "customer", "kind", "coloured_state", "amount", "captured", "created_at", "resolved_at")
    list_select_related = ("customer",)
    ordering = ("-key",)
    search_fields = ("key",)
    search_help_text = _("A key in full (gen-..., refund:7), or a member's email address.")
    list_per_page = 50

    @display(description=_("State"), label=STATE_COLOURS)
    def coloured_state(self, hold: Hold) -> tuple[str, str]:
        return hold.state, hold.get_state_display()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Hold], search_term: str
    ) -> tuple[QuerySet[Hold], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        if "@" in term:
            # Open ones alone have an index by customer; a resolved one is found by its key.
            return queryset.filter(customer_id__in=customers_with(term), state=Hold.State.OPEN), False
        return queryset.filter(key=term), False
