"""The forms of re-rating: which model, then which of its requests, and which version of its price was right."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleDateWidget, UnfoldBooleanWidget

from desk.site import ReasonForm
from proxy.models import Model, Price, Upstream
from proxy.prices.units import UNITS


class ModelForm(forms.Form):
    model = forms.ModelChoiceField(
        Model.objects.order_by("slug"), label=_("Model"), widget=UnfoldAdminSelectWidget, empty_label=None
    )


class VersionField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A version of a price, with its rates."""

    def label_from_instance(self, obj: Any) -> str:
        return RerateForm.words_of(obj)


class RerateForm(ReasonForm):
    first_day = forms.DateField(
        label=_("First day"), widget=UnfoldAdminSingleDateWidget, help_text=_("Days begin and end in UTC.")
    )
    last_day = forms.DateField(label=_("Last day"), widget=UnfoldAdminSingleDateWidget)
    upstream = forms.ModelChoiceField(
        Upstream.objects.order_by("name"),
        label=_("Upstream"),
        required=False,
        empty_label=_("any"),
        widget=UnfoldAdminSelectWidget,
    )
    held_at = VersionField(
        Price.objects.none(),
        label=_("Version they were held at"),
        required=False,
        empty_label=_("any"),
        widget=UnfoldAdminSelectWidget,
    )
    price = VersionField(
        Price.objects.none(),
        label=_("Corrected version"),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text=_("What they should have been charged by. None is right: make a version for corrections first."),
    )
    upwards = forms.BooleanField(
        label=_("Upwards too: take what was charged too little, 7 days after customers are told"),
        required=False,
        widget=UnfoldBooleanWidget,
    )
    field_order = ("first_day", "last_day", "upstream", "held_at", "price", "upwards", "reason")

    def __init__(self, *args: Any, model: Model, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = Price.objects.filter(model=model).order_by("-version")
        for name in ("held_at", "price"):
            field: Any = self.fields[name]
            field.queryset = versions
        if not settings.RERATE_UPWARDS:
            del self.fields["upwards"]

    @staticmethod
    def words_of(price: Price) -> str:
        """Its number, when it began, its rates and margin."""
        begun = price.applies_from or price.created_at
        rates = ", ".join(
            f"{UNITS[name].offered if name in UNITS else name} {rate}" for name, rate in price.rates.items()
        )
        return f"v{price.version}, {begun:%Y-%m-%d %H:%M} UTC: {rates}; × {price.margin.normalize():f}"
