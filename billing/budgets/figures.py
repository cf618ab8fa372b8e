"""What a budget has spent, holds and has left, by its holds."""

from collections.abc import Iterable
from decimal import Decimal

from django.db import connection

from billing.books.money import ZERO
from billing.models import Budget
from core.records import value

READ = (
    "SELECT b.key, b.amount, b.captured, b.resolved_at IS NULL, coalesce(sum(i.amount), 0), count(i.key)"
    " FROM billing_hold b LEFT JOIN billing_hold i ON i.inside = b.key AND i.state = 'open'"
    " WHERE b.key = ANY(%s) GROUP BY b.key"
)


@value
class Figures:
    """In USD. `spent` was charged, `held` is by `requests` under way, `left` may still be spent, and `returned` went
    back to the balance.
    """

    spent: Decimal
    held: Decimal
    requests: int
    left: Decimal
    returned: Decimal


def figures_of(budgets: Iterable[Budget]) -> dict[int, Figures]:
    """By a budget's id."""
    ids = {budget.hold_key: budget.pk for budget in budgets}
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(ids)])
        rows = cursor.fetchall()
    found = {}
    for key, amount, taken, is_open, held, requests in rows:
        rest = amount - taken
        left, returned = (rest, ZERO) if is_open else (ZERO, rest)
        found[ids[key]] = Figures(taken - held, held, requests, left, returned)
    return found
