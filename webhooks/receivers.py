"""What webhooks do when accounts says that something became true."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from accounts.models import Membership
from accounts.signals import member_changed
from webhooks import known


@receiver(member_changed)
def mark_what_they_know(sender: Any, *, member: Membership, what: str, now: datetime, **_kwargs: Any) -> None:
    known.changed(member, what=what, now=now)
