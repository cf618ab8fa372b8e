"""The form in which staff write a model's new price: the rates of its kind in fields of their own, the rest as JSON."""

import json
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from proxy.models import Price
from proxy.models.prices import Version
from proxy.prices.sums import cost_of
from proxy.prices.units import INPUT, KINDS, OUTPUT, SECOND, UNITS, kind_of
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.prices.written import OF_SECONDS

KIND_CHOICES = [(kind.name, kind.label) for kind in KINDS]
EXAMPLE = Usage(input_tokens=10_000, output_tokens=1_000)


def _amount(label: Any, *, least: int = 0, places: int = 18, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=required,
        min_value=least,
        max_digits=24,
        decimal_places=places,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )


class JSONText(forms.JSONField):
    """JSON that could be stored. What is nested too deeply, a number that is too long and half a letter are none."""

    def to_python(self, value: Any) -> Any:
        try:
            return _storable(super().to_python(value))
        except (RecursionError, ValueError):
            raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": value}) from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return _storable(super().bound_data(data, initial))
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)


def _storable(said: Any) -> Any:
    """Raises `ValueError`, or `RecursionError`, for what cannot be written as UTF-8."""
    json.dumps(said, ensure_ascii=False).encode()
    return said


def _json(label: Any, help_text: Any) -> forms.JSONField:
    return JSONText(
        label=label,
        required=False,
        initial=list,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=help_text,
    )


class RatesForm(forms.Form):
    """The rates of a price. `named` are the units of the price of today, which are asked for whatever the kind."""

    FIRST: ClassVar[tuple[str, ...]] = ()
    LAST: ClassVar[tuple[str, ...]] = ("applies_from",)
    """The fields before and after the rates."""

    kind = forms.ChoiceField(
        label=_("The model is for"),
        choices=KIND_CHOICES,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Another choice shows the rates that make sense for it; nothing is set by that."),
    )
    shown = forms.CharField(required=False, widget=forms.HiddenInput)
    """The kind whose rates the page asked for."""
    tiers = _json(
        _("Tiers"), _('Such as [{"above": 200000, "rates": {"input": "2.50", "output": "15"}}], by input tokens.')
    )
    variants = _json(
        _("Variants"),
        _('Such as [{"when": {"service_tier": "flex"}, "input": "0.50"}]; the first that matches wins, rate by rate.'),
    )
    fallback = _json(_("Without a rate of their own"), _('Such as ["input_audio"]: charged as what stands for it.'))
    applies_from = forms.DateField(
        label=_("Applies from"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("The day begins in UTC. Empty: at once."),
    )

    def __init__(self, *args: Any, named: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = kind_of(named).name
        wanted = self.data.get("kind") or self.initial.get("kind") or found
        kind = next((kind for kind in KINDS if kind.name == wanted), KINDS[0])
        self.units = tuple(dict.fromkeys((*kind.units, *named)))
        for name in self.units:
            self.fields[name] = _amount(UNITS[name].field)
        self.initial.update(kind=kind.name, shown=kind.name)
        if SECOND in self.units:
            self.fields["minimum"] = _amount(_("Seconds charged at least"), places=3)
            self.fields["round"] = _amount(_("Seconds charged in multiples of"), places=3)
        rates = ["kind", "shown", *self.units, *OF_SECONDS, "tiers", "variants", "fallback"]
        self.order_fields([*self.FIRST, *rates, *self.LAST])

    @property
    def asks_for_another_kind(self) -> bool:
        kind = self.data.get("kind")
        return bool(kind) and kind != self.data.get("shown", kind)

    def clean_tiers(self) -> list[Any]:
        return self._list("tiers", _("Tiers are a list."))

    def clean_variants(self) -> list[Any]:
        return self._list("variants", _("Variants are a list."))

    def clean_fallback(self) -> list[Any]:
        return self._list("fallback", _("These are a list of units."))

    def _list(self, name: str, words: Any) -> list[Any]:
        said = self.cleaned_data[name]
        if said is not None and not isinstance(said, list):
            raise ValidationError(words)
        return said or []

    def clean(self) -> None:
        super().clean()
        for name in UNITS.keys() - set(self.units):
            if self.data.get(name):
                words = gettext("A model of this kind has no rate such as “%(unit)s”.") % {"unit": UNITS[name].field}
                raise ValidationError(words)

    @staticmethod
    def initial_of(price: Version | None) -> dict[str, Any]:
        """What the form begins with: the price of today."""
        if price is None:
            return {"tiers": [], "variants": [], "fallback": []}
        rates = {name: Decimal(text) for name, text in price.rates.items()}
        return {"tiers": price.tiers, "variants": [], "fallback": [], **(price.more or {}), **rates}

    def price(self) -> dict[str, Any]:
        """What was written, as `loading.set_price` and `set_cost` take it."""
        data = self.cleaned_data
        named = {name: f"{data[name].normalize():f}" for name in self.units if data[name] is not None}
        beside = ("tiers", "variants", "fallback", *OF_SECONDS, "applies_from")
        more = {name: data[name] for name in beside if data.get(name)}
        return named | more


class PriceForm(RatesForm):
    """What a model costs its customers."""

    LAST = ("margin", "applies_from", "sure")
    margin = _amount(_("Margin: charge = upstream cost x margin"), least=1, places=4, required=True)
    sure = forms.BooleanField(label=_("It is right, though it is below cost"), required=False)

    @staticmethod
    def initial_of(price: Version | None) -> dict[str, Any]:
        margin = price.margin if isinstance(price, Price) else settings.PRICE_MARGIN
        return {**RatesForm.initial_of(price), "margin": margin}

    def price(self) -> dict[str, Any]:
        return {**super().price(), "margin": self.cleaned_data["margin"]}


def example_of(price: Price | None) -> str:
    """What a request of some size costs at that price, in words; nothing where it is for no tokens."""
    if price is None:
        return ""
    version = PriceVersion.from_row(price)
    if not {INPUT, OUTPUT} <= version.priced:
        return ""
    words = gettext("10,000 tokens in and 1,000 out cost $%(amount)s with the margin.")
    return words % {"amount": f"{cost_of(version, EXAMPLE).charged:f}"}
