"""The form of a journal entry, as the pages of the books and of statements show it."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.books import entries


class DayInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A day, picked or typed as 2026-10-31."""

    input_type = "date"


class EntryForm(forms.Form):
    debit = forms.ChoiceField(
        label=_("Debit"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("What grows by it: money at a bank or a provider, an expense. What the house owes shrinks."),
    )
    credit = forms.ChoiceField(
        label=_("Credit"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Where it comes from: a provider that pays out, a bank, revenue."),
    )
    amount = forms.CharField(
        label=_("Amount"),
        max_length=24,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("In the one currency of both accounts, such as 12.50."),
    )
    about = forms.DateField(
        label=_("Day it is about"),
        widget=DayInput,
        input_formats=["%Y-%m-%d"],
        help_text=_("It is booked on this day; if its month is locked, on the first open day."),
    )
    reference = forms.CharField(
        label=_("Reference"),
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The paper it rests on, such as a bank's or a provider's number."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=UnfoldAdminTextareaWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [("", "—"), *((name, name) for name in entries.chart())]
        for field in ("debit", "credit"):
            choice = self.fields[field]
            if isinstance(choice, forms.ChoiceField):
                choice.choices = names
