"""A request's whole charge given back, to each balance what was taken of it and is not back. Once, by the keys.

Apps above billing that count charges, or correct them, register what they do.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from accounts.models import Customer
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, post
from billing.books.money import ZERO
from billing.models import LedgerAccount, Transfer
from core.arrays import array

CHARGES = {"bonus": Kind.USAGE_BONUS, "paid": Kind.USAGE}
HOUSE = {"bonus": chart.BONUS_USED, "paid": chart.USAGE}
Around = Callable[[str], AbstractContextManager[None]]
"""Given a request's id: entered before its wallet is locked, left once the charge is back and the lock still held."""
Corrections = Callable[[str], Mapping[str, Decimal]]
"""Given a request's id: what was taken of each balance after its charge, USD, below zero where it was given back."""
_around: dict[str, Around] = {}
_corrections: dict[str, Corrections] = {}


def register(name: str, around: Around) -> None:
    """Wrap this around each reversal, in its transaction; the same name again replaces it."""
    _around[name] = around


def register_corrections(name: str, corrections: Corrections) -> None:
    """What these say is left of a charge goes back; the same name again replaces it."""
    _corrections[name] = corrections


def charges_of(generation_id: str) -> dict[str, Transfer]:
    """What a request was charged, by balance."""
    keys = {f"{generation_id}:{balance}": balance for balance in CHARGES}
    found = Transfer.objects.filter(key__in=keys, kind__in=CHARGES.values()).select_related("debit__customer", "credit")
    return {keys[transfer.key]: transfer for transfer in found}


def left_of(generation_id: str) -> dict[str, Decimal]:
    """What a reversal gives back of a request's charge, by balance, USD; balances with nothing are left out."""
    left = dict.fromkeys(CHARGES, ZERO)
    for balance, charge in charges_of(generation_id).items():
        left[balance] += charge.amount
    for corrections in _corrections.values():
        for balance, amount in corrections(generation_id).items():
            left[balance] += amount
    return {balance: amount for balance, amount in left.items() if amount}


def is_reversed(generation_id: str) -> bool:
    """Whether any of a request's charge was given back as a whole."""
    return bool(reversed_among([generation_id]))


def reversed_among(generation_ids: Iterable[str]) -> set[str]:
    """Those of these requests whose charge was given back as a whole."""
    keys = {_key(pk, balance): pk for pk in generation_ids for balance in CHARGES}
    if not keys:
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM billing_transfer WHERE key = ANY(%s::text[])", [array(keys)])
        return {keys[key] for (key,) in cursor.fetchall()}


def posted_at(generation_id: str) -> datetime:
    """When a request's charge was given back. Raises `LookupError` where it was not."""
    keys = [_key(generation_id, balance) for balance in CHARGES]
    found = Transfer.objects.filter(key__in=keys).values_list("created_at", flat=True).first()
    if found is None:
        raise LookupError(f"the charge of {generation_id} was not given back")
    return found


def reverse(
    *, generation_id: str, now: datetime, group: str = "", actor_id: int | None = None, words: str = ""
) -> Decimal:
    """Give back what is left of a request's charge; return it, USD. Again, or without a charge, it moves nothing."""
    with transaction.atomic(), ExitStack() as around:
        for make in _around.values():
            around.enter_context(make(generation_id))
        left = left_of(generation_id)
        own = _accounts_of(generation_id) if left else {}
        postings = [
            Posting(
                _key(generation_id, balance), Kind.REVERSAL, house_account(HOUSE[balance]), own[balance], amount, words
            )
            for balance, amount in left.items()
        ]
        post(postings, now=now, group=group, actor_id=actor_id)
    return sum((posting.amount for posting in postings), ZERO)


def customer_of(generation_id: str) -> Customer | None:
    """Whom a request was charged to."""
    return next((charge.debit.customer for charge in charges_of(generation_id).values()), None)


def _accounts_of(generation_id: str) -> dict[str, LedgerAccount]:
    """The accounts of whom it was charged to, by balance: a correction may be on the one that had no charge."""
    return {account.kind: account for account in LedgerAccount.objects.filter(customer=customer_of(generation_id))}


def _key(generation_id: str, balance: str) -> str:
    return f"{generation_id}:{balance}:reversed"
