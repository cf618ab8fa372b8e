"""What happens to logins and keys: one JSON line each in the log, and a row for the pages of whom it concerns.

Lines go to the logger `chuizi.security`: `event`, `request_id`, `address`, `user`, `customer`, and what else is told.
Never a password, a code or a key's text.
"""

import json
import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Customer, SecurityEvent, User

log = logging.getLogger("chuizi.security")
Kind = SecurityEvent.Kind
LONGEST = 200


def note(
    kind: str,
    *,
    request: HttpRequest | None,
    user: User | None = None,
    customer: Customer | None = None,
    keep: bool = True,
    **told: Any,
) -> None:
    """Write an event down. `keep` is false for what a stranger can make happen any number of times: log only."""
    from accounts.authentication import request_address

    address = request_address(request) if request is not None else ""
    agent = request.headers.get("User-Agent", "") if request is not None else ""
    line = {
        "event": str(kind),
        "request_id": getattr(request, "request_id", ""),
        "address": address,
        "user": user.pk if user is not None else None,
        "customer": customer.pk if customer is not None else None,
        **told,
    }
    log.info("%s", json.dumps(line, ensure_ascii=True, default=str))
    if keep and (user is not None or customer is not None):
        SecurityEvent.objects.create(
            user=user,
            customer=customer,
            kind=kind,
            address=address[:45],
            agent=agent.replace("\0", "")[:LONGEST],
            about=str(next(iter(told.values()), ""))[:LONGEST],
            at=timezone.now(),
        )


def connect() -> None:
    """Listen to Django's and allauth's signals; called once, when the apps are ready."""
    from allauth.account import signals as account
    from allauth.mfa import signals as mfa

    def of_user(kind: str) -> Any:
        def receive(sender: Any, request: HttpRequest, user: User, **_kwargs: Any) -> None:
            note(kind, request=request, user=user)

        return receive

    def failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
        name = str(credentials.get("email") or credentials.get("username") or "").lower()
        user = User.objects.filter(email=name).first()
        # allauth tries two backends; the row is for the owner of the address, once an attempt.
        is_told = getattr(request, "login_failure_told", False)
        if request is not None:
            request.login_failure_told = True  # type: ignore[attr-defined]
        if not is_told:
            note(Kind.LOGIN_FAILED, request=request, user=user, login=name[:LONGEST])

    def address(kind: str) -> Any:
        def receive(sender: Any, request: HttpRequest, user: User, email_address: Any, **_kwargs: Any) -> None:
            note(kind, request=request, user=user, email=email_address.email)

        return receive

    def changed(sender: Any, request: HttpRequest, user: User, to_email_address: Any, **_kwargs: Any) -> None:
        note(Kind.ADDRESS_PRIMARY, request=request, user=user, email=to_email_address.email)

    def factor(kind: str) -> Any:
        def receive(sender: Any, request: HttpRequest, user: User, authenticator: Any, **_kwargs: Any) -> None:
            note(kind, request=request, user=user, type=authenticator.get_type_display())

        return receive

    for signal, receiver in (
        (user_logged_in, of_user(Kind.LOGIN)),
        (user_login_failed, failed),
        (account.password_changed, of_user(Kind.PASSWORD_CHANGED)),
        (account.password_set, of_user(Kind.PASSWORD_CHANGED)),
        (account.password_reset, of_user(Kind.PASSWORD_RESET)),
        (account.email_added, address(Kind.ADDRESS_ADDED)),
        (account.email_removed, address(Kind.ADDRESS_REMOVED)),
        (account.email_changed, changed),
        (mfa.authenticator_added, factor(Kind.FACTOR_ADDED)),
        (mfa.authenticator_removed, factor(Kind.FACTOR_REMOVED)),
        (mfa.authenticator_reset, factor(Kind.FACTOR_ADDED)),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"security_{id(signal)}")
