"""Issue, look up and revoke `ck-` keys."""

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import ApiKey, Customer, User

ALPHABET = string.ascii_letters + string.digits
FORM = re.compile(r"ck-[a-zA-Z0-9]{32}")


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its text, which nobody can read again."""

    key: ApiKey
    text: str


def digest(text: str) -> str:
    """What is stored of a key: the SHA-256 of its text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_well_formed(text: str) -> bool:
    return FORM.fullmatch(text) is not None


def issue(
    *,
    customer: Customer,
    name: str,
    now: datetime,
    created_by: User | None = None,
    expires_at: datetime | None = None,
    allowed_models: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
    rpm_limit: int | None = None,
    daily_limit: Decimal | None = None,
    total_limit: Decimal | None = None,
) -> IssuedKey:
    """Make a key of 32 random characters; caps in USD, `allowed_ips` in CIDR form."""
    text = "ck-" + "".join(secrets.choice(ALPHABET) for _ in range(32))
    key = ApiKey.objects.create(
        customer=customer,
        name=name,
        prefix=text[:7],
        sha256=digest(text),
        created_by=created_by,
        created_at=now,
        expires_at=expires_at,
        allowed_models=list(allowed_models),
        allowed_ips=list(allowed_ips),
        rpm_limit=rpm_limit,
        daily_limit=daily_limit,
        total_limit=total_limit,
    )
    return IssuedKey(key=key, text=text)


def find(text: str) -> ApiKey | None:
    """The key with that text, or None; read from its row each time, so that a revocation holds at once."""
    if not is_well_formed(text):
        return None
    return ApiKey.objects.select_related("customer").filter(sha256=digest(text)).first()


def delete(*, key: ApiKey, now: datetime) -> None:
    """Revoke for good, from the next request on. The row stays: past requests name it."""
    ApiKey.objects.filter(pk=key.pk, deleted_at__isnull=True).update(is_active=False, deleted_at=now)


def switch(*, key: ApiKey, active: bool) -> None:
    """Disable a key, or enable it again, from the next request on; a deleted one stays as it is."""
    ApiKey.objects.filter(pk=key.pk, deleted_at__isnull=True).update(is_active=active)
