"""The form of what owners want to be warned of."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from billing.models import AlertSettings
from billing.warnings import setting
from billing.warnings.setting import AlertError

MONEY = {"inputmode": "decimal", "autocomplete": "off"}


class AlertsForm(forms.Form):
    """Amounts in USD as texts; empty for none."""

    low_balance = forms.CharField(
        max_length=20,
        required=False,
        label=gettext_lazy("When the balance falls below, USD"),
        widget=forms.TextInput(attrs=MONEY),
        help_text=gettext_lazy("Empty: never."),
    )
    monthly_budget = forms.CharField(
        max_length=20,
        required=False,
        label=gettext_lazy("Budget of the account a month, USD"),
        widget=forms.TextInput(attrs=MONEY),
        help_text=gettext_lazy("You are told at 50, 80 and 100 %. It stops nothing; caps do."),
    )
    caps = forms.BooleanField(
        required=False,
        label=gettext_lazy(
            "At 50, 80 and 100 % of the caps of keys and members and of budgets for runs, and when one refuses"
        ),
    )
    weekly_summary = forms.BooleanField(
        required=False, label=gettext_lazy("A summary of the week, on Monday at 08:00 of the account")
    )

    @classmethod
    def of(cls, row: AlertSettings) -> "AlertsForm":
        """As they are set."""
        amounts = {name: getattr(row, name) for name in ("low_balance", "monthly_budget")}
        initial: dict[str, Any] = {name: "" if found is None else f"{found:.2f}" for name, found in amounts.items()}
        return cls(initial=initial | {"caps": row.caps, "weekly_summary": row.weekly_summary})

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        for name in ("low_balance", "monthly_budget"):
            try:
                found[name] = setting.amount(found.get(name), field=name)
            except AlertError as error:
                self.add_error(name, str(error))
        return found
