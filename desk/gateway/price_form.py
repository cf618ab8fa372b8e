"""The form in which staff write a model's new price: each rate in a field of its own, tiers as JSON."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from proxy.models import Price
from proxy.prices.units import TABLE

RATES = {unit.name: unit.field for unit in TABLE}


def _amount(label: Any, *, least: int = 0, places: int = 12, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=required,
        min_value=least,
        max_digits=20,
        decimal_places=places,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )


class PriceForm(forms.Form):
    billing = forms.ChoiceField(label=_("Billing"), choices=Price.Billing.choices, widget=UnfoldAdminSelectWidget)
    tiers = forms.JSONField(
        label=_("Tiers"),
        required=False,
        initial=list,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_('Such as [{"above": 200000, "rates": {"input": "2.50", "output": "15"}}], by input tokens.'),
    )
    margin = _amount(_("Margin: charge = upstream cost x margin"), least=1, places=4, required=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in RATES.items():
            self.fields[name] = _amount(label)
        self.order_fields(["billing", *RATES, "tiers", "margin"])

    def clean_tiers(self) -> list[Any]:
        tiers = self.cleaned_data["tiers"]
        if not isinstance(tiers, list):
            raise ValidationError(_("Tiers are a list."))
        return tiers

    @staticmethod
    def initial_of(price: Price | None) -> dict[str, Any]:
        """What the form begins with: the price of today."""
        if price is None:
            return {"margin": settings.PRICE_MARGIN, "tiers": []}
        rates = {name: Decimal(text) for name, text in price.rates.items()}
        return {"billing": price.billing, "tiers": price.tiers, "margin": price.margin, **rates}

    def price(self) -> dict[str, Any]:
        """What was written, as `loading.set_price` takes it."""
        data = self.cleaned_data
        named = {name: f"{data[name].normalize():f}" for name in RATES if data[name] is not None}
        return {"billing": data["billing"], "tiers": data["tiers"] or [], "margin": data["margin"], **named}
