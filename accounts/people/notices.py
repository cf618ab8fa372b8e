"""What the owner of an address hears of beside allauth's own notices: addresses that came or went."""

from typing import TYPE_CHECKING, Any

from allauth.account import signals
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress

if TYPE_CHECKING:
    from django.http import HttpRequest


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    signals.email_added.connect(_added, dispatch_uid="notice_address_added")
    signals.email_removed.connect(_removed, dispatch_uid="notice_address_removed")


def _added(sender: Any, request: "HttpRequest", user: Any, email_address: EmailAddress, **kwargs: Any) -> None:
    get_adapter().send_notification_mail("account/email/email_added", user, {"added_email": email_address.email})


def _removed(sender: Any, request: "HttpRequest", user: Any, email_address: EmailAddress, **kwargs: Any) -> None:
    """allauth tells the address that stays. One that nobody confirmed may be a stranger's."""
    if email_address.verified:
        context = {"deleted_email": email_address.email}
        get_adapter().send_notification_mail("account/email/email_deleted", user, context, email=email_address.email)
