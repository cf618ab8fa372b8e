"""The form in which finance brings an upstream's bill."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from desk.books.entry_form import DayInput
from proxy.bills.formats.known import FORMATS
from proxy.models import Upstream

RECOGNISED = ("", _("as its columns say"))


class BillForm(forms.Form):
    upstream = forms.ModelChoiceField(
        label=_("Upstream"), queryset=Upstream.objects.order_by("name"), widget=UnfoldAdminSelectWidget
    )
    first = forms.DateField(label=_("First day"), widget=DayInput, input_formats=["%Y-%m-%d"])
    last = forms.DateField(
        label=_("Last day"),
        widget=DayInput,
        input_formats=["%Y-%m-%d"],
        help_text=_("Included. Lines of other days are left out."),
    )
    zone = forms.CharField(
        label=_("Zone of its days"),
        initial="UTC",
        max_length=60,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Such as UTC or Asia/Shanghai."),
    )
    code = forms.ChoiceField(label=_("Format"), required=False, widget=UnfoldAdminSelectWidget)
    file = forms.FileField(label=_("File"), widget=UnfoldAdminFileFieldWidget, help_text=_("CSV, or JSON of an API."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        code: Any = self.fields["code"]
        code.choices = [RECOGNISED, *((one.code, one.label) for one in FORMATS.values())]

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        if zone not in available_timezones():
            raise ValidationError(gettext("There is no such zone."))
        return zone
