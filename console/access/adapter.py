"""How allauth signs people up here: what a confirmed address brings, whose language a mail is in, and its links."""

import logging
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.people import signup
from accounts.people.addresses import MOST_LENGTH, canonical
from accounts.people.customers import memberships
from accounts.people.inviting import waiting_for
from accounts.security import log as security_log
from core.addresses import origin, parsed, request_address
from core.crypto import decrypt, encrypt
from core.outside import outside

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Keep the language a person signed up in, for the mails."""
        user.language = translation.get_language() or settings.LANGUAGE_CODE
        saved: User = super().save_user(request, user, form, commit)
        return saved

    def clean_email(self, email: str) -> str:
        """One spelling of each address; one that is too long to be written to is refused, not cut."""
        cleaned = canonical(super().clean_email(email))
        if len(cleaned) > MOST_LENGTH:
            raise ValidationError(_("An email address has at most 254 characters."))
        return cleaned

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """By the address alone: allauth's own takes the request's Host along, which the guesser chooses."""
        return canonical(str(credentials.get("email") or credentials.get("username") or ""))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            security_log.locked_out(request, name=self._get_login_attempts_cache_key(request, **credentials))
            raise

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """The address is confirmed and the customer opened together, or neither."""
        with transaction.atomic():
            confirmed: bool = super().confirm_email(request, email_address)
            if confirmed:
                signup.arrive(user=email_address.user, address=request_address(request), now=timezone.now())
        return confirmed

    def get_client_ip(self, request: HttpRequest) -> str:
        """What allauth's own rate limits count by: the address that TRUSTED_PROXY_DEPTH decides."""
        address = origin(request_address(request))
        return address if parsed(address) else "::"  # a socket's peer has none, and a session's row asks for one

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Staff without a customer of their own go to their desk, the invited to what they are to answer."""
        user: Any = request.user
        if not memberships(user).exists():
            if user.is_staff:
                return reverse("admin:index")
            if waiting_for(user, now=timezone.now()).exists():
                return reverse("invitations")
        return str(super().get_login_redirect_url(request))

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Show the pages in the language this person chose before, on whatever machine."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=settings.SESSION_COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            samesite="Lax",
        )
        return response

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """What was done is done, also where no mail server takes the notice of it."""
        try:
            super().send_notification_mail(template_prefix, user, {"user": user, **(context or {})}, email)
        except OSError as error:  # smtplib's errors are OSErrors
            log.warning("no mail about %s: %s", template_prefix, type(error).__name__)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the language of the person it goes to, where there is one."""
        user = context.get("user") or User.objects.filter(email=email.lower()).first()
        language = user.language if isinstance(user, User) else translation.get_language()
        with translation.override(language or settings.LANGUAGE_CODE), outside():
            super().send_mail(template_prefix, email, {**context, "host": urlsplit(settings.SITE_URL).netloc})

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _at_home(super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return _at_home(super().get_reset_password_from_key_url(key))


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """The secrets of second factors are encrypted at rest."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)


def _at_home(url: str) -> str:
    """The same page at SITE_URL: what a mail links to does not depend on the request's Host."""
    return str(settings.SITE_URL) + urlsplit(url).path
