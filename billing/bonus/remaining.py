"""What is left of each grant of bonus, worked out of the account's sums: what is spent takes of the grant that ends
first (docs/ledger.md, "Bonus that ends").
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection

from billing.books.kinds import Kind
from billing.books.money import ZERO
from billing.models import BonusGrant, Transfer, Wallet
from core.arrays import array
from core.records import value

NEVER = datetime.max.replace(tzinfo=UTC)
SPENT = (
    "SELECT width_bucket(id, %s::bigint[]), sum(amount) FROM billing_transfer"
    " WHERE debit_id = %s AND kind <> %s GROUP BY 1"
)
"""What went out, by the stretch between what came in: an account's transfers are written under its wallet's lock, so
their ids are in order.
"""


@value
class Given:
    """What came in: USD, less what was taken of it at its end. What is given back, or has no row, never ends."""

    amount: Decimal
    ends_at: datetime | None
    spent_until_next: Decimal


@value
class Ending:
    """A grant that ends, and what is left of it, USD."""

    grant: BonusGrant
    left: Decimal


def left_of(given: Sequence[Given]) -> list[Decimal]:
    """What is left of each, in the order in which they came in."""
    left: list[Decimal] = []
    for one in given:
        left.append(one.amount)
        spent = one.spent_until_next
        for place in sorted(range(len(left)), key=lambda at: (given[at].ends_at or NEVER, at)):
            if spent <= 0:
                break
            taken = min(spent, left[place])
            left[place] -= taken
            spent -= taken
    return left


def endings(customer_id: int) -> list[Ending]:
    """The customer's grants that end and are not over, those that end first at the top."""
    wallet = Wallet.objects.get(pk=customer_id)
    grants = {
        grant.transfer_id: grant for grant in BonusGrant.objects.filter(customer_id=customer_id, ends_at__isnull=False)
    }
    if not any(grant.due_at for grant in grants.values()):
        return []
    rows = Transfer.objects.filter(credit_id=wallet.bonus_account_id).order_by("pk").values_list("pk", "amount")
    came = list(rows)
    with connection.cursor() as cursor:
        ids = array([pk for pk, _amount in came])
        cursor.execute(SPENT, [ids, wallet.bonus_account_id, Kind.BONUS_EXPIRED])
        spent = dict(cursor.fetchall())
    given = []
    for place, (pk, amount) in enumerate(came, start=1):
        grant = grants.get(pk)
        expired, ends_at = (grant.expired, grant.ends_at) if grant else (ZERO, None)
        given.append(Given(amount - expired, ends_at, spent.get(place, ZERO)))
    found = [
        Ending(grants[pk], left)
        for (pk, _amount), left in zip(came, left_of(given), strict=True)
        if pk in grants and grants[pk].due_at
    ]
    return sorted(found, key=lambda one: (one.grant.ends_at or NEVER, one.grant.pk))
