"""Staff have a second factor: the desk opens only to a login that has passed one."""

import time
from typing import Any
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.security.sessions import longest

OPEN_TO_ALL = ("login", "logout")
OWN = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""What a person sets up; recovery codes only stand in for one of these."""


class SecondFactor:
    """Middleware: every page of the desk, whoever wrote it, stands behind the second factor."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase = self.get_response(request)
        return answer

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponseBase | None:
        match = request.resolver_match
        if match is None or "admin" not in match.app_names or match.url_name in OPEN_TO_ALL:
            return None
        user = request.user
        if not settings.STAFF_SECOND_FACTOR or not user.is_authenticated or not user.is_staff:
            return None  # the desk itself sends strangers away
        if not is_mfa_enabled(user, types=OWN):
            messages.info(request, _("The staff desk asks for a second factor. Set it up, then open the desk again."))
            return HttpResponseRedirect(reverse("mfa_activate_totp"))
        if not _is_passed(request):
            here = request.get_full_path() if request.method == "GET" else reverse("admin:index")
            return HttpResponseRedirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': here})}")
        return None


def forget(authenticator: Authenticator) -> None:
    """Delete a lost second factor, and the recovery codes with the last one, so that a new one can be set up."""
    user_id = authenticator.user_id
    authenticator.delete()
    left = Authenticator.objects.filter(user_id=user_id)
    if not left.filter(type__in=OWN).exists():
        left.delete()


def count_activation(sender: Any, request: HttpRequest, user: Any, authenticator: Authenticator, **kwargs: Any) -> None:
    """Signal: whoever sets an authenticator up has just typed a code of it, which counts for this login."""
    if authenticator.type == Authenticator.Type.TOTP and request.user == user:
        record_authentication(request, user, method="mfa", type=authenticator.type, id=authenticator.pk)


def _is_passed(request: HttpRequest) -> bool:
    """Within the longest session of staff, however the session came about."""
    since = time.time() - longest(is_staff=True)
    records = get_authentication_records(request, request.user)
    return any(entry.get("method") == "mfa" and entry.get("at", 0) > since for entry in records)
