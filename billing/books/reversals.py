"""A request's whole charge given back as it was taken: bonus to bonus, paid to paid. Once, by the transfers' keys.

Apps above billing that count charges wrap what they have to correct around it with `register`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.books.kinds import Kind
from billing.books.ledger import Posting, post
from billing.books.money import ZERO
from billing.models import Transfer

CHARGES = {"bonus": Kind.USAGE_BONUS, "paid": Kind.USAGE}
Around = Callable[[str], AbstractContextManager[None]]
"""Given a request's id: entered before its wallet is locked, left once the charge is back and the lock still held."""
_around: dict[str, Around] = {}


def register(name: str, around: Around) -> None:
    """Wrap this around each reversal, in its transaction; the same name again replaces it."""
    _around[name] = around


def charges_of(generation_id: str) -> dict[str, Transfer]:
    """What a request was charged, by balance."""
    keys = {f"{generation_id}:{balance}": balance for balance in CHARGES}
    found = Transfer.objects.filter(key__in=keys, kind__in=CHARGES.values()).select_related("debit__customer", "credit")
    return {keys[transfer.key]: transfer for transfer in found}


def is_reversed(generation_id: str) -> bool:
    """Whether any of a request's charge was given back."""
    return Transfer.objects.filter(key__in=[_key(generation_id, balance) for balance in CHARGES]).exists()


def reverse(
    *, generation_id: str, now: datetime, group: str = "", actor_id: int | None = None, words: str = ""
) -> Decimal:
    """Give back what a request was charged; return it, USD. Again, or without a charge, it moves nothing."""
    with transaction.atomic(), ExitStack() as around:
        for make in _around.values():
            around.enter_context(make(generation_id))
        postings = [
            Posting(_key(generation_id, balance), Kind.REVERSAL, charge.credit, charge.debit, charge.amount, words)
            for balance, charge in charges_of(generation_id).items()
        ]
        post(postings, now=now, group=group, actor_id=actor_id)
    return sum((posting.amount for posting in postings), ZERO)


def _key(generation_id: str, balance: str) -> str:
    return f"{generation_id}:{balance}:reversed"
