"""Where finance writes what a model costs the house at an upstream: the form of prices, without a margin."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanWidget

from core.amounts import SIGNS
from core.clock import database_now
from desk.gateway import price_words
from desk.gateway.price_form import EXAMPLE, RatesForm
from desk.site import form_page, record, row_id
from desk.trail import staff_of
from proxy.models import Currency, Model, PurchasePrice, Upstream
from proxy.prices.below_cost import losses
from proxy.prices.listed.differences import differences
from proxy.prices.loading import in_force, set_cost
from proxy.prices.sums import cost_of
from proxy.prices.units import INPUT, OUTPUT
from proxy.prices.versions import PriceVersion
from proxy.prices.written import InvalidCatalog


class CostForm(RatesForm):
    """What a model costs at one of its upstreams, in the upstream's currency."""

    FIRST = ("upstream", "shown_upstream", "is_list")
    upstream = forms.ModelChoiceField(
        label=gettext_lazy("Upstream"),
        queryset=Upstream.objects.none(),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Another choice shows what is paid there; nothing is set by that."),
    )
    shown_upstream = forms.CharField(required=False, widget=forms.HiddenInput)
    is_list = forms.BooleanField(
        label=gettext_lazy("It costs the price before the margin"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Without rates of its own."),
    )

    def __init__(self, *args: Any, upstreams: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["upstream"]
        field.queryset = upstreams

    @property
    def asks_for_another(self) -> bool:
        upstream = self.data.get("upstream")
        return self.asks_for_another_kind or upstream != self.data.get("shown_upstream", upstream)

    def clean(self) -> None:
        super().clean()
        data = self.cleaned_data
        if data.get("is_list") and data.get("applies_from"):
            raise ValidationError(_("The price before the margin holds at once: leave the day empty."))

    def cost(self) -> dict[str, Any] | None:
        """As `loading.set_cost` takes it."""
        return None if self.cleaned_data["is_list"] else self.price()


def cost_page(request: HttpRequest, model: Model, model_admin: ModelAdmin) -> HttpResponse:
    """The form, and what it says of the version before; on POST a new version."""
    upstreams = Upstream.objects.filter(routes__model=model).order_by("name")
    asked = row_id(request.POST.get("upstream") or request.GET.get("upstream", ""))
    upstream = upstreams.filter(pk=asked).first() or upstreams.first()
    if upstream is None:
        messages.error(request, _("It goes to no upstream yet: give it a route first."))
        return redirect("admin:proxy_model_change", model.pk)
    before = _in_force(model, upstream)
    named = _named(model, before)
    initial = {**CostForm.initial_of(before), "upstream": upstream.pk, "shown_upstream": upstream.pk}
    form = CostForm(request.POST or None, initial=initial, named=named, upstreams=upstreams)
    if form.is_bound and form.asks_for_another:
        kind = {"kind": request.POST["kind"]} if form.asks_for_another_kind else {}
        form = CostForm(initial={**initial, **kind}, named=named, upstreams=upstreams)
    if form.is_bound and form.is_valid():
        try:
            with transaction.atomic():
                where = f"{model.slug} on {upstream.name}"
                changed = set_cost(model, upstream, form.cost(), where=where, created_by=staff_of(request))
                if changed:
                    record(request, model, "New purchase price")
        except InvalidCatalog as error:
            form.add_error(None, str(error))
        else:
            if changed:
                _tell(request, model, upstream, before)
            else:
                messages.info(request, _("That is the price already; nothing was changed."))
            return redirect("admin:proxy_model_change", model.pk)
    return form_page(
        request,
        model_admin=model_admin,
        obj=model,
        form=form,
        title=_("New purchase price of %(model)s") % {"model": model.slug},
        button=_("Set price"),
        text="\n".join(_words(model, upstream, before)),
    )


def _in_force(model: Model, upstream: Upstream) -> PurchasePrice | None:
    """The purchase price of today; None where it is the price before the margin."""
    found = in_force(model.purchase_prices.filter(upstream=upstream), at=database_now())
    return None if found is None or found.is_list else found


def _named(model: Model, before: PurchasePrice | None) -> tuple[str, ...]:
    """The units with a rate today: of the purchase price, else of the model's own."""
    row = before or in_force(model.prices.all(), at=database_now())
    return () if row is None else tuple(PriceVersion.from_row(row).priced)


def _words(model: Model, upstream: Upstream, before: PurchasePrice | None) -> list[str]:
    """What the page says above its form."""
    facts = {"upstream": upstream.name, "currency": upstream.currency}
    words = [_("What %(upstream)s takes, in %(currency)s. Requests on their way keep what held before.") % facts]
    if before is None:
        words.append(_("Today it costs the price before the margin, in USD."))
    else:
        words += _example(before, _("At today's price:"))
    scheduled = model.purchase_prices.filter(upstream=upstream, applies_from__gt=database_now()).order_by("version")
    for row in scheduled:
        moment = f"{row.applies_from:%Y-%m-%d %H:%M} UTC"
        words.append(_("Version %(version)s holds from %(moment)s on.") % {"version": row.version, "moment": moment})
    return words


def _tell(request: HttpRequest, model: Model, upstream: Upstream, before: PurchasePrice | None) -> None:
    """From when on, what changed, what an example costs, and where the model is now sold below that."""
    made = model.purchase_prices.filter(upstream=upstream).latest("version")
    words = [_("The new price holds for requests from now on.")]
    if made.applies_from is not None:
        moment = f"{made.applies_from:%Y-%m-%d %H:%M} UTC"
        words = [_("The new price holds from %(moment)s on.") % {"moment": moment}]
    if made.is_list:
        words.append(_("It costs the price before the margin."))
    else:
        words += [*_changes(model, before, made), *_example(made)]
    messages.success(request, " ".join(words))
    now = database_now()
    at = made.applies_from or now
    sale = in_force(model.prices.all(), at=at)
    if sale is not None:
        found = losses(model, PriceVersion.from_row(sale), at=at, dollars=price_words.dollars(now=now))
        if lost := [price_words.loss(one) for one in found if one.upstream == upstream.name]:
            messages.warning(request, " ".join((_("It is sold below that:"), *lost)))


def _changes(model: Model, before: PurchasePrice | None, made: PurchasePrice) -> list[str]:
    """A sentence a rate. What was paid in another currency is not compared."""
    old, without = None, ""
    if before is None:
        without = _("list price")
        sale = in_force(model.prices.all(), at=database_now())
        old = PriceVersion.from_row(sale) if sale is not None and made.currency == Currency.USD else None
    elif before.currency == made.currency:
        old = PriceVersion.from_row(before)
    else:
        without = before.currency
    found = differences(old, PriceVersion.from_row(made))
    return [
        f"{price_words.line(one, currency=made.currency, without=without if old is None else '')}." for one in found
    ]


def _example(price: PurchasePrice, before: str = "") -> list[str]:
    """What a request of some size costs, in words; nothing where it is for no tokens."""
    version = PriceVersion.from_row(price)
    if not {INPUT, OUTPUT} <= version.priced:
        return []
    cost: Decimal = cost_of(version, EXAMPLE).upstream
    words = _("10,000 tokens in and 1,000 out cost %(amount)s.") % {"amount": f"{SIGNS[price.currency]}{cost:f}"}
    return [f"{before} {words}".strip()]
