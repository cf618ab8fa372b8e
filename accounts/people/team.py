"""The people of an account: roles, removal and leaving. All acts on one account's team wait for each other.

A removed member's keys end with the membership (a signal), however it ends; that there is always an owner is a
trigger's to hold.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Greatest
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.keys import issuing
from accounts.keys.known import hand_over, may_live_on
from accounts.models import ApiKey, Customer, Invitation, KeyMeter, Membership, User
from accounts.people.names import tidy
from accounts.roles import Right, Role, rights_of
from accounts.signals import member_changed, people_change
from core.states import move_all


class TeamError(Exception):
    """What cannot be done with a team; the text is for its people. `field`: what was wrong of what they gave."""

    retry_after: int | None = None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotAllowed(TeamError):
    """Whoever asks is no owner, or no longer one."""


class Conflict(TeamError):
    """It has become something else meanwhile."""


def lock(customer: Customer) -> Customer:
    """The account, until the transaction ends; whoever acts on its people waits here."""
    people_change.send(sender=Customer, customer_id=customer.pk)
    return Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)


def check_may(customer: Customer, by: User | None, right: Right = Right.MEMBERS) -> None:
    """Raise `NotAllowed` unless `by` has the right now, under the lock. None is the operator."""
    if by is None:
        return
    role = Membership.objects.filter(customer=customer, user=by).values_list("role", flat=True).first()
    if right not in rights_of(role or ""):
        raise NotAllowed(_("You are no longer an owner of this account."))


def rename(*, customer: Customer, name: str, by: User | None) -> str:
    """Give an account another name; return it as it is kept."""
    kept = tidy(name)
    if not kept:
        raise TeamError(_("An account has a name."), field="name")
    with transaction.atomic():
        lock(customer)
        check_may(customer, by, Right.ACCOUNT)
        Customer.objects.filter(pk=customer.pk).update(name=kept)
    return kept


@transaction.atomic
def change_role(*, customer: Customer, member_id: int, role: str, by: User | None, now: datetime) -> Membership:
    """Give a member another role, from the next request on. What a member who was an owner invited to is revoked."""
    if role not in set(Role):
        raise TeamError(_("A role is owner, developer or viewer."), field="role")
    lock(customer)
    check_may(customer, by)
    member = _member(customer, member_id)
    before = member.role
    if before == role:
        return member
    if before == Role.OWNER:
        _check_not_last(member)
    member.role = role
    member.save(update_fields=["role"])
    role_changed(member, before=before, by=by, now=now)
    return member


def role_changed(member: Membership, *, before: str, by: User | None, now: datetime) -> None:
    """What follows from another role, whoever gave it, in the transaction that did; None: the operator."""
    if before == Role.OWNER:
        _revoke_those_of(member, by=by, now=now)
    member_changed.send(sender=Membership, member=member, what="role", by=by, now=now)


def added(member: Membership, *, now: datetime) -> None:
    """The operator put somebody into an account, without an invitation: it is told, in the same transaction."""
    member_changed.send(sender=Membership, member=member, what="added", by=None, now=now)


@transaction.atomic
def remove(
    *,
    customer: Customer,
    member_id: int,
    by: User | None,
    now: datetime,
    keep: Sequence[int] = (),
    under: int | None = None,
) -> Membership:
    """End a membership, one's own too. Its keys end with it, but those of `keep`, which live on under the member
    `under` for some days. Raises `TeamError`.
    """
    lock(customer)
    member = _member(customer, member_id)
    is_own = by is not None and member.user_id == by.pk
    if not is_own or keep:
        check_may(customer, by)
    if member.role == Role.OWNER:
        _check_not_last(member)
    if keep:
        _lock_keys(member)
        _hand_over(member, keys=keep, under=under, now=now)
    _end(member, by=by, now=now)
    return member


def members(customer: Customer) -> QuerySet[Membership]:
    """An account's members, the oldest first, each with `keys_count`, keys that work, and `seen_at`, if ever."""
    keys = ApiKey.objects.filter(
        customer_id=OuterRef("customer_id"), created_by_id=OuterRef("user_id"), is_active=True, deleted_at__isnull=True
    )
    sessions = UserSession.objects.filter(user_id=OuterRef("user_id")).order_by("-last_seen_at")
    return (
        Membership.objects.filter(customer=customer)
        .select_related("user", "customer", "meter")
        .annotate(
            keys_count=Coalesce(
                Subquery(keys.order_by().values("created_by").annotate(n=Count("pk")).values("n")), Value(0)
            ),
            seen_at=Greatest("user__last_login", Subquery(sessions.values("last_seen_at")[:1])),
        )
        .order_by("id")
    )


