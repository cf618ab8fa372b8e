"""End a budget: what is left of it is the wallet's again, and its key ends with it.

Requests under way keep what they hold; what they do not use comes back when they are settled. docs/ledger.md,
"Budgets".
"""

import logging
from datetime import datetime

from django.db import connection, transaction

from accounts.keys import issuing
from accounts.limits.spending import Whose
from accounts.roles import Right, roles_with
from billing.books import holds
from billing.books.ledger import lock_wallets
from billing.books.money import ZERO
from billing.models import Budget, Hold
from billing.warnings import notices
from billing.warnings.spending import subject_of

log = logging.getLogger(__name__)

DUE = (
    "SELECT b.id, b.expires_at <= clock_timestamp() FROM billing_budget b JOIN accounts_apikey k ON k.id = b.key_id"
    " JOIN accounts_childkey c ON c.key_id = k.id LEFT JOIN accounts_apikey p ON p.id = c.made_with_id"
    " WHERE b.ended_at IS NULL AND (b.expires_at <= clock_timestamp() OR k.deleted_at IS NOT NULL"
    "  OR p.deleted_at IS NOT NULL OR p.expires_at <= clock_timestamp()"
    "  OR NOT k.by_operator AND NOT EXISTS (SELECT FROM accounts_membership m"
    "   WHERE m.user_id = k.created_by_id AND m.customer_id = k.customer_id AND m.role = ANY(%s)))"
    " ORDER BY b.id LIMIT %s"
)
"""Those whose time is up, and those whose key nobody can call with any more."""


def end(*, budget_id: int, reason: Budget.Ended, now: datetime) -> bool:
    """End it, once; whether this call did."""
    with transaction.atomic():
        budget = Budget.objects.select_for_update(no_key=True).select_related(None).get(pk=budget_id)
        if budget.ended_at is not None:
            return False
        lock_wallets([budget.customer_id])
        issuing.delete(key=budget.key, now=now)
        hold = Hold.objects.get(pk=budget.hold_key)
        holds.tell_makers([(hold.key, hold.amount - hold.captured, ZERO)], now=now)
        holds.resolve([holds.Resolution(hold.key, None, reason)], now=now)
        Budget.objects.filter(pk=budget_id).update(ended_at=now, ended_reason=reason)
        notices.end(customer_id=budget.customer_id, about=subject_of(Whose.BUDGET, budget_id), now=now)
    return True


def end_due(*, now: datetime, most: int = 500) -> int:
    """End those whose time is up by PostgreSQL's clock, and those whose key nobody can use any more; return how many.
    Each in a transaction of its own; one that fails keeps no other.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE, [roles_with(Right.CALL), most])
        due = cursor.fetchall()
    ended = 0
    for budget_id, is_over in due:
        reason = Budget.Ended.EXPIRED if is_over else Budget.Ended.KEY_ENDED
        try:
            ended += end(budget_id=budget_id, reason=reason, now=now)
        except Exception:
            log.exception("budget %s could not be ended", budget_id)
    return ended
