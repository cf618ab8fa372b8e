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
from unfold.decorators import action

from core.clock import database_now
from desk.gateway import price_words
from desk.gateway.cost_form import cost_page
from desk.gateway.price_form import PriceForm, example_of
from desk.site import (
    ByRight,
    FormAdmin,
    NamedFields,
    form_page,
    record,
    row_id,
)
from desk.trail import staff_of
from proxy.models import Model, Price, PurchasePrice, Route
from proxy.prices.below_cost import losses
from proxy.prices.listed.differences import differences
from proxy.prices.loading import in_force, set_price
from proxy.prices.versions import PriceVersion
from proxy.prices.written import InvalidCatalog

MANAGE = "proxy.manage_upstreams"


class RouteInline(NamedFields, ByRight, TabularInline):  # type: ignore[misc]
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
