"""A key whose text somebody took along who left: it lives on under another member, for some days, until it is rotated.

A new text is known to its keeper alone: a trigger of the key then forgets who knew the old one, and until when.
"""

from datetime import datetime, timedelta

from accounts.models import ApiKey, User

KEEPS = timedelta(days=7)
"""How long such a key may live."""


def hand_over(key: ApiKey, *, keeper: User, now: datetime) -> None:
    """Have a key live on under `keeper`; who made it knows it."""
    end = now + KEEPS
    due = min(end, key.expires_at or end)
    ApiKey.objects.filter(pk=key.pk).update(
        created_by=keeper, known_to=key.created_by_id, rotate_by=due, own_expiry=key.expires_at, expires_at=due
    )


def outlives(key: ApiKey, expires_at: datetime | None) -> bool:
    """Whether a new expiry would let a key live that others know for longer than it may."""
    return key.rotate_by is not None and (expires_at is None or expires_at > key.rotate_by)
