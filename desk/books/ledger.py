"""The staff desk: the books, to look at. Nothing is written here."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from accounts.people.customers import customers_with
from billing.books import adjustments
from billing.books.small_debts import small_debts
from billing.budgets.figures import figures_of
from billing.models import AccountDay, Alert, AlertPost, AuditRun, Budget, Hold, LedgerAccount, Transfer, Wallet
from billing.months import journal, periods
from core.web.streaming import csv_answer
from desk.books import adjustments as adjustment_admin
from desk.queues import Queue
from desk.site import Colours, ExactSearch, ReadOnlyAdmin, row_id

STATE_COLOURS = Colours(open="warning", captured="success")


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "currency", "customer")
    list_select_related = ("customer",)
    list_filter = ("kind", "currency")
    search_fields = ("name",)
    ordering = ("kind", "name")
    fields = ("name", "kind", "currency", "customer", "balance", "rows")
    readonly_fields = ("balance", "rows")

    @display(description=_("Credits less debits"))
    def balance(self, account: LedgerAccount) -> str:
        """Of the house; a customer's stands on the wallet."""
        found = journal.house_balances(account.name) if account.kind == LedgerAccount.Kind.SYSTEM else []
        return next((f"{one.amount:,.2f} {account.currency}" for one in found if one.account == account), "-")

    @display(description=_("Rows"))
    def rows(self, account: LedgerAccount) -> str:
        """The way from a figure of the first page to what it sums up."""
        transfers, days = reverse("admin:billing_transfer_changelist"), reverse("admin:billing_accountday_changelist")
        links = (
            (_("credited"), f"{transfers}?credit__id__exact={account.pk}"),
            (_("debited"), f"{transfers}?debit__id__exact={account.pk}"),
            (_("by day"), f"{days}?account__id__exact={account.pk}"),
        )
        return format_html_join(", ", '<a href="{}">{}</a>', ((link, name) for name, link in links))


class SmallDebts(Queue):
    CHOICES = (
        (
            "small",
            _("Small debts to write off"),
            lambda rows: rows.filter(pk__in=small_debts(now=timezone.now()).values("pk")),
        ),
    )


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("customer", "paid", "bonus", "held", "free", "paid_in", "first_paid_at")
    list_filter = (SmallDebts,)
    list_select_related = ("customer",)
    ordering = ("-customer_id",)
    actions_detail = ("write_off",)
    search_fields = ("=customer__members__email", "customer__name")
    search_help_text = _("A member's email address, or the customer's name.")
    fields = (
        *("customer", "paid", "bonus", "held", "free", "exposure"),
        *("paid_in", "first_paid_at", "paid_again", "disputed", "written_off"),
    )

    def offers(self, obj: Wallet, act: str) -> bool:
        return small_debts(now=timezone.now()).filter(pk=obj.pk).exists()

    @display(description=_("Available"))
    def free(self, wallet: Wallet) -> Any:
        return wallet.available

    @action(description=_("Propose to write the debt off"), icon="money_off", permissions=["finance"])
    def write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A small and old debt, all of it; another of finance approves it under Adjustments."""
        wallet = get_object_or_404(Wallet.objects.select_related("customer"), pk=row_id(object_id))
        return adjustment_admin.propose_write_off(request, wallet=wallet, model_admin=self)

    def has_finance_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(adjustments.FINANCE)


@admin.register(Transfer)
class TransferAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = ("id", "created_at", "kind", "amount", "currency", "debit", "credit", "key")
    list_select_related = ("debit", "credit")
    ordering = ("-id",)
    search_fields = ("key",)
    search_help_text = _("A key or a group in full (topup:7), or a member's email address.")
    list_per_page = 50
    actions_list = ("export",)

    @action(description=_("Last month as CSV"), icon="download", url_path="journal")
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The journal of `?month=YYYY-MM`, or of the month before this one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        last = periods.day_of(timezone.now()).replace(day=1) - timedelta(days=1)
        text = request.GET.get("month", f"{last:%Y-%m}")
        if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text):
            messages.error(request, _("A month is written like 2026-10."))
            return redirect("admin:billing_transfer_changelist")
        return csv_answer(request, journal.journal(year=int(text[:4]), month=int(text[5:])), name=f"journal-{text}.csv")

    def found(self, term: str) -> Q:
        if "@" in term:
            accounts = list(
                LedgerAccount.objects.filter(customer_id__in=customers_with(term)).values_list("pk", flat=True)
            )
            return Q(debit_id__in=accounts) | Q(credit_id__in=accounts)
        exact = [term, f"{term}:paid", f"{term}:bonus", f"{term}:USD", f"{term}:CNY"]
        return Q(key__in=exact)


@admin.register(Hold)
class HoldAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = (
        *("key", "customer", "kind", "inside", "coloured_state", "amount", "captured", "created_at", "resolved_at"),
    )
    list_select_related = ("customer",)
    ordering = ("-key",)
    search_fields = ("key",)
    search_help_text = _("A key in full (gen-..., refund:7), or a member's email address.")
    list_per_page = 50

    @display(description=_("State"), label=STATE_COLOURS)
    def coloured_state(self, hold: Hold) -> tuple[str, str]:
        return hold.state, hold.get_state_display()

    def found(self, term: str) -> Q:
        if "@" in term:
            # Open ones alone have an index by customer; a resolved one is found by its key.
            return Q(customer_id__in=customers_with(term), state=Hold.State.OPEN)
        return Q(key=term)


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "customer", "key", "amount", "spent", "held", "left", "expires_at", "ended_at")
    list_select_related = ("customer", "key")
    ordering = ("-id",)
    list_per_page = 50
    fields = (
        *("customer", "key", "amount", "spent", "held", "left", "returned", "counted_on"),
        *("created_at", "expires_at", "ended_at", "ended_reason"),
    )
    readonly_fields = ("spent", "held", "left", "returned")

    @display(description=_("Spent"))
    def spent(self, budget: Budget) -> Decimal:
        return figures_of([budget])[budget.pk].spent

    @display(description=_("Held"))
    def held(self, budget: Budget) -> Decimal:
        return figures_of([budget])[budget.pk].held

    @display(description=_("Left"))
    def left(self, budget: Budget) -> Decimal:
        return figures_of([budget])[budget.pk].left

    @display(description=_("Came back"))
    def returned(self, budget: Budget) -> Decimal:
        return figures_of([budget])[budget.pk].returned


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ("finished_at", "started_at", "customers", "drifts")
    ordering = ("-finished_at",)


@admin.register(AccountDay)
class AccountDayAdmin(ReadOnlyAdmin):
    list_display = ("day", "account", "debits", "credits", "transfers")
    list_select_related = ("account",)
    search_fields = ("account__name__exact",)
    search_help_text = _("An account's name in full, such as revenue:usage.")
    ordering = ("-day", "account_id")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("code", "value", "since", "told_at", "ended_at")
    ordering = ("-id",)


@admin.register(AlertPost)
class AlertPostAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "message_id", "sent_at", "attempts", "problem")
    ordering = ("-id",)
