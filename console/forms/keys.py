"""Forms about keys: a new one, what one may do from now on, and a new text for it."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.keys.policies import MOST_ITEMS, InvalidPolicy, model_names, networks
from accounts.keys.rotating import LONGEST_OVERLAP
from accounts.models import ApiKey, Membership
from accounts.models.caps import CAPS
from accounts.roles import DEFAULT_SCOPES, Scope, grantable

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

MOST_RPM = 2**31 - 1


def _cap(label: "_StrPromise", help_text: "_StrPromise") -> forms.DecimalField:
    return forms.DecimalField(
        label=label, min_value=0, max_digits=20, decimal_places=8, required=False, help_text=help_text
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]


SCOPES = (
    (Scope.INFERENCE, _("call models")),
    (Scope.READ, _("read balance, usage and documents")),
    (Scope.KEYS, _("make and change keys")),
    (Scope.BILLING, _("top up, and ask for refunds and invoices")),
)


class CapsForm(forms.Form):
    """What may be spent in a day, a week, a month and in all."""

    daily_limit = _cap(
        _("Spend at most, a day"), _("US dollars, from midnight in the account's zone. Empty: no limit.")
    )
    weekly_limit = _cap(_("Spend at most, a week"), _("US dollars, from Monday on. Empty: no limit."))
    monthly_limit = _cap(_("Spend at most, a month"), _("US dollars, from the first on. Empty: no limit."))
    total_limit = _cap(_("Spend at most, in all"), _("US dollars. Empty: no limit."))


class KeyForm(CapsForm):
    """A new key and what it may do; everything but the name may be left empty."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("To tell your keys apart, such as “laptop”."))
    scopes = forms.MultipleChoiceField(
        label=_("May be used to"),
        choices=SCOPES,
        initial=list(DEFAULT_SCOPES),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("None ticked: call models and read."),
    )
    rpm_limit = forms.IntegerField(
        label=_("Requests per minute"),
        min_value=0,
        max_value=MOST_RPM,
        required=False,
        help_text=_("Empty: the usual limit. 0: no limit of its own."),
    )
    concurrency_limit = forms.IntegerField(
        label=_("Requests at once"),
        min_value=1,
        max_value=MOST_RPM,
        required=False,
        help_text=_("Empty: no limit."),
    )
    expires_on = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("The key stops working at the end of that day, UTC. Empty: never."),
    )
    allowed_models = forms.CharField(
        label=_("Models"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line, such as openai/gpt-4.1-nano, anthropic/* or *-mini. Empty: all."),
    )
    allowed_ips = forms.CharField(
        label=_("Addresses"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line, such as 203.0.113.7 or 203.0.113.0/24. Empty: from anywhere."),
    )

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = grantable(role)
        cast(forms.MultipleChoiceField, self.fields["scopes"]).choices = [
            (scope, text) for scope, text in SCOPES if scope in allowed
        ]

    @property
    def limits(self) -> list[forms.BoundField]:
        """What may be left empty."""
        return [self[name] for name in (*CAPS, "rpm_limit", "concurrency_limit", "allowed_models", "allowed_ips")]

    @property
    def policy(self) -> dict[str, Any]:
        """What was filled in, as a key keeps it."""
        data = dict(self.cleaned_data)
        expires_at = data.pop("expires_on")
        return {**data, "expires_at": expires_at}

    def clean_allowed_models(self) -> list[str]:
        return self._checked(model_names, "allowed_models")

    def clean_allowed_ips(self) -> list[str]:
        return self._checked(networks, "allowed_ips")

    def clean_expires_on(self) -> datetime | None:
        """The moment at which that day ends."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        end = datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
        if end <= timezone.now():
            raise ValidationError(_("That day is over."))
        return end

    def _checked(self, check: Any, field: str) -> list[str]:
        try:
            items: list[str] = check(_items(self.cleaned_data[field]))
        except InvalidPolicy as error:
            raise ValidationError(error.message, params={"value": error.value, "most": MOST_ITEMS}) from None
        return items


class EditKeyForm(KeyForm):
    """What a key may do from now on. Only what was changed is to be written: another page may change the rest."""

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        initial = {
            **{name: getattr(key, name) for name in ("name", "rpm_limit", "concurrency_limit")},
            **caps_of(key),
            "scopes": list(key.scopes),
            "expires_on": key.expires_at and (key.expires_at - timedelta(microseconds=1)).astimezone(UTC).date(),
            "allowed_models": "\n".join(key.allowed_models),
            "allowed_ips": "\n".join(key.allowed_ips),
        }
        super().__init__(*args, initial=initial, **kwargs)
        self.key = key

    def clean_expires_on(self) -> datetime | None:
        if "expires_on" not in self.changed_data:
            return self.key.expires_at
        return super().clean_expires_on()

    def clean_scopes(self) -> list[str]:
        return self.cleaned_data["scopes"] or list(DEFAULT_SCOPES)

    @property
    def changes(self) -> dict[str, Any]:
        """As a key keeps it."""
        names = {"expires_at" if name == "expires_on" else name for name in self.changed_data}
        return {name: value for name, value in self.policy.items() if name in names}


def caps_of(owner: ApiKey | Membership) -> dict[str, Decimal | None]:
    """As a form shows them first."""
    return {name: _plain(getattr(owner, name)) for name in CAPS}


def _plain(amount: Decimal | None) -> Decimal | None:
    """Without zeros at its end."""
    if amount is None:
        return None
    short = amount.normalize()
    return short if int(short.as_tuple().exponent) <= 0 else short.quantize(Decimal(1))


OVERLAPS = (
    (0, _("ends at once")),
    (1, _("works for another hour")),
    (24, _("works for another day")),
    (72, _("works for another 3 days")),
    (LONGEST_OVERLAP // timedelta(hours=1), _("works for another 7 days")),
)


class RotateForm(forms.Form):
    """`seen` is the prefix that the page showed: a second click finds another one, and makes none."""

    overlap = forms.TypedChoiceField(
        label=_("The text it has now"), choices=OVERLAPS, coerce=lambda hours: timedelta(hours=int(hours)), initial=24
    )
    seen = forms.CharField(max_length=12, widget=forms.HiddenInput)
