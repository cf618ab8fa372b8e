"""The form of an endpoint, as it is made and as it is changed."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webhooks.kinds import EVENTS
from webhooks.models import Endpoint
from webhooks.places import LONGEST


class EndpointForm(forms.Form):
    """Where to post, and what."""

    url = forms.CharField(
        label=_("Address"),
        max_length=LONGEST,
        widget=forms.TextInput(
            attrs={"inputmode": "url", "placeholder": "https://example.org/chuizi", "autocomplete": "off"}
        ),
        help_text=_("https, at an address of the public network. Events are posted there."),
    )
    description = forms.CharField(
        label=_("What it is for"), max_length=200, required=False, help_text=_("For yourself; may be left empty.")
    )
    wanted = forms.MultipleChoiceField(
        label=_("Events"),
        choices=list(EVENTS.items()),
        initial=list(EVENTS),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one event.")},
    )

    def __init__(self, *args: Any, endpoint: Endpoint | None = None, **kwargs: Any) -> None:
        if endpoint is not None:
            kwargs["initial"] = {
                "url": endpoint.url,
                "description": endpoint.description,
                "wanted": endpoint.events,
            }
        super().__init__(*args, **kwargs)
