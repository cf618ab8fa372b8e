"""Forms about signing up."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.core import context
from django import forms
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.keys import issuing
from accounts.models import ApiKey, SecurityEvent
from accounts.security import log


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
