"""What is told of an account's people: to whom is invited, to its owners, and to whom was removed."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Invitation, Membership, User
from accounts.people.customers import language_of
from accounts.people.names import told
from billing.models import Event
from billing.outbox import events, mail
from billing.outbox.kinds import Fact
from core.crypto import encrypt

WORDS = (
    Fact.INVITATION_SENT,
    Fact.MEMBER_JOINED,
    Fact.MEMBER_ADDED,
    Fact.MEMBER_ROLE,
    Fact.MEMBER_LEFT,
    Fact.MEMBER_REMOVED,
)
"""The kinds that have words here."""


def invited(invitation: Invitation, *, token: str, now: datetime) -> None:
    """Write to the address, in the inviter's language. The token is encrypted until the mail leaves."""
    data = {
        "email": invitation.email,
        "account": told(invitation.customer.name),
        "by": _name(invitation.invited_by),
        "role": invitation.role,
        "until": f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC",
        "locale": invitation.invited_by.language if invitation.invited_by else language_of(invitation.customer),
        "sealed": encrypt(token),
        "invitation": invitation.pk,
    }
    events.record(
        Fact.INVITATION_SENT,
        key=f"invitation:{invitation.pk}:sent",
        subject=f"invitation {invitation.pk}",
        data=data,
        now=now,
        customer_id=invitation.customer_id,
    )


def changed(member: Membership, *, what: str, by: User | None, now: datetime) -> None:
    """Tell the owners that somebody joined, left or got another role, and somebody removed that they are.

    What waits to be sent to who is no longer a member is not sent.
    """
    data = {
        "email": member.user.email,
        "account": told(member.customer.name),
        "by": _name(by),
        "role": member.role,
        "locale": language_of(member.customer),
    }
    fact = {"joined": Fact.MEMBER_JOINED, "added": Fact.MEMBER_ADDED, "role": Fact.MEMBER_ROLE}.get(
        what, Fact.MEMBER_LEFT
    )
    _record(fact, member, data, now=now)
    if fact == Fact.MEMBER_LEFT:
        mail.put_aside_those_to(customer_id=member.customer_id, address=member.user.email, now=now)
    if what == "removed":
        _record(Fact.MEMBER_REMOVED, member, {**data, "locale": member.user.language}, now=now)


def uninvited(invitation: Invitation, *, now: datetime) -> None:
    """What waits to be sent of an invitation that has ended is not sent."""
    mail.put_aside_those_about(f"invitation {invitation.pk}", customer_id=invitation.customer_id, now=now)


def _record(fact: Fact, member: Membership, data: dict[str, Any], *, now: datetime) -> None:
    events.record(
        fact,
        key=f"member:{member.pk}:{fact.step}",
        subject=f"member {member.pk}",
        data=data,
        now=now,
        customer_id=member.customer_id,
        may_come_again=fact == Fact.MEMBER_ROLE,
    )


def _name(user: User | None) -> str:
    return "" if user is None else user.email


def letter(event: Event) -> mail.Letter:
    """The mail about a fact of these."""
    data = event.data
    with translation.override(data["locale"]):
        subject, text = _words(event.kind, {**data, "by": data["by"] or _("Support"), "role": _role(data["role"])})
    to, page, sealed = mail.owners_of(event.customer_id), "/console/team", ""
    if event.kind == Fact.INVITATION_SENT:
        is_open = Invitation.objects.filter(pk=data["invitation"], state=Invitation.State.OPEN).exists()
        to = [data["email"]] if is_open else []
        page, sealed = f"/accounts/invitations/{mail.SEALED}", data["sealed"]
    elif event.kind == Fact.MEMBER_REMOVED:
        to, page = [data["email"]], ""
    elif event.kind in (Fact.MEMBER_ROLE, Fact.MEMBER_ADDED):
        to, page = list(dict.fromkeys([*to, data["email"]])), "/console/"
    link = f"\n\n{settings.SITE_URL}{page}" if page else ""
    return mail.Letter(to=to, about=event.subject, subject=subject, body=mail.signed(f"{text}{link}"), sealed=sealed)


def _role(role: str) -> str:
    return str(Membership.Role(role).label).lower()


def _words(kind: str, values: dict[str, Any]) -> tuple[str, str]:
    """Subject and text. The account's name is its owners' to choose, so that it stands in no subject."""
    subjects: dict[str, str] = {
        Fact.INVITATION_SENT: _("You are invited to an account on Chuizi"),
        Fact.MEMBER_JOINED: _("Somebody joined your account"),
        Fact.MEMBER_ADDED: _("Somebody was added to an account"),
        Fact.MEMBER_ROLE: _("A role in an account was changed"),
        Fact.MEMBER_LEFT: _("Somebody no longer belongs to your account"),
        Fact.MEMBER_REMOVED: _("You no longer belong to an account"),
    }
    texts: dict[str, str] = {
        Fact.INVITATION_SENT: _(
            "%(by)s invites you to the account “%(account)s”, as %(role)s. The link below shows the invitation; it"
            " works once, until %(until)s, for a login that has confirmed this address. If you expected nothing of the"
            " kind, do nothing: without you nothing happens."
        ),
        Fact.MEMBER_JOINED: _("%(email)s accepted the invitation of %(by)s to “%(account)s”, as %(role)s."),
        Fact.MEMBER_ADDED: _("%(by)s added %(email)s to “%(account)s”, as %(role)s."),
        Fact.MEMBER_ROLE: _("%(by)s gave %(email)s another role in “%(account)s”: %(role)s."),
        Fact.MEMBER_LEFT: _(
            "%(email)s no longer belongs to “%(account)s” (%(by)s). The keys that they made have ended, but for those"
            " that an owner kept for some days."
        ),
        Fact.MEMBER_REMOVED: _(
            "You no longer belong to the account “%(account)s” (%(by)s). Its pages are closed to you, and the keys that"
            " you made there have ended."
        ),
    }
    return subjects[kind], texts[kind] % values
