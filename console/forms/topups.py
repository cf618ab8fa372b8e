"""The top-up form."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from payments.models import Method
from payments.topups import quotes

PRESETS = (5, 20, 50, 100)
OTHER = "other"


class TopUpForm(forms.Form):
    """A preset or an own amount in USD, and one of the methods that are on."""

    preset = forms.ChoiceField(
        choices=[*((str(amount), f"${amount}") for amount in PRESETS), (OTHER, _("Other"))], initial="20"
    )
    amount = forms.CharField(required=False, max_length=20, label=_("Amount in USD"))
    method = forms.ChoiceField(label=_("Method"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = dict(Method.choices)
        field = self.fields["method"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(method, labels[method]) for method in quotes.methods()]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        chosen = data.get("preset")
        text = data.get("amount", "") if chosen == OTHER else chosen
        try:
            data["credit"] = quotes.checked_amount(text or "", method=data.get("method") or "")
        except quotes.TopUpError as error:
            self.add_error("amount", str(error))
        return data
