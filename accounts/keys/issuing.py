"""Issue, look up and revoke `ck-` keys."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Customer, FormerText, Membership, User
from accounts.roles import ALL_SCOPES, DEFAULT_SCOPES, Role
from accounts.signals import key_ended, key_made

FORM = re.compile(r"ck-[a-zA-Z0-9]{32}")


class TooManyKeys(Exception):
    """The account has as many keys as it may; the text is for its people."""


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


def new_text() -> str:
    """A key as its owner sees it once: 32 random characters of 62."""
    return "ck-" + get_random_string(32)


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
    concurrency_limit: int | None = None,
    daily_limit: Decimal | None = None,
    weekly_limit: Decimal | None = None,
    monthly_limit: Decimal | None = None,
    total_limit: Decimal | None = None,
    scopes: Sequence[str] | None = None,
    made_with: ApiKey | None = None,
) -> IssuedKey:
    """Make a key of 32 random characters; caps in USD, `allowed_ips` in CIDR form. Raises `TooManyKeys`.

    Made by a member (`created_by`) or with one of the account's keys (`made_with`, whose maker is its maker) it has the
    usual two scopes unless they are named; else it is the operator's and has all.
    """
    if made_with is not None:
        created_by = made_with.created_by
    by_operator = made_with.by_operator if made_with is not None else created_by is None
    text = new_text()
    with transaction.atomic():
        _check_room(customer)
        key = ApiKey.objects.create(
            customer=customer,
            name=name,
            prefix=text[:7],
            sha256=digest(text),
            created_by=created_by,
            by_operator=by_operator,
            scopes=list(scopes or (ALL_SCOPES if by_operator and made_with is None else DEFAULT_SCOPES)),
            created_at=now,
            expires_at=expires_at,
            allowed_models=list(allowed_models),
            allowed_ips=list(allowed_ips),
            rpm_limit=rpm_limit,
            concurrency_limit=concurrency_limit,
            daily_limit=daily_limit,
            weekly_limit=weekly_limit,
            monthly_limit=monthly_limit,
            total_limit=total_limit,
        )
        key_made.send(sender=ApiKey, key=key, now=now)
    return IssuedKey(key=key, text=text)


def _check_room(customer: Customer) -> None:
    """Raise `TooManyKeys` where there is no room for one more; the caller's transaction counts one after another."""
    Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    if ApiKey.objects.filter(customer=customer, deleted_at__isnull=True).count() >= settings.MOST_KEYS:
        words = _("This account has %(most)s keys, the most there may be. Delete one first.")
        raise TooManyKeys(words % {"most": settings.MOST_KEYS})


def find(text: str) -> ApiKey | None:
    """The key with that text, or None; read from its row each time, so that a revocation holds at once.

    `found_at` is PostgreSQL's time. What was found by a text that it had before has `text_ends`, when that ends.
    """
    if not is_well_formed(text):
        return None
    maker = Membership.objects.filter(user=OuterRef("created_by"), customer=OuterRef("customer"))
    keys = ApiKey.objects.select_related("customer", "created_by", "child__made_with").annotate(
        maker_role=Subquery(maker.values("role")[:1]), found_at=Now()
    )
    sha256 = digest(text)
    found = keys.filter(sha256=sha256).first()
    if found is None:
        former = FormerText.objects.filter(sha256=sha256, works_until__gt=Now()).values("works_until")[:1]
        found = (
            keys.annotate(text_ends=Subquery(former))
            .filter(former_texts__sha256=sha256, text_ends__isnull=False)
            .first()
        )
    return found


def works(key: ApiKey, *, now: datetime) -> bool:
    """Whether it can be used, and the key that it ends with, if it is a child."""
    child = getattr(key, "child", None)
    made_with = child.made_with if child is not None else None
    return key.is_usable(now=now) and (made_with is None or made_with.is_usable(now=now))


def role_behind(key: ApiKey) -> str:
    """The role that bounds a key that `find` found: its maker's now, "" for one who left. The operator's own word is an
    owner's."""
    if key.by_operator:
        return Role.OWNER
    return str(getattr(key, "maker_role", None) or "")


def working_ones_of(user: User, *, now: datetime) -> QuerySet[ApiKey]:
    """The keys made with this login that can be used."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return ApiKey.objects.filter(unexpired, created_by=user, is_active=True, deleted_at__isnull=True)


def change(*, key: ApiKey, changes: Mapping[str, Any]) -> None:
    """Change what is named, and nothing else, so that two changes at once do not undo each other."""
    ApiKey.objects.filter(pk=key.pk, deleted_at__isnull=True).update(**changes)


def delete(*, key: ApiKey, now: datetime) -> None:
    """Revoke for good, from the next request on. The row stays: past requests name it."""
    with transaction.atomic():
        row = ApiKey.objects.select_for_update(no_key=True).filter(pk=key.pk, deleted_at__isnull=True).first()
        if row is None:
            return
        row.is_active, row.deleted_at = False, now
        ApiKey.objects.filter(pk=row.pk).update(is_active=False, deleted_at=now)
        if row.expires_at is None or row.expiry_told != row.expires_at:
            key_ended.send(sender=ApiKey, key=row, now=now)


def end_expired(*, now: datetime, limit: int = 200) -> int:
    """Say of keys whose time is up that they have ended, once; return how many. One that is put off may end again.

    `now` is PostgreSQL's time, by which a key is refused.
    """
    with transaction.atomic():
        over = ApiKey.objects.expired_untold().filter(expires_at__lte=now).order_by("expires_at")
        keys = list(over.select_for_update(skip_locked=True, no_key=True)[:limit])
        for key in keys:
            ApiKey.objects.filter(pk=key.pk).update(expiry_told=key.expires_at)
            key_ended.send(sender=ApiKey, key=key, now=now)
    return len(keys)


def switch(*, key: ApiKey, active: bool) -> None:
    """Disable a key, or enable it again, from the next request on; a deleted one stays as it is."""
    ApiKey.objects.filter(pk=key.pk, deleted_at__isnull=True).update(is_active=active)