def keys_of(member: Membership, *, now: datetime) -> list[ApiKey]:
    """The keys that a member made in the account and that can be used, but for a budget's, which ends with its run."""
    working = issuing.working_ones_of(member.user, now=now).filter(customer_id=member.customer_id)
    return list(working.filter(child__isnull=True).order_by("-id"))


def _end(member: Membership, *, by: User | None, now: datetime) -> None:
    member.ended = (by, now)  # type: ignore[attr-defined]  # for the signal
    pk = member.pk
    member.delete()
    member.pk = pk


def _member(customer: Customer, member_id: int) -> Membership:
    found = Membership.objects.select_related("user", "customer").filter(customer=customer, pk=member_id).first()
    if found is None:
        raise no_such_member()
    return found


def no_such_member() -> Conflict:
    return Conflict(_("There is no such member, or no longer."))


def _check_not_last(member: Membership) -> None:
    others = Membership.objects.filter(customer_id=member.customer_id, role=Role.OWNER).exclude(pk=member.pk)
    if not others.exists():
        raise Conflict(_("An account has at least one owner: make somebody else one first."), field="role")


def _hand_over(member: Membership, *, keys: Sequence[int], under: int | None, now: datetime) -> None:
    keeper = Membership.objects.filter(customer_id=member.customer_id, pk=under or 0).exclude(pk=member.pk).first()
    if keeper is None or Right.OWN_KEYS not in rights_of(keeper.role):
        raise TeamError(_("Choose a member who may have keys."), field="under")
    wanted = [key for key in reversed(keys_of(member, now=now)) if key.pk in set(keys)]
    if len(wanted) < len(set(keys)):
        raise Conflict(_("One of these keys has ended meanwhile."), field="keep")
    if not all(may_live_on(key) for key in wanted):
        raise TeamError(_("A key that neither calls models nor reads cannot live on."), field="keep")
    for key in wanted:
        hand_over(key, keeper=keeper.user, now=now)


def _revoke_those_of(member: Membership, *, by: User | None, now: datetime) -> None:
    """An owner who no longer is one leaves no door open."""
    rows = Invitation.objects.filter(customer_id=member.customer_id, invited_by=member.user_id)
    move_all(rows, to=Invitation.State.REVOKED, ended_at=now, ended_by=by)


def _lock_keys(member: Membership) -> None:
    """Who rotates a key locks it, then its meter; admission locks meters by id: so does whoever ends several."""
    keys = ApiKey.objects.filter(customer_id=member.customer_id, created_by_id=member.user_id).order_by("pk")
    locked = list(keys.select_for_update(no_key=True).values_list("pk", flat=True))
    meters = KeyMeter.objects.filter(pk__in=locked).order_by("pk")
    list(meters.select_for_update(no_key=True).values_list("pk", flat=True))


def _ends(sender: Any, instance: Membership, **kwargs: Any) -> None:
    """Signal before a membership ends, in its transaction."""
    people_change.send(sender=Customer, customer_id=instance.customer_id)
    _lock_keys(instance)


def _ended(sender: Any, instance: Membership, **kwargs: Any) -> None:
    """Signal after a membership has ended, at the desk too: its keys end, and it is told."""
    by, now = getattr(instance, "ended", None) or (None, timezone.now())
    keys = ApiKey.objects.filter(customer_id=instance.customer_id, created_by_id=instance.user_id)
    for key in keys.filter(deleted_at__isnull=True).order_by("pk"):
        issuing.delete(key=key, now=now)
    _revoke_those_of(instance, by=by, now=now)
    what = "left" if by is not None and by.pk == instance.user_id else "removed"
    member_changed.send(sender=Membership, member=instance, what=what, by=by, now=now)


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    pre_delete.connect(_ends, sender=Membership, dispatch_uid="membership_ends")
    post_delete.connect(_ended, sender=Membership, dispatch_uid="membership_ended")
