"""Forms about signing up and about keys."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

from allauth.account import forms as allauth_forms
from allauth.core import context
from django import forms
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.keys import issuing
from accounts.keys.policies import MOST_ITEMS, InvalidPolicy, model_names, networks
from accounts.models import ApiKey, SecurityEvent
from accounts.roles import DEFAULT_SCOPES, Scope, grantable
from accounts.security import log

MOST_RPM = 2**31 - 1


class SignupForm(allauth_forms.SignupForm):  # type: ignore[misc]
    """allauth's own, with the rules of a password in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = _("At least 12 characters, and not easy to guess.")

    def try_save(self, request: HttpRequest) -> Any:
        """An address that is taken costs the same work as a new one, so that the time tells nothing."""
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class NewPasswordForm(allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    """Behind the link of a reset: whoever knew the old password may have made or read keys, which outlive it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        count = self._keys().count()
        if count:
            text = _("Also delete the API keys made with this login (%(count)s); programs that use them stop working")
            self.fields["delete_keys"] = forms.BooleanField(required=False, label=str(text) % {"count": count})

    def save(self) -> None:
        with transaction.atomic():
            super().save()
            if not self.cleaned_data.get("delete_keys"):
                return
            for key in self._keys():
                issuing.delete(key=key, now=timezone.now())
                log.note(SecurityEvent.Kind.KEY_DELETED, request=context.request, user=self.user, key=key)

    def _keys(self) -> QuerySet[ApiKey]:
        """None for a link that does not work."""
        if self.user is None:
            return ApiKey.objects.none()
        return issuing.working_ones_of(self.user, now=timezone.now())


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]


SCOPES = (
    (Scope.INFERENCE, _("call models")),
    (Scope.READ, _("read balance, usage and documents")),
    (Scope.KEYS, _("make and change keys")),
    (Scope.BILLING, _("top up, and ask for refunds and invoices")),
)


class KeyForm(forms.Form):
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
    total_limit = forms.DecimalField(
        label=_("Spend at most, in all"),
        min_value=0,
        max_digits=20,
        decimal_places=8,
        required=False,
        help_text=_("US dollars. Empty: no limit."),
    )
    daily_limit = forms.DecimalField(
        label=_("Spend at most, a day"),
        min_value=0,
        max_digits=20,
        decimal_places=8,
        required=False,
        help_text=_("US dollars, from midnight UTC. Empty: no limit."),
    )
    rpm_limit = forms.IntegerField(
        label=_("Requests per minute"),
        min_value=0,
        max_value=MOST_RPM,
        required=False,
        help_text=_("Empty: the usual limit. 0: no limit of its own."),
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
        help_text=_("One a line, such as openai/gpt-4.1-nano. Empty: all."),
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
