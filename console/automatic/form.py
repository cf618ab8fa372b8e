"""The form of automatic top-up. What it takes is checked where it is agreed to."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

MONEY = {"inputmode": "decimal", "autocomplete": "off"}


class AutoTopUpForm(forms.Form):
    """Amounts in USD as texts, and the last day."""

    threshold = forms.CharField(
        max_length=20, label=_("When the balance is below, USD"), widget=forms.TextInput(attrs=MONEY)
    )
    amount = forms.CharField(
        max_length=20,
        label=_("Top up, USD"),
        widget=forms.TextInput(attrs=MONEY),
        help_text=_("More where that is needed to reach that."),
    )
    ceiling = forms.CharField(
        max_length=20,
        label=_("At most in a calendar month, USD"),
        widget=forms.TextInput(attrs=MONEY),
        help_text=_("With fees."),
    )
    until = forms.CharField(
        max_length=10, label=_("Last day"), widget=forms.DateInput(attrs={"type": "date", "autocomplete": "off"})
    )

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("amount", "threshold", "ceiling", "until")}
