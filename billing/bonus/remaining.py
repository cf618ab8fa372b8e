"""What is left of each grant of bonus, worked out of the account's sums: what is spent takes of the grant that ends
first (docs/ledger.md, "Bonus that ends").
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from heapq import heappop, heappush

from django.db import connection

from billing.books.kinds import Kind
from billing.books.money import ZERO
from billing.models import BonusGrant, Wallet
from core.arrays import array
from core.records import value

SPENT = (
    "SELECT width_bucket(id, %(ids)s::bigint[]), sum(amount) FROM billing_transfer"
    " WHERE debit_id = %(account)s AND id > (%(ids)s::bigint[])[1] AND kind <> %(expired)s GROUP BY 1"
)
"""What went out, by the stretch between grants that end: an account's transfers are written under its wallet's lock, so
their ids are in order. Bonus that does not end is spent after that which does, so what came in of it takes nothing of
these. Sums alone leave the database, and nothing is read of the time before the first of them.
"""


@value
class Given:
    """A grant that ends: USD, less what was taken of it at its end."""

    amount: Decimal
    ends_at: datetime
    spent_until_next: Decimal


@value
class Ending:
    """A grant that ends, and what is left of it, USD."""

    grant: BonusGrant
    left: Decimal


def left_of(given: Iterable[Given]) -> list[Decimal]:
    """What is left of each, in the order in which they came in. What is spent beyond them takes of what never ends."""
    left: list[Decimal] = []
    soonest: list[tuple[datetime, int]] = []
    for place, one in enumerate(given):
        left.append(one.amount)
        heappush(soonest, (one.ends_at, place))
        spent = one.spent_until_next
        while spent > 0 and soonest:
            first = soonest[0][1]
            taken = min(spent, left[first])
            left[first] -= taken
            spent -= taken
            if not left[first]:
                heappop(soonest)
    return left


def endings(customer_id: int) -> list[Ending]:
    """The customer's grants that end and are not over, those that end first at the top."""
    mine = BonusGrant.objects.filter(customer_id=customer_id, ends_at__isnull=False)
    due = {grant.transfer_id: grant for grant in mine.filter(due_at__isnull=False)}
    if not due:
        return []
    account = Wallet.objects.values_list("bonus_account_id", flat=True).get(pk=customer_id)
    rows = list(mine.order_by("transfer_id").values_list("transfer_id", "amount", "expired", "ends_at"))
    ids = [pk for pk, *_rest in rows]
    with connection.cursor() as cursor:
        cursor.execute(SPENT, {"ids": array(ids), "account": account, "expired": Kind.BONUS_EXPIRED})
        spent = dict(cursor.fetchall())
    left = left_of(
        Given(amount - expired, ends_at, spent.get(place, ZERO))
        for place, (_pk, amount, expired, ends_at) in enumerate(rows, start=1)
        if ends_at is not None
    )
    found = [Ending(due[pk], rest) for pk, rest in zip(ids, left, strict=True) if pk in due]
    return sorted(found, key=lambda one: (one.grant.ends_at, one.grant.pk))
