"""Invite an address into an account, take that back, accept or decline it.

A token is shown to nobody but the address it is for. Accepting asks for more: a login that has confirmed the address.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.keys.issuing import digest
from accounts.models import Customer, Invitation, Membership, User, WelcomedAddress
from accounts.models.invitations import LIVES, MOST_A_DAY, MOST_OPEN, InvitationQuerySet
from accounts.people.addresses import MOST_LENGTH, canonical, mailbox
from accounts.people.team import Conflict, NotAllowed, TeamError, check_may, lock
from accounts.roles import Role
from accounts.signals import invitation_ended, invitation_made, member_changed
from core.crypto import keyed_hash
from core.states import move, move_all

State = Invitation.State
DAY = timedelta(days=1)


class TooManyInvitations(TeamError):
    """The account has sent as many as it may lately; `retry_after` says in how many seconds there is room."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Ended(Conflict):
    """The invitation can no longer be accepted."""


def invite(
    *,
    customer: Customer,
    email: str,
    role: str,
    by: User | None,
    now: datetime,
    in_transaction: Callable[[Invitation], None] = lambda _made: None,
) -> Invitation:
    """Ask an address to join; None is the operator. Raises `TeamError`."""
    address = _address(email)
    if role not in set(Role):
        raise TeamError(_("A role is owner, developer or viewer."), field="role")
    with transaction.atomic():
        lock(customer)
        check_may(customer, by)
        if Membership.objects.filter(customer=customer, user__in=_people_of(address)).exists():
            raise Conflict(_("This address belongs to a member already."), field="email")
        earlier = Invitation.objects.filter(customer=customer, email=address, state=State.OPEN).first()
        if earlier is not None:
            if earlier.expires_at > now:
                raise Conflict(_("This address is invited already. You can send that invitation again."), field="email")
            move(earlier, to=State.REVOKED, error=Ended, ended_at=now, ended_by=by)
        made = _make(customer, address, role, by=by, now=now)
        in_transaction(made)
    return made


@transaction.atomic
def send_again(*, customer: Customer, invitation_id: int, by: User | None, now: datetime) -> Invitation:
    """Another invitation in the place of one that nobody has answered; the link of that works no more."""
    lock(customer)
    check_may(customer, by)
    earlier = _of(customer, invitation_id)
    _end(earlier, to=State.REVOKED, by=by, now=now)
    return _make(customer, earlier.email, earlier.role, by=by, now=now)


@transaction.atomic
def revoke(*, customer: Customer, invitation_id: int, by: User | None, now: datetime) -> Invitation:
    """Take one back; doing it again changes nothing. Raises `Conflict` for one that was accepted or declined."""
    lock(customer)
    check_may(customer, by)
    invitation = _of(customer, invitation_id)
    if invitation.state != State.REVOKED:
        _end(invitation, to=State.REVOKED, by=by, now=now)
    return invitation


def find(token: str) -> Invitation | None:
    """The invitation that a link leads to."""
    rows = Invitation.objects.select_related("customer", "invited_by")
    return rows.filter(token_hash=digest(token)).first() if token else None


def waiting_for(user: User, *, now: datetime) -> InvitationQuerySet:
    """What somebody may accept: invitations to the addresses that this login has confirmed."""
    own = [canonical(email) for email in _confirmed(user)]
    return Invitation.objects.waiting(now=now).filter(email__in=own).select_related("customer", "invited_by")


def is_for(invitation: Invitation, user: User) -> bool:
    """Whether this login has confirmed the address that is invited."""
    return invitation.email in {canonical(email) for email in _confirmed(user)}


