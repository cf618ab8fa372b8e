"""What every staff page shares: read-only models, lists that do not count, acts with a form, the sidebar."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from core import panels

MOST_COUNTED = 5_000


MOST_DIGITS = 18


class Colours(dict[str, str]):
    """The colour of a tag by its state, grey where none is named. Of a missing one Unfold shows the bare code."""

    def __missing__(self, code: str) -> str:
        return "default"


def asked_once(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """A decorator of what asks the database about an object for its page: Unfold shows each field five times."""
    kept = f"_shown_{show.__module__}_{show.__name__}"

    @wraps(show)
    def shown(obj: Any) -> str:
        if kept not in obj.__dict__:
            obj.__dict__[kept] = show(obj)
        text: str = obj.__dict__[kept]
        return text

    return shown


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than a few thousand rows: a count of all requests would outlive a query's time."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_COUNTED].count())


class Offering:
    """Mixed into a `ModelAdmin`: of the acts on an object, those are offered that can be done with it now."""

    def offers(self, obj: Any, act: str) -> bool:
        """Whether the act of this name is of use; who comes by its address all the same is refused in words."""
        return True

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        admin_of: Any = self
        parent: Any = super()
        actions = parent.get_actions_detail(request, object_id)
        obj = admin_of.get_object(request, str(object_id)) if actions else None
        prefix = f"{admin_of.opts.app_label}_{admin_of.opts.model_name}_"
        return [one for one in actions if obj is not None and self.offers(obj, one.action_name.removeprefix(prefix))]


class FormAdmin(Offering, ModelAdmin):  # type: ignore[misc]
    """What is kept by a form, which asks why; the answer goes with the staff action."""

    change_form_after_template = "admin/why.html"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """A form is saved as a whole row: locked from here on, what became of it meanwhile, a suspension, is kept."""
        obj = super().get_object(request, object_id, from_field)
        if obj is not None and request.method == "POST" and connection.in_atomic_block:
            obj.refresh_from_db(from_queryset=self.model._default_manager.select_for_update(no_key=True))
        return obj


class ReadOnlyAdmin(Offering, ModelAdmin):  # type: ignore[misc]
    """To look at; the domain's functions are the only writers."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_max_show_all = 0
    actions = None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Addresses are kept in small letters."""
        term = search_term.lower() if "@" in search_term else search_term
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, term)
        return found

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ExactSearch:
    """A list that finds by names in full, each through an index. `search_fields` only makes the search box appear."""

    def found(self, term: str) -> Q:
        """What a term names; never empty, without NUL."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        return (queryset.filter(self.found(term)) if term else queryset), False


class ByRight:
    """Mixed into a `ModelAdmin` or an inline: who has this one right may write; nobody deletes."""

    right: str

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.right)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.right)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        parent: Any = super()
        return request.user.has_perm(self.right) or bool(parent.has_view_permission(request, obj))


class NamedFields:
    """Mixed into an inline: in a table the column's title names no field for a screen reader."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        parent: Any = super()
        field = parent.formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            widget = getattr(field.widget, "widget", field.widget)
            widget.attrs["aria-label"] = str(capfirst(field.label or db_field.verbose_name))
        return field


class WhyForm(forms.Form):
    """Asks for nothing but why."""

    why = forms.CharField(label=_("Why"), max_length=500, widget=UnfoldAdminTextareaWidget)


class ReasonForm(forms.Form):
    """Asks for what the books are to say of it."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
        help_text=_("For the books; staff alone read it."),
    )


def form_page(
    request: HttpRequest,
    *,
    model_admin: ModelAdmin,
    obj: Model | None,
    form: forms.Form,
    title: str,
    button: str,
    text: str = "",
) -> HttpResponse:
    """A page of the staff desk with one form and one button, about one object, or about none yet."""
    opts = model_admin.opts if obj is None else obj._meta
    rows = f"admin:{opts.app_label}_{opts.model_name}"
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": opts,
        "original": obj,
        "object": obj,
        "form": form,
        "button": button,
        "text": text,
        "back": reverse(f"{rows}_changelist") if obj is None else reverse(f"{rows}_change", args=[obj.pk]),
        "media": model_admin.media + form.media,
    }
    return TemplateResponse(request, "admin/act.html", context)


def row_id(text: str) -> int:
    """The id that a form or an address names; 0, which no row has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


def record(request: HttpRequest, obj: Model, message: str) -> None:
    """Write into the object's history who did what; the first page counts anew."""
    panels.forget()
    actor: Any = request.user
    LogEntry.objects.log_actions(
        user_id=actor.pk, queryset=[obj], action_flag=CHANGE, change_message=message, single_object=True
    )


