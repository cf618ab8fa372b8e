"""Make a budget: set money aside for a run, with a key whose calls spend from it alone.

docs/ledger.md, "Budgets". Everything is written in one transaction: the key, what it may spend, and the hold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.keys import issuing
from accounts.keys.delegation import FIELDS, widened
from accounts.limits import aside
from accounts.limits.meters import LimitReached
from accounts.models import ApiKey, ChildKey, Customer, User
from accounts.models.caps import CAPS
from accounts.roles import Scope
from billing.books import holds
from billing.books.ledger import lock_wallets
from billing.books.money import CENT, LARGEST, InvalidAmount, usd
from billing.models import Budget, Hold

LEAST = CENT
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
USUAL = timedelta(days=1)
NAME_LENGTH = 100


class BudgetError(Exception):
    """A budget that cannot be made like this; the API's `code`, and the `field` at fault where one is."""

    def __init__(self, message: str, *, code: str = "validation_error", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class Made:
    """A new budget, and its key's text, which nobody can read again."""

    budget: Budget
    text: str


def amount_of(written: object) -> Decimal:
    """An amount in USD as somebody wrote it; raises `BudgetError`."""
    try:
        if not isinstance(written, str | int | Decimal) or (isinstance(written, str) and "e" in written.lower()):
            raise InvalidAmount("no amount")
        amount = usd(written)
    except InvalidAmount:
        raise BudgetError(_("The amount is in USD with at most 8 decimals, such as 5.00."), field="amount") from None
    if not LEAST <= amount <= LARGEST:
        raise BudgetError(_("A budget has at least $%(least)s.") % {"least": LEAST}, field="amount")
    return amount


def make(
    *,
    customer: Customer,
    amount: Decimal,
    lasts: timedelta,
    name: str,
    now: datetime,
    created_by: User | None = None,
    made_with: ApiKey | None = None,
    in_transaction: Callable[[Made], None] = lambda made: None,
) -> Made:
    """Set `amount` USD aside for so long from PostgreSQL's `now` on, with a new key that calls models and is never
    wider than `made_with`.

    `in_transaction` is called with what was made, before anything is committed. Raises `BudgetError`.
    """
    expires_at = now + lasts
    if not SHORTEST <= lasts <= LONGEST:
        words = _("A budget lasts from a minute to %(days)s days.") % {"days": LONGEST.days}
        raise BudgetError(words, field="expires_in")
    own = made_with or ApiKey()  # without limits
    wanted = {name: getattr(own, name) for name in FIELDS} | {"scopes": [Scope.INFERENCE], "expires_at": expires_at}
    if made_with is not None and (field := widened(made_with, wanted)):
        named = "expires_in" if field == "expires_at" else None
        words = _("A key cannot make one that may do more than itself: %(field)s would be wider than its own.")
        raise BudgetError(words % {"field": f"`{named or field}`"}, code="key_not_allowed", field=named)
    with transaction.atomic():
        wallet = lock_wallets([customer.pk])[customer.pk]
        if Customer.objects.filter(pk=customer.pk, suspended_at__isnull=False).exists():
            raise BudgetError(_("This account is suspended. Write to support."), code="account_suspended")
        if wallet.available < amount:
            raise _insufficient(customer.pk, available=wallet.available, amount=amount)
        try:
            issued = issuing.issue(
                customer=customer,
                name=name,
                now=now,
                created_by=created_by,
                made_with=made_with,
                expires_at=expires_at,
                allowed_models=own.allowed_models,
                allowed_ips=own.allowed_ips,
                rpm_limit=own.rpm_limit,
                scopes=[Scope.INFERENCE],
            )
        except issuing.TooManyKeys as error:
            raise BudgetError(str(error), code="state_conflict") from None
        counted = None if made_with is None else aside.count(key=made_with, amount=amount, now=now)
        if isinstance(counted, LimitReached):
            raise BudgetError(counted.message, code=counted.code)
        budget = Budget.objects.create(
            customer=customer,
            key=issued.key,
            amount=amount,
            counted_on=counted,
            created_at=now,
            expires_at=expires_at,
        )
        ChildKey.objects.create(key=issued.key, purse=budget.hold_key, made_with=made_with)
        # After that: its meter takes from it whose it is.
        limits = (*CAPS, "concurrency_limit")
        for field in limits:
            setattr(issued.key, field, getattr(own, field))
        issued.key.save(update_fields=limits)
        holds.place(customer_id=customer.pk, key=budget.hold_key, kind=Hold.Kind.BUDGET, amount=amount, now=now)
        made = Made(budget, issued.text)
        in_transaction(made)
    return made


def _insufficient(customer_id: int, *, available: Decimal, amount: Decimal) -> BudgetError:
    words = _("The available balance is $%(available)s and this budget needs $%(amount)s.")
    text = words % {"available": f"{available:f}", "amount": f"{amount:f}"}
    under_way = Hold.objects.filter(customer_id=customer_id, state=Hold.State.OPEN)
    if count := under_way.count():
        held = ngettext(
            "%(count)s hold sets some of it aside; what is not used comes free.",
            "%(count)s holds set some of it aside; what is not used comes free.",
            count,
        )
        text = f"{text} {held % {'count': count}}"
    return BudgetError(text, code="insufficient_balance", field="amount")
