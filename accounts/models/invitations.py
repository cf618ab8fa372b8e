"""Invitations to an account (Invitation); what is done with one stands in `accounts/people/inviting.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Customer, Membership, User
from accounts.roles import Role
from core.states import Machine

LIVES = timedelta(days=7)
MOST_OPEN = 20
MOST_A_DAY = 50
"""Of an account; one that is sent again counts anew, as it is a mail more to somebody who may not want it."""
KEPT = timedelta(days=90)
"""How long one that came to nothing stays: it holds a stranger's address."""


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def waiting(self, *, now: datetime) -> InvitationQuerySet:
        """Those that can be accepted."""
        return self.filter(state=Invitation.State.OPEN, expires_at__gt=now)


class Invitation(models.Model):
    """One address is asked to join one account. Only the hash of its token is kept; sent again, it is another row."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        ACCEPTED = "accepted", _("accepted")
        DECLINED = "declined", _("declined")
        REVOKED = "revoked", _("revoked")

    MACHINE: ClassVar[Machine] = Machine(
        "invitation",
        State,
        moves=dict.fromkeys((State.ACCEPTED, State.DECLINED, State.REVOKED), (State.OPEN,)),
        starts=(State.OPEN,),
        ends=(State.ACCEPTED, State.DECLINED, State.REVOKED),
    )

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="invitations", verbose_name=_("customer")
    )
    email = models.EmailField(_("email address"))
    role = models.CharField(_("role"), max_length=20, choices=[(role.value, role.value) for role in Role])
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.OPEN)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("invited by"),
        help_text=_("Empty: by the operator."),
    )
    created_at = models.DateTimeField(_("sent at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("ended by")
    )

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "email"], condition=Q(state="open"), name="invitation_open_once_an_address"
            ),
            models.CheckConstraint(
                condition=Q(state="open", ended_at__isnull=True) | (~Q(state="open") & Q(ended_at__isnull=False)),
                name="invitation_ended_unless_open",
            ),
        ]
        indexes = [
            models.Index(fields=["email"], condition=Q(state="open"), name="invitation_open_email"),
            models.Index(fields=["customer", "-created_at"], name="invitation_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.email}: {self.customer}"

    @property
    def role_name(self) -> str:
        """Its role for people."""
        return str(Membership.Role(self.role).label)

    def standing(self, *, now: datetime) -> str:
        """Its state for people, `expired` included."""
        return "expired" if self.state == self.State.OPEN and self.expires_at <= now else str(self.state)
