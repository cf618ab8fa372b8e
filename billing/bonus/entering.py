"""A customer enters a code: its bonus is granted, once. docs/ledger.md, "Codes"."""

from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.db import connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.signup import network_of
from billing.bonus.batches import hash_of, lasts_until
from billing.books.grants import grant_bonus
from billing.models import BonusCode, CodeBatch, CodeTry, CodeUse
from core.crypto import keyed_hash

MOST_WRONG = 5
"""Wrong codes an hour, of an account and of a network."""
HOUR = timedelta(hours=1)


class CodeError(Exception):
    """A code that gives nothing; the text is for whoever entered it."""


def enter(*, customer: Customer, user: User, text: str, address: str, now: datetime) -> CodeUse:
    """Grant the bonus of a code to the customer. `address` is the client's. Raises `CodeError`."""
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        raise CodeError(_("Confirm your address first."))
    if Customer.objects.filter(pk=customer.pk, suspended_at__isnull=False).exists():
        raise CodeError(_("This account is suspended."))
    network = network_of(address)
    network_hash = keyed_hash(network, purpose="network") if network else ""
    with transaction.atomic():
        _one_at_a_time(customer.pk, network_hash)
        lately = CodeTry.objects.filter(tried_at__gt=now - HOUR)
        is_guessing = lately.filter(customer=customer).count() >= MOST_WRONG
        if is_guessing or (network_hash and lately.filter(network_hash=network_hash).count() >= MOST_WRONG):
            raise CodeError(_("Too many wrong codes. Try again in an hour."))
        code = BonusCode.objects.filter(code_hash=hash_of(text[:200])).first()
        if code is not None:
            return _use(code, customer=customer, user=user, now=now)
        CodeTry.objects.create(customer=customer, network_hash=network_hash, tried_at=now)
    raise CodeError(_("There is no such code."))


def forget_tries(*, now: datetime) -> int:
    """Throw away wrong tries of over an hour ago; return how many."""
    return CodeTry.objects.filter(tried_at__lte=now - HOUR).delete()[0]


def _one_at_a_time(customer_id: int, network_hash: str) -> None:
    """Or two at once would both see room for one more wrong try, and both use what is there once."""
    with connection.cursor() as cursor:
        for name in (f"code:{customer_id}", f"code:{network_hash}" if network_hash else ""):
            if name:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _use(code: BonusCode, *, customer: Customer, user: User, now: datetime) -> CodeUse:
    batch = CodeBatch.objects.select_for_update(no_key=True).get(pk=code.batch_id)
    if batch.stopped_at is not None or batch.ends_at <= now:
        raise CodeError(_("This code is no longer valid."))
    if CodeUse.objects.filter(batch=batch, customer=customer).exists():
        raise CodeError(_("This account has used such a code already."))
    if not BonusCode.objects.filter(pk=code.pk, uses_left__gt=0).update(uses_left=F("uses_left") - 1):
        raise CodeError(_("This code is used up."))
    use = CodeUse.objects.create(batch=batch, code=code, customer=customer, used_by=user, used_at=now)
    use.transfer = grant_bonus(
        customer=customer,
        amount=batch.amount,
        key=str(use),
        reason=batch.words,
        now=now,
        ends_at=lasts_until(batch, now=now),
    )
    use.save(update_fields=["transfer"])
    return use