SIDEBAR = (
    (
        _("People"),
        (
            (_("Customers"), "group", "accounts_customer"),
            (_("Customer groups"), "groups", "accounts_customergroup"),
            (_("Users"), "person", "accounts_user"),
            (_("API keys"), "key", "accounts_apikey"),
            (_("Email addresses"), "mail", "account_emailaddress"),
            (_("Welcomed addresses"), "redeem", "accounts_welcomedaddress"),
            (_("Staff actions"), "fingerprint", "accounts_staffaction"),
        ),
    ),
    (
        _("Payments"),
        (
            (_("Refunds"), "undo", "billing_refundrequest"),
            (_("Invoices"), "request_quote", "billing_invoicerequest"),
            (_("Documents"), "description", "billing_document"),
            (_("Disputes"), "gavel", "payments_dispute"),
            (_("Fraud warnings"), "report", "payments_fraudwarning"),
            (_("Top-ups"), "add_card", "payments_topup"),
            (_("Automatic top-ups"), "autorenew", "payments_autotopup"),
            (_("Saved cards"), "credit_card", "payments_savedcard"),
            (_("Notifications"), "inbox", "payments_notification"),
            (_("Discrepancies"), "rule", "payments_discrepancy"),
            (_("Statements"), "description", "payments_statement"),
            (_("Statement lines"), "list", "payments_statementline"),
            (_("Exchange rates"), "currency_exchange", "payments_exchangerate"),
            (_("Invoice series"), "tag", "billing_invoiceseries"),
        ),
    ),
    (
        _("Books"),
        (
            (_("Wallets"), "account_balance_wallet", "billing_wallet"),
            (_("Transfers"), "swap_horiz", "billing_transfer"),
            (_("Adjustments"), "tune", "billing_adjustmentproposal"),
            (_("Codes"), "redeem", "billing_codebatch"),
            (_("Journal entries"), "edit_note", "billing_journalentry"),
            (_("Holds"), "lock_clock", "billing_hold"),
            (_("Budgets"), "savings", "billing_budget"),
            (_("Accounts"), "account_balance", "billing_ledgeraccount"),
            (_("Months"), "lock", "billing_monthlock"),
            (_("Days"), "calendar_month", "billing_accountday"),
            (_("Customers' statements"), "calendar_view_month", "billing_monthstatement"),
            (_("Receipts and PDFs"), "draft", "billing_paper"),
            (_("Audits"), "fact_check", "billing_auditrun"),
            (_("Facts"), "outbox", "billing_event"),
            (_("Unread facts"), "mark_email_unread", "billing_unread"),
            (_("Mail"), "outgoing_mail", "billing_mail"),
            (_("Webhook endpoints"), "webhook", "webhooks_endpoint"),
            (_("Webhook deliveries"), "outbound", "webhooks_delivery"),
            (_("Alerts"), "notifications_active", "billing_alert"),
            (_("Alert posts"), "send", "billing_alertpost"),
        ),
    ),
    (
        _("Gateway"),
        (
            (_("Requests"), "receipt_long", "proxy_generation"),
            (_("Models and prices"), "sell", "proxy_model"),
            (_("Price proposals"), "price_change", "proxy_priceproposal"),
            (_("Re-ratings"), "calculate", "proxy_rerate"),
            (_("Upstreams"), "cloud", "proxy_upstream"),
            (_("Margin"), "percent", "proxy_marginday"),
            (_("Purchases"), "shopping_cart", "proxy_purchasebatch"),
            (_("Upstreams' bills"), "receipt", "proxy_upstreambill"),
            (_("Attempts"), "alt_route", "proxy_attempt"),
            (_("Claims not believed"), "report", "proxy_claim"),
            (_("Gateway leases"), "dns", "proxy_lease"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: what is registered, and what this person may see, by subject."""
    visible = {
        f"{model['model']._meta.label_lower}".replace(".", "_")
        for app in admin.site.get_app_list(request)
        for model in app["models"]
    }
    groups = []
    for title, items in SIDEBAR:
        links = [
            {"title": name, "icon": icon, "link": link}
            for name, icon, model in items
            if model in visible and (link := _link(model)) is not None
        ]
        if links:
            groups.append({"title": title, "separator": True, "items": links})
    return groups


def _link(model: str) -> str | None:
    try:
        return reverse(f"admin:{model}_changelist")
    except NoReverseMatch:
        return None
