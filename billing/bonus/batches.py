"""Batches of codes, which finance makes and stops; what is worth much, two of them make together."""

import base64
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.books.money import ZERO, InvalidAmount, usd
from billing.models import BonusCode, CodeBatch
from billing.requests.four_eyes import objection
from billing.requests.proposals import ProposalError, decide, given, undecided
from core.crypto import keyed_hash

FINANCE = "billing.post_adjustments"
MOST_CODES, MOST_USES, MOST_DAYS = 10_000, 100_000, 3_650
State = CodeBatch.State


class BatchError(ProposalError):
    """A batch that cannot be proposed, made or stopped like this; the text is for whoever asked."""


def hash_of(text: str) -> str:
    """Of a code as it is kept, however it was written."""
    letters = "".join(letter for letter in text.lower() if letter.isascii() and letter.isalnum())
    return keyed_hash(letters, purpose="bonus_code")


def propose(
    *,
    words: str,
    amount: Decimal | str,
    count: int,
    uses: int,
    ends_at: datetime,
    days: int | None,
    reason: str,
    by: User,
    now: datetime,
) -> CodeBatch:
    """Propose `count` codes that give `amount` USD each. Worth up to `CODES_LIMIT`, with all that this
    person made alone within a day, they need nobody else.

    Raises `BatchError`.
    """
    _must_be_allowed(by)
    try:
        value = usd(amount)
    except InvalidAmount:
        raise BatchError(_("Write an amount in USD, such as 12.50.")) from None
    if value <= 0:
        raise BatchError(_("Write an amount above zero."))
    for field, number, most in (("count", count, MOST_CODES), ("uses", uses, MOST_USES), ("days", days, MOST_DAYS)):
        if number is not None and not 1 <= number <= most:
            raise BatchError(_("From 1 to %(most)s.") % {"most": most}, field=field)
    if ends_at <= now:
        raise BatchError(_("This is over already."), field="ends_at")
    worth = value * count * uses
    if worth > settings.TOPUP_MAX:
        raise BatchError(_("At most $%(most)s at once.") % {"most": settings.TOPUP_MAX})
    terms: dict[str, Any] = {
        "words": given(words, field="words", error=BatchError, most=200),
        "reason": given(reason, field="reason", error=BatchError),
        "amount": value,
        "count": count,
        "uses": uses,
        "ends_at": ends_at,
        "days": days,
    }
    with transaction.atomic():
        needs_second = worth + _alone_lately(by, now=now) > settings.CODES_LIMIT
        if not needs_second:
            terms |= {"state": State.POSTED, "decided_by": by, "decided_at": now}
        return CodeBatch.objects.create(**terms, needs_second=needs_second, proposed_by=by, proposed_at=now)


def _alone_lately(by: User, *, now: datetime) -> Decimal:
    """What somebody's batches of a day are worth that no other approved; two at once of one person wait."""
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    alone = CodeBatch.objects.filter(proposed_by=by, needs_second=False, proposed_at__gt=now - timedelta(days=1))
    return sum((batch.worth for batch in alone), ZERO)


def approve(*, batch_id: int, by: User, now: datetime) -> CodeBatch:
    """Approve what another proposed. Raises `BatchError`."""
    with undecided(CodeBatch, batch_id, error=BatchError) as batch:
        _must_be_allowed(by, proposed_by_id=batch.proposed_by_id)
        decide(batch, State.POSTED, by=by, now=now)
    return batch


def refuse(*, batch_id: int, why: str, by: User, now: datetime) -> CodeBatch:
    """Close a proposal; whoever proposed it may take it back so. Raises `BatchError`."""
    why = given(why, field="why", error=BatchError)
    with undecided(CodeBatch, batch_id, error=BatchError) as batch:
        _must_be_allowed(by)
        decide(batch, State.REFUSED, by=by, now=now, why=why)
    return batch


def make_codes(*, batch_id: int, by: User, now: datetime) -> list[str]:
    """The codes of an approved batch, 128 bits each: made once, and nowhere to be read again. Raises `BatchError`."""
    _must_be_allowed(by)
    with transaction.atomic():
        fresh = CodeBatch.objects.filter(pk=batch_id, state=State.POSTED, made_at=None, stopped_at=None)
        if not fresh.update(made_at=now):
            raise BatchError(_("Its codes are made already, or it is not approved, or stopped."), field="state")
        batch = CodeBatch.objects.get(pk=batch_id)
        texts = [_new() for _number in range(batch.count)]
        BonusCode.objects.bulk_create(
            BonusCode(batch=batch, code_hash=hash_of(text), uses_left=batch.uses) for text in texts
        )
    return texts


def stop(*, batch_id: int, by: User, now: datetime) -> CodeBatch:
    """From now on nobody enters a code of it; what was given stays. Raises `BatchError`."""
    _must_be_allowed(by)
    with transaction.atomic():
        # Whoever enters a code holds this row: they are before the stop, or after it.
        batch = CodeBatch.objects.select_for_update(no_key=True).get(pk=batch_id)
        if batch.state != State.POSTED or batch.stopped_at is not None:
            raise BatchError(_("It is not running."), field="state")
        batch.stopped_at, batch.stopped_by = now, by
        batch.save(update_fields=["stopped_at", "stopped_by"])
    return batch


def lasts_until(batch: CodeBatch, *, now: datetime) -> datetime | None:
    """When bonus by a code that is entered now ends."""
    return None if batch.days is None else now + timedelta(days=batch.days)


def _new() -> str:
    text = base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=")
    return "-".join(text[at : at + 7] for at in range(0, len(text), 7))


def _must_be_allowed(by: User, *, proposed_by_id: int | None = None) -> None:
    if not by.has_perm(FINANCE):
        raise BatchError(_("Codes are for finance."), field="state")
    if words := objection(by=by, customer_id=None, proposed_by_id=proposed_by_id):
        raise BatchError(words, field="state")