@transaction.atomic
def accept(*, invitation: Invitation, user: User, now: datetime) -> Membership:
    """Join, once. Who belongs to the account already keeps the role they have. Raises `NotAllowed`, `Ended`."""
    customer = lock(invitation.customer)
    invitation.refresh_from_db()
    if not is_for(invitation, user):
        raise NotAllowed(_("This invitation is for another address than those that this login has confirmed."))
    if invitation.standing(now=now) != State.OPEN or not _may_still_invite(invitation):
        raise Ended(_("This invitation is no longer valid. Ask for a new one."))
    member = Membership.objects.filter(customer=customer, user=user).first()
    move(invitation, to=State.ACCEPTED, error=Ended, ended_at=now, ended_by=user)
    if member is not None:
        return member
    member = Membership.objects.create(customer=customer, user=user, role=invitation.role, created_at=now)
    # An invited member is given no welcome credit, later and after a deletion neither.
    hashed = keyed_hash(mailbox(user.email), purpose="welcome")
    WelcomedAddress.objects.bulk_create([WelcomedAddress(address_hash=hashed, granted_at=now)], ignore_conflicts=True)
    member_changed.send(sender=Membership, member=member, what="joined", by=invitation.invited_by, now=now)
    return member


@transaction.atomic
def decline(*, invitation: Invitation, user: User, now: datetime) -> None:
    """Say no, for good. Raises `NotAllowed`, `Ended`."""
    lock(invitation.customer)
    if not is_for(invitation, user):
        raise NotAllowed(_("This invitation is for another address than those that this login has confirmed."))
    _end(invitation, to=State.DECLINED, by=user, now=now)


def _make(customer: Customer, email: str, role: str, *, by: User | None, now: datetime) -> Invitation:
    rows = Invitation.objects.filter(customer=customer)
    if rows.waiting(now=now).count() >= MOST_OPEN:
        words = _("%(most)s invitations are open, the most there may be. Revoke one first.")
        raise Conflict(words % {"most": MOST_OPEN})
    lately = list(rows.filter(created_at__gt=now - DAY).order_by("-created_at").values_list("created_at", flat=True))
    if len(lately) >= MOST_A_DAY:
        words = _("%(most)s invitations were sent within a day, the most there may be. Try again later.")
        wait = lately[MOST_A_DAY - 1] + DAY - now
        raise TooManyInvitations(words % {"most": MOST_A_DAY}, retry_after=int(wait.total_seconds()) + 1)
    token = get_random_string(43)
    made = Invitation.objects.create(
        customer=customer,
        email=email,
        role=role,
        token_hash=digest(token),
        invited_by=by,
        created_at=now,
        expires_at=now + LIVES,
    )
    invitation_made.send(sender=Invitation, invitation=made, token=token, now=now)
    return made


def _of(customer: Customer, invitation_id: int) -> Invitation:
    found = Invitation.objects.filter(customer=customer, pk=invitation_id).first()
    if found is None:
        raise Conflict(_("There is no such invitation."))
    return found


def _end(invitation: Invitation, *, to: str, by: User | None, now: datetime) -> None:
    if not move_all(Invitation.objects.filter(pk=invitation.pk), to=to, ended_at=now, ended_by=by):
        invitation.refresh_from_db()
        words = _("This invitation is %(state)s already.")
        raise Ended(words % {"state": State(invitation.state).label})
    invitation.refresh_from_db()
    invitation_ended.send(sender=Invitation, invitation=invitation, now=now)


def _may_still_invite(invitation: Invitation) -> bool:
    """What an owner promised who no longer is one, as staff may have decided, is not kept."""
    inviter = invitation.invited_by_id
    owners = Membership.objects.filter(customer_id=invitation.customer_id, role=Role.OWNER)
    return inviter is None or owners.filter(user_id=inviter).exists()


def _address(email: str) -> str:
    address = canonical(email)
    try:
        validate_email(address)
    except ValidationError:
        raise TeamError(_("Enter an email address."), field="email") from None
    if len(address) > MOST_LENGTH:
        raise TeamError(_("An email address has at most 254 characters."), field="email")
    return address


def _confirmed(user: User) -> list[str]:
    return list(EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True))


def _people_of(address: str) -> list[int]:
    """Whose address this is, as far as it is confirmed."""
    owners = EmailAddress.objects.filter(email=address, verified=True).values_list("user_id", flat=True)
    return [*owners, *User.objects.filter(email=address).values_list("pk", flat=True)]
