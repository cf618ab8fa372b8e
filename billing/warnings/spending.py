"""Budgets and caps: 50, 80 and 100 % of what may be spent in a period, by what is charged, each told once a period.

What is held is not spent yet: requests that hold ten times a cap warn of nothing until they are charged. Where a cap
refuses a request while less than all of it is charged, that is told once a period as well. Budgets of runs are told of
in the same way, by what their keys were charged.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts.limits.correcting import Charged
from accounts.limits.meters import CapReached
from accounts.limits.periods import Period, begins, ends, resets_at, zone_of
from accounts.limits.spending import Caps, Whose, caps_of
from accounts.models import ApiKey, Customer, CustomerMeter, Membership
from accounts.models.caps import CAPS
from accounts.people.customers import language_of
from billing.books.money import ZERO, api_amount
from billing.budgets.figures import figures_of
from billing.models import AlertSettings
from billing.models import Budget as RunBudget
from billing.outbox.kinds import Fact
from billing.outbox.objects import Budget
from billing.warnings import notices
from core.records import value

SHARES = (100, 80, 50)


@value
class Subject:
    """Whose cap or budget it is, and by what name its owners know it."""

    whose: Whose
    pk: int
    customer: Customer
    name: str
    caps: Caps
    ends_at: datetime | None = None
    """Of a budget: when it does, and its warnings with it."""
    spent: Decimal | None = None
    """Of a budget: what is charged of it by now, USD."""


@value
class BudgetShort:
    """A budget without room for what is `needed`, in USD; `purse` is its hold."""

    purse: str
    needed: Decimal


def tell(charged: Iterable[Charged], *, now: datetime) -> None:
    """Tell of what a settlement's charges took past a share. The caller holds the wallets' locks."""
    charged = list(charged)
    if not charged:
        return
    known = _subjects({(each.whose, each.pk) for each in charged})
    changes: dict[tuple[Whose, int], Decimal] = defaultdict(Decimal)
    for each in charged:
        changes[each.whose, each.pk] += each.change
    for each in charged:
        subject = known.get((each.whose, each.pk))
        if subject is None:
            continue
        for period, limit in subject.caps:
            if each.day >= ends(each.counted_on)[period]:
                continue  # that one is over
            after, change = each.after[period], each.change
            if subject.spent is not None:  # whatever day it counts on
                after, change = subject.spent, changes[each.whose, each.pk]
            if (percent := passed(limit, before=after - change, after=after)) is not None:
                _tell(subject, period, day=each.day, limit=limit, spent=after, percent=percent, now=now)


def passed(limit: Decimal, *, before: Decimal, after: Decimal) -> int | None:
    """The largest share of a limit that was reached on the way, as a percentage."""
    return next((share for share in SHARES if before < limit * share / 100 <= after), None)


def tell_refused(cap: CapReached, *, customer_id: int, now: datetime) -> bool:
    """Tell that a cap refuses requests while less than all of it is charged; whether this call did."""
    spent = cap.spent - cap.held
    if spent >= cap.limit or not CustomerMeter.objects.filter(pk=customer_id, warns=True).exists():
        return False
    subject = _subjects({(cap.whose, cap.meter_id)}).get((cap.whose, cap.meter_id))
    if subject is None or (cap.period, cap.limit) not in subject.caps:
        return False
    percent = max(0, int(100 * spent / cap.limit))
    with transaction.atomic():
        return _tell(
            subject, cap.period, day=cap.since, limit=cap.limit, spent=spent, percent=percent, now=now, cap=cap
        )


def tell_budget_refused(short: BudgetShort, *, customer_id: int, now: datetime) -> bool:
    """Tell that a budget refuses requests while less than all of it is charged; whether this call did."""
    budget = _budgets(customer_id=customer_id, pk=int(short.purse.removeprefix("budget:"))).first()
    if budget is None:
        return False
    subject, figures = _of_budget(budget), figures_of([budget])[budget.pk]
    if figures.spent >= budget.amount:
        return False
    day = now.astimezone(zone_of(budget.customer.time_zone)).date()
    cap = CapReached(
        Whose.BUDGET,
        budget.pk,
        Period.TOTAL,
        limit=budget.amount,
        spent=figures.spent + figures.held,
        held=figures.held,
        needed=short.needed,
        since=day,
    )
    percent = int(100 * figures.spent / budget.amount)
    with transaction.atomic():
        return _tell(
            subject, Period.TOTAL, day=day, limit=budget.amount, spent=figures.spent, percent=percent, now=now, cap=cap
        )


def _subjects(wanted: set[tuple[Whose, int]]) -> Mapping[tuple[Whose, int], Subject]:
    """Those that owners want to be warned of. A key of a budget is known by that: its caps are those of another."""
    by = {whose: [pk for kind, pk in wanted if kind is whose] for whose in Whose}
    found: dict[tuple[Whose, int], Subject] = {}
    if by[Whose.KEY]:
        keys = ApiKey.objects.filter(pk__in=by[Whose.KEY], child__isnull=True, customer__alerts__caps=True)
        for key in keys.select_related("customer"):
            found[Whose.KEY, key.pk] = Subject(Whose.KEY, key.pk, key.customer, key.name, _caps(key))
        for budget in _budgets(key_id__in=by[Whose.KEY]):
            found[Whose.KEY, budget.key_id] = _of_budget(budget)
    if by[Whose.MEMBER]:
        members = Membership.objects.filter(pk__in=by[Whose.MEMBER], customer__alerts__caps=True)
        for member in members.select_related("customer", "user"):
            subject = Subject(Whose.MEMBER, member.pk, member.customer, member.user.email, _caps(member))
            found[Whose.MEMBER, member.pk] = subject
    if by[Whose.ACCOUNT]:
        accounts = AlertSettings.objects.filter(pk__in=by[Whose.ACCOUNT], monthly_budget__isnull=False)
        for row in accounts.select_related("customer"):
            caps = caps_of((None, None, row.monthly_budget, None))
            found[Whose.ACCOUNT, row.pk] = Subject(Whose.ACCOUNT, row.pk, row.customer, row.customer.name, caps)
    return found


def _budgets(**which: Any) -> QuerySet[RunBudget]:
    """Those under way whose owners want to be warned."""
    wanted = RunBudget.objects.filter(**which, ended_at__isnull=True, customer__alerts__caps=True)
    return wanted.select_related("customer", "key")


def _of_budget(budget: RunBudget) -> Subject:
    spent = figures_of([budget])[budget.pk].spent
    caps = caps_of((None, None, None, budget.amount))
    return Subject(Whose.BUDGET, budget.pk, budget.customer, budget.key.name, caps, budget.expires_at, spent)


def subject_of(whose: Whose, pk: int) -> str:
    return f"{whose} {pk}"


def _caps(owner: ApiKey | Membership) -> Caps:
    return tuple((period, limit) for period, limit in caps_of([getattr(owner, name) for name in CAPS]) if limit > ZERO)


def _tell(
    subject: Subject,
    period: Period,
    *,
    day: date,
    limit: Decimal,
    spent: Decimal,
    percent: int,
    now: datetime,
    cap: CapReached | None = None,
) -> bool:
    """`day` lies in the period. Its first date is in the fact's key, so that the fact is written once."""
    since = "all" if period is Period.TOTAL else begins(day)[period].isoformat()
    resets = resets_at(period, day=day, zone=zone_of(subject.customer.time_zone))
    about = Budget(
        of=str(subject.whose),
        id=str(subject.pk),
        name=subject.name,
        period=period.name.lower(),
        percent=percent,
        limit=limit,
        spent=spent,
        resets_at=resets,
        refused=cap is not None,
    )
    data = {
        "of": about.of,
        "name": about.name,
        "period": about.period,
        "percent": percent,
        "limit": api_amount(limit),
        "spent": api_amount(spent),
        "resets_at": None if resets is None else resets.isoformat(),
        "held": None if cap is None else api_amount(cap.held),
        "needed": None if cap is None else api_amount(cap.needed),
        "locale": language_of(subject.customer),
        "time_zone": subject.customer.time_zone,
    }
    what = "refused" if cap is not None else str(percent)
    return notices.tell(
        Fact.BUDGET_REACHED,
        key=f"budget:{subject.whose}:{subject.pk}:{period.name.lower()}:{since}:{what}",
        subject=subject_of(subject.whose, subject.pk),
        data=data,
        now=now,
        customer_id=subject.customer.pk,
        about=about,
        ends_at=resets or subject.ends_at,
    )
