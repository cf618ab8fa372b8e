"""What is looked for after a break-in: who logged in or tried to, what changed of a login and its keys, from where.

One JSON object a line in the log `accounts.security`, and a row for the page of whom it concerns. Nothing that was
typed stands there: strangers type passwords into any field.
"""

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allauth.account import signals as account
from allauth.mfa import signals as second_factors
from django.contrib.auth import signals as auth
from django.utils import timezone

from accounts.models import ApiKey, SecurityEvent, User
from accounts.signals import key_refused
from core.addresses import request_address

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger("accounts.security")
Kind = SecurityEvent.Kind
SIGNALS = (
    (Kind.LOGIN, auth.user_logged_in),
    (Kind.LOGOUT, auth.user_logged_out),
    (Kind.PASSWORD_CHANGED, account.password_changed),
    (Kind.PASSWORD_CHANGED, account.password_set),
    (Kind.PASSWORD_RESET, account.password_reset),
    (Kind.ADDRESS_ADDED, account.email_added),
    (Kind.ADDRESS_PRIMARY, account.email_changed),
    (Kind.ADDRESS_REMOVED, account.email_removed),
    (Kind.FACTOR_ADDED, second_factors.authenticator_added),
    (Kind.FACTOR_ADDED, second_factors.authenticator_reset),
    (Kind.FACTOR_REMOVED, second_factors.authenticator_removed),
    (Kind.FACTOR_USED, second_factors.authenticator_used),
    (Kind.FACTOR_FAILED, second_factors.authentication_failed),
)
LOCKED_EVERY = timedelta(hours=1)


def note(
    kind: SecurityEvent.Kind,
    *,
    request: "HttpRequest | None",
    user: Any = None,
    key: ApiKey | None = None,
    about: str = "",
    why: str = "",
    keep: bool = True,
) -> None:
    """Write an event down. `keep` is false for what a stranger can make happen any number of times: the log alone."""
    user_id = user.pk if isinstance(user, User) else None
    address = "" if request is None else request_address(request)[:45]
    request_id = str(getattr(request, "request_id", ""))
    now = timezone.now()
    line = {"event": kind.value, "user": user_id, "address": address, "request_id": request_id, "at": now.isoformat()}
    if key is not None:
        line["key"] = key.pk
    if why:
        line["why"] = why
    log.info("%s", json.dumps(line))
    if keep and user_id is not None:
        SecurityEvent.objects.create(
            user_id=user_id,
            kind=kind,
            about=(about if key is None else str(key))[:120],
            address=address,
            request_id=request_id,
            at=now,
        )


def note_team(
    kind: SecurityEvent.Kind, *, request: "HttpRequest | None", by: User | None, about: str, of: User | None = None
) -> None:
    """What somebody did with an account's people, on their page and on that of whom it is about."""
    for user in {person.pk: person for person in (by, of) if person is not None}.values():
        note(kind, request=request, user=user, about=about)


def locked_out(request: "HttpRequest", *, name: str) -> None:
    """An attempt on this address that was not even tried; its owner's page shows one an hour."""
    user = User.objects.filter(email=name).first()
    recent = SecurityEvent.objects.filter(user=user, kind=Kind.LOCKED_OUT, at__gt=timezone.now() - LOCKED_EVERY)
    note(Kind.LOCKED_OUT, request=request, user=user, keep=user is not None and not recent.exists())


def _key_refused(sender: Any, request: "HttpRequest", key: ApiKey | None, why: str, **_given: Any) -> None:
    note(Kind.KEY_REFUSED, request=request, key=key, why=why, keep=False)


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    for number, (kind, signal) in enumerate(SIGNALS):
        signal.connect(_noting(kind), weak=False, dispatch_uid=f"security_log_{number}")
    auth.user_login_failed.connect(_failed, dispatch_uid="security_log_failed")
    key_refused.connect(_key_refused, dispatch_uid="security_log_key_refused")


def _noting(kind: SecurityEvent.Kind) -> Any:
    def listen(sender: Any, request: "HttpRequest | None" = None, user: Any = None, **_given: Any) -> None:
        note(kind, request=request, user=user)

    return listen


def _failed(sender: Any, credentials: dict[str, Any], request: "HttpRequest | None" = None, **_given: Any) -> None:
    typed = str(credentials.get("email") or credentials.get("username") or "").strip().lower()
    note(Kind.LOGIN_FAILED, request=request, user=User.objects.filter(email=typed).first())
