"""The staff desk: what can be called, at what price, and what was called."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts.customers import customers_with
from chuizi.adminsite import ByRight, CappedPaginator, ExactSearch, FormAdmin, ReadOnlyAdmin, form_page, record, row_id
from proxy.loading import InvalidCatalog, check_protocol, checked_base_url, set_price
from proxy.models import Generation, Lease, Model, Price, Route, Upstream
from proxy.priceform import PriceForm

MANAGE = "proxy.manage_upstreams"
STATE_COLOURS = {
    "held": "warning",
    "metered": "info",
    "settled": "success",
    "released": "default",
    "quarantined": "danger",
}


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]
    new_api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Write-only. Empty: the key stays as it is."),
    )

    class Meta:
        model = Upstream
        fields = (
            "name",
            "protocol",
            "kind",
            "account",
            "base_url",
            "priority",
            "timeout_seconds",
            "total_timeout_seconds",
            "bills_abandoned",
            "is_active",
        )

    def clean_base_url(self) -> str:
        try:
            return checked_base_url(self.cleaned_data["base_url"], _("This upstream"))
        except InvalidCatalog as error:
            raise ValidationError(str(error)) from None

    def clean(self) -> None:
        super().clean()
        data = self.cleaned_data
        if data.get("is_active") and "protocol" in data and "kind" in data:
            try:
                check_protocol(data["protocol"], data["kind"], _("This upstream"))
            except InvalidCatalog as error:
                raise ValidationError(str(error)) from None

    def save(self, commit: bool = True) -> Upstream:
        upstream: Upstream = super().save(commit=False)
        if self.cleaned_data["new_api_key"]:
            upstream.api_key = self.cleaned_data["new_api_key"]
        if commit:
            upstream.save()
        return upstream


@admin.register(Upstream)
class UpstreamAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    """Nobody deletes one: requests name it. It is made inactive."""

    right = MANAGE
    form = UpstreamForm
    list_display = ("name", "protocol", "kind", "base_url", "priority", "is_active")
    search_fields = ("name",)
    actions = None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        has_key = bool(obj is not None and obj.api_key)
        form.base_fields["new_api_key"].widget.attrs["placeholder"] = "••••••••" if has_key else ""
        return form


class RouteInline(ByRight, TabularInline):  # type: ignore[misc]
    model = Route
    right = MANAGE
    extra = 0
    autocomplete_fields = ("upstream",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(self.right))


class PriceInline(TabularInline):  # type: ignore[misc]
    """Every price there ever was: requests are charged at the one they were held at."""

    model = Price
    extra = 0
    fields = ("version", "billing", "rates", "tiers", "margin", "created_at", "created_by")
    readonly_fields = fields
    ordering = ("-version",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Model)
class ModelModelAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    right = MANAGE
    list_display = ("slug", "name", "max_output_tokens", "context_window", "is_active")
    list_filter = ("is_active",)
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("created_at",)
    inlines = (RouteInline, PriceInline)
    actions = None
    actions_detail = ("new_price",)

    def has_price_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("proxy.set_prices"))

    @action(description=gettext_lazy("New price"), icon="sell", permissions=["price"])
    def new_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        model = get_object_or_404(Model, pk=row_id(object_id))
        newest = model.prices.order_by("-version").first()
        form = PriceForm(request.POST) if request.method == "POST" else PriceForm(initial=PriceForm.initial_of(newest))
        if request.method == "POST" and form.is_valid():
            try:
                with transaction.atomic():
                    changed = set_price(model, form.price(), where=model.slug, created_by=request.user)
                    if changed:
                        record(request, model, "New price")
            except InvalidCatalog as error:
                form.add_error(None, str(error))
            else:
                if changed:
                    messages.success(request, _("The new price holds for requests from now on."))
                else:
                    messages.info(request, _("That is the price already; nothing was changed."))
                return redirect("admin:proxy_model_change", model.pk)
        text = _("USD before the margin. Requests on their way keep the price they were held at.")
        return form_page(
            request,
            model_admin=self,
            obj=model,
            form=form,
            title=_("New price of %(model)s") % {"model": model.slug},
            button=_("Set price"),
            text=text,
        )


class FlaggedFilter(admin.SimpleListFilter):
    """A choice without a count behind it."""

    title = gettext_lazy("for staff")
    parameter_name = "flagged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", gettext_lazy("to look at"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        return queryset.filter(is_flagged=True) if self.value() == "1" else queryset


@admin.register(Generation)
class GenerationAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = ("id", "created_at", "customer", "model", "coloured_state", "held", "cost", "settlement_reason")
    list_select_related = ("customer", "model")
    list_filter = ("state", FlaggedFilter)
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = gettext_lazy("An id in full (gen-...), or a member's email address.")
    list_per_page = 50
    paginator = CappedPaginator

    @display(description=gettext_lazy("State"), label=STATE_COLOURS)
    def coloured_state(self, generation: Generation) -> tuple[str, str]:
        return generation.state, generation.get_state_display()

    def found(self, term: str) -> Q:
        if "@" in term:
            return Q(customer_id__in=customers_with(term))
        return Q(pk=term)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("host", "started_at", "renewed_at")
    ordering = ("-renewed_at",)
