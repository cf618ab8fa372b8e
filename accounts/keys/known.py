"""A key whose text somebody took along who left: it lives on under another member, for some days, until it is rotated.

Meanwhile it calls models and reads, and does nothing else: who left would make keys with it, give it a new text of
their own, or come back by an invitation. A new text is known to its keeper alone: a trigger of the key then forgets who
knew the old one, and until when.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from accounts.models import ApiKey, User
from accounts.roles import DEFAULT_SCOPES

KEEPS = timedelta(days=7)
"""How long such a key may live."""


def hand_over(key: ApiKey, *, keeper: User, now: datetime) -> None:
    """Have a key that `may_live_on` do so under `keeper`; who made it knows it."""
    end = now + KEEPS
    due = min(end, key.expires_at or end)
    ApiKey.objects.filter(pk=key.pk).update(
        created_by=keeper,
        known_to=key.created_by_id,
        rotate_by=due,
        own_expiry=key.expires_at,
        expires_at=due,
        scopes=_left_of(key.scopes),
    )


def may_live_on(key: ApiKey) -> bool:
    """Whether there is anything left that it may be used for."""
    return bool(_left_of(key.scopes))


def does_more(key: ApiKey, scopes: Collection[str]) -> bool:
    """Whether new scopes would let a key that others know do more than it may."""
    return key.rotate_by is not None and not set(scopes) <= set(DEFAULT_SCOPES)


def _left_of(scopes: Collection[str]) -> list[str]:
    return [str(scope) for scope in DEFAULT_SCOPES if scope in scopes]


def outlives(key: ApiKey, expires_at: datetime | None) -> bool:
    """Whether a new expiry would let a key live that others know for longer than it may."""
    return key.rotate_by is not None and (expires_at is None or expires_at > key.rotate_by)
