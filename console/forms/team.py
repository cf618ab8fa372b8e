"""Forms about an account's people."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.limits.periods import zone_names
from accounts.models import ApiKey, Membership
from accounts.people.names import MOST_LENGTH

ROLES = (
    ("developer", _("Developer: own keys, top-ups")),
    ("owner", _("Owner: everything, people and refunds too")),
    ("viewer", _("Viewer: looks at balance, usage and documents")),
)


class InviteForm(forms.Form):
    email = forms.EmailField(
        label=_("Email address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "placeholder": "name@example.com"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=ROLES, initial="developer")


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=ROLES)


class RemoveForm(forms.Form):
    """Which keys are to live on for some days, and under whom."""

    keep = forms.MultipleChoiceField(
        label=_("Keys that may live for 7 days more"), required=False, widget=forms.CheckboxSelectMultiple
    )
    under = forms.ChoiceField(label=_("Under whom"), required=False)

    def __init__(self, *args: Any, keys: Iterable[ApiKey], keepers: Iterable[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.MultipleChoiceField, self.fields["keep"]).choices = [(str(key.pk), str(key)) for key in keys]
        cast(forms.ChoiceField, self.fields["under"]).choices = [
            (str(member.pk), member.user.email) for member in keepers
        ]


class NameForm(forms.Form):
    name = forms.CharField(
        label=_("Name of the account"),
        max_length=MOST_LENGTH,
        help_text=_("Your people see it, and whom you invite."),
    )


class LongSelect(forms.Select):
    """A select whose options have no template each: for 600 zones those took 90 ms."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen, mark = self.format_value(value) or [], SafeString(" selected")
        rows = ((key, mark if str(key) in chosen else "", label) for key, label in self.choices)
        options = format_html_join("", '<option value="{}"{}>{}</option>', rows)
        given = {"name": name, **self.build_attrs(self.attrs, attrs)}
        return format_html("<select{}>{}</select>", flatatt(given), options)


class ZoneForm(forms.Form):
    zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=lambda: [(name, name) for name in zone_names()],
        widget=LongSelect,
        help_text=_("The account's days, weeks and months begin at midnight there, and so do its caps."),
    )
