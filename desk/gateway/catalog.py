"""The staff desk: what can be called, at what price, and what was called."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget

from billing.books.money import shown
from core.clock import database_now
from desk.gateway import price_words
from desk.gateway.cost_form import cost_page
from desk.gateway.price_form import PriceForm, example_of
from desk.site import (
    ByRight,
    FormAdmin,
    form_page,
    record,
    row_id,
)
from desk.trail import staff_of
from proxy.models import Model, Price, PurchasePrice, Route, Upstream
from proxy.prices.below_cost import losses
from proxy.prices.listed.differences import differences
from proxy.prices.loading import asks_for_key, check_protocol, checked_base_url, checked_paths, in_force, set_price
from proxy.prices.versions import PriceVersion
from proxy.prices.written import InvalidCatalog
from proxy.purchases import credit

MANAGE = "proxy.manage_upstreams"


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]
    new_api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Write-only. Empty: the key stays as it is. A changed host asks for it anew."),
    )

    class Meta:
        model = Upstream
        fields = (
            "name",
            "protocol",
            "kind",
            "account",
            "currency",
            "credit_alarm",
            "base_url",
            "paths",
            "priority",
            "timeout_seconds",
            "total_timeout_seconds",
            "max_concurrency",
            "bills_abandoned",
            "is_active",
        )

    def clean_base_url(self) -> str:
        try:
            return checked_base_url(self.cleaned_data["base_url"], _("This upstream"))
        except InvalidCatalog as error:
            raise ValidationError(str(error)) from None

    def clean_paths(self) -> list[str]:
        named = [name.strip() for name in self.cleaned_data["paths"]]
        try:
            return checked_paths(named, _("This upstream")) if named else []
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
        if (data.get("credit_alarm") or 0) < 0:
            self.add_error("credit_alarm", _("An alarm is set at zero or above."))
        if data.get("max_concurrency") == 0:
            self.add_error("max_concurrency", _("At least one at once; to send none, make it inactive."))
        # The instance is the locked row as it was: what the form says is put on it later.
        if (
            "base_url" in data
            and not data.get("new_api_key")
            and asks_for_key(self.instance, base_url=data["base_url"])
        ):
            self.add_error("new_api_key", _("Another host: enter the key for it. The stored one is not sent there."))

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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name stays: accounts and transfers say it."""
        return () if obj is None else ("name", "left")

    @display(description=gettext_lazy("Prepaid credit"))
    def left(self, upstream: Upstream) -> str:
        return shown(credit.left_at(upstream), currency=upstream.currency)

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


class VersionInline(TabularInline):  # type: ignore[misc]
    """Versions that are kept for good."""

    extra = 0
    ordering: ClassVar[tuple[str, ...]] = ("-version",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PriceInline(VersionInline):
    """Every price there ever was: requests are charged at the one they were held at."""

    model = Price
    fields = (*("version", "applies_from", "billing", "rates", "tiers", "more", "margin", "created_at", "created_by"),)
    readonly_fields = fields


class PurchasePriceInline(VersionInline):
    """What the house pays, and paid, for it at each upstream; where there is none, the price before the margin."""

    model = PurchasePrice
    fields = ("upstream", "version", "applies_from", "currency", "rates", "tiers", "more", "created_at", "created_by")
    readonly_fields = fields
    ordering = ("upstream__name", "-version")


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_listed_as(self) -> str:
        name: str = self.cleaned_data["listed_as"].strip().lower()
        from proxy.prices.listed import wanted  # the list takes 13 MB, which no gateway needs

        if name and name != self.instance.listed_as and wanted.named(name) is None:
            raise ValidationError(_("genai-prices has no model of this name, such as openai/gpt-4.1."))
        return name


@admin.register(Model)
class ModelModelAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    right = MANAGE
    form = ModelForm
    list_display = ("slug", "name", "listed_as", "context_window", "deprecated_on", "retired_on", "is_active")
    list_filter = ("is_active",)
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("created_at",)
    inlines = (RouteInline, PriceInline, PurchasePriceInline)
    actions = None
    actions_detail = ("new_price", "new_cost")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What of the list it follows decides its price."""
        fields = self.readonly_fields
        return fields if self.has_price_permission(request) else (*fields, "listed_as")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        model: Model = form.instance
        if model.is_active and in_force(model.prices.all(), at=database_now()) is None:
            messages.warning(request, _("It has no price yet, so it is not on offer: set one with New price."))

    def has_price_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("proxy.set_prices"))

    @action(description=gettext_lazy("New price"), icon="sell", permissions=["price"])
    def new_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        model = get_object_or_404(Model, pk=row_id(object_id))
        now = database_now()
        newest = in_force(model.prices.all(), at=now)
        named = () if newest is None else tuple(PriceVersion.from_row(newest).priced)
        form = PriceForm(request.POST or None, initial=PriceForm.initial_of(newest), named=named)
        if form.is_bound and form.asks_for_another_kind:
            form = PriceForm(initial={**PriceForm.initial_of(newest), "kind": request.POST["kind"]}, named=named)
        if form.is_bound and form.is_valid():
            try:
                with transaction.atomic():
                    changed = set_price(model, form.price(), where=model.slug, created_by=staff_of(request))
                    if changed:
                        record(request, model, "New price")
                        _refuse_loss(model, form)
            except InvalidCatalog as error:
                form.add_error(None, str(error))
            except BelowCost as error:
                form.add_error("sure", str(error))
            else:
                if changed:
                    messages.success(request, _what_holds(model, newest))
                else:
                    messages.info(request, _("That is the price already; nothing was changed."))
                return redirect("admin:proxy_model_change", model.pk)
        text = _("USD before the margin. Requests on their way keep the price they were held at.")
        if example := example_of(newest):
            text += "\n" + _("At today's price:") + " " + example
        text = "\n".join((text, *price_words.beside_list(model, newest, now=now)))
        return form_page(
            request,
            model_admin=self,
            obj=model,
            form=form,
            title=_("New price of %(model)s") % {"model": model.slug},
            button=_("Set price"),
            text=text,
        )

    @action(description=gettext_lazy("New purchase price"), icon="shopping_cart", permissions=["price"])
    def new_cost(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return cost_page(request, get_object_or_404(Model, pk=row_id(object_id)), self)


class BelowCost(Exception):
    """A new price that is below cost at some upstream; the message says where."""


def _refuse_loss(model: Model, form: PriceForm) -> None:
    """Raise `BelowCost` where the price just set loses money, unless whoever sets it is sure."""
    now, made = database_now(), model.prices.latest("version")
    at = made.applies_from or now
    found = losses(model, PriceVersion.from_row(made), at=at, dollars=price_words.dollars(now=now))
    if found and not form.cleaned_data["sure"]:
        raise BelowCost(" ".join((*map(price_words.loss, found), _("Tick this if that is meant."))))


def _what_holds(model: Model, before: Price | None) -> str:
    """From when on, what changes and what an example costs, after a new price."""
    made = model.prices.latest("version")
    words = _("The new price holds for requests from now on.")
    if made.applies_from is not None:
        moment = f"{made.applies_from:%Y-%m-%d %H:%M} UTC"
        words = _("The new price holds from %(moment)s on.") % {"moment": moment}
    old = None if before is None else PriceVersion.from_row(before)
    told = [f"{price_words.line(one)}." for one in differences(old, PriceVersion.from_row(made))]
    ended = model.listed_as and not Model.objects.get(pk=model.pk).listed_as
    ends = _("It no longer follows the list.") if ended else ""
    return " ".join(filter(None, (words, *told, example_of(made), ends)))
