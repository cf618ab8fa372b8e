"""A key gets a new text, under the same limits and meter; the old one works on for a while, as programs have it."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Least, Now
from django.utils.translation import gettext as _

from accounts.keys.issuing import IssuedKey, digest, new_text
from accounts.models import ApiKey, FormerText

LONGEST_OVERLAP = timedelta(days=7)
MOST_FORMER = 5
"""Texts of one key that still work beside its own."""


class NotRotated(Exception):
    """Nothing was changed; the text is for the account's people."""


def rotate(*, key: ApiKey, overlap: timedelta, prefix: str | None = None) -> IssuedKey:
    """Give a key a new text; the one that it has works for `overlap` from now on, by PostgreSQL's clock.

    What somebody who left knows works no longer than it may already. `prefix` is the one that the caller saw, if it is
    to be that one which is replaced. Raises `NotRotated`.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValueError(f"an overlap of {overlap}")
    with transaction.atomic():
        found = ApiKey.objects.select_for_update(no_key=True).filter(pk=key.pk, deleted_at__isnull=True).first()
        if found is None:
            raise NotRotated(_("This key was deleted."))
        if prefix is not None and found.prefix != prefix:
            raise NotRotated(_("This key was rotated a moment ago: it has a new text already, which was shown once."))
        if overlap:
            if FormerText.objects.filter(key=found, works_until__gt=Now()).count() >= MOST_FORMER:
                words = _("%(count)s former texts of this key still work. Wait for one to end, or let none work on.")
                raise NotRotated(words % {"count": MOST_FORMER})
            FormerText.objects.create(
                key=found, prefix=found.prefix, sha256=found.sha256, works_until=_until(found, overlap)
            )
        else:
            FormerText.objects.filter(key=found).delete()
        text = new_text()
        ApiKey.objects.filter(pk=found.pk).update(prefix=text[:7], sha256=digest(text))
        found.prefix, found.sha256 = text[:7], digest(text)
    return IssuedKey(key=found, text=text)


def _until(key: ApiKey, overlap: timedelta) -> Any:
    until = Now() + overlap
    return until if key.rotate_by is None else Least(until, Value(key.rotate_by))
