"""Caps and budgets are told of by what is charged: at 50, 80 and 100 %, each once a period."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import F

from accounts.limits.correcting import Charged
from accounts.limits.meters import CapReached
from accounts.limits.periods import Period
from accounts.limits.spending import Whose
from accounts.models import AccountMeter, ApiKey, CustomerMeter, KeyMeter, Membership, User
from billing.budgets import ending
from billing.limits import members
from billing.models import Budget, Event, Hold, Notice
from billing.outbox.kinds import Fact
from billing.warnings import setting, spending
from billing.warnings.setting import Wanted
from billing.warnings.spending import BudgetShort
from proxy.models import Generation
from proxy.settlement import settle as settling
from tests.billing.conftest import failures, in_threads
from tests.conftest import NOW
from tests.outbox import mails
from tests.proxy.conftest import settle

TODAY = NOW.date()


@pytest.fixture(autouse=True)
def _today(key):
    KeyMeter.objects.filter(pk=key.key.pk).update(day=TODAY)


def warn(customer, **wanted) -> None:
    setting.change(customer=customer, wanted=Wanted(**wanted), by=None, now=NOW)


def cap(key, **caps) -> None:
    ApiKey.objects.filter(pk=key.key.pk).update(**{name: Decimal(amount) for name, amount in caps.items()})


def told() -> list[tuple[str, str, int]]:
    facts = Event.objects.filter(kind=Fact.BUDGET_REACHED).order_by("id")
    return [(fact.shown["of"], fact.shown["period"], fact.shown["percent"]) for fact in facts]


def test_each_share_is_told_of_once_as_charges_pass_it(customer, key, make_generation, user):
    warn(customer, caps=True)
    cap(key, daily_limit="1")
    for cost in ("0.4", "0.1", "0.2", "0.1", "0.1", "0.2"):
        make_generation(cost=cost)
        settle()
    assert told() == [("key", "day", 50), ("key", "day", 80), ("key", "day", 100)]
    shown = Event.objects.filter(kind=Fact.BUDGET_REACHED).first().shown
    assert shown == {
        "of": "key",
        "id": str(key.key.pk),
        "name": "test",
        "period": "day",
        "percent": 50,
        "limit": "1.00000000",
        "spent": "0.50000000",
        "resets_at": "2026-11-24T00:00:00Z",
        "refused": False,
    }
    letters = list(mails().values_list("subject", "body"))
    assert [subject for subject, _ in letters] == ["50 % is spent", "80 % is spent", "100 % is spent"]
    assert "Key “test”: $0.50 are spent of the cap of $1.00 a day, 50 %." in letters[0][1]
    assert Notice.objects.standing(customer_id=customer.pk, now=NOW).count() == 3
    assert not Notice.objects.standing(customer_id=customer.pk, now=NOW + timedelta(days=1)).exists()


def test_a_charge_that_passes_several_shares_tells_of_the_largest(customer, key, make_generation):
    warn(customer, caps=True)
    cap(key, weekly_limit="1", total_limit="1.1")
    make_generation(cost="0.9")
    settle()
    assert told() == [("key", "week", 80), ("key", "total", 80)]


def test_a_hold_of_ten_times_the_cap_tells_of_nothing(customer, key, make_generation):
    warn(customer, caps=True)
    cap(key, daily_limit="0.86")
    make_generation(cost="0.1", held="8.6", bound="8.6")
    KeyMeter.objects.filter(pk=key.key.pk).update(day_spent=9)
    settle()
    assert KeyMeter.objects.get(pk=key.key.pk).day_spent == Decimal("0.5")  # more than half, and not charged
    assert told() == []


def test_nobody_is_told_who_does_not_want_it(customer, key, make_generation):
    cap(key, daily_limit="1")
    make_generation(cost="0.9")
    settle()
    warn(customer, caps=True)
    warn(customer, weekly_summary=True)
    assert not CustomerMeter.objects.filter(pk=customer.pk, warns=True).exists()
    make_generation(cost="0.1")
    settle()
    assert told() == []


def test_members_are_told_of_by_all_their_keys(customer, key, make_generation, user):
    dev = User.objects.create_user("dev@example.org", "a rather long one")
    member = Membership.objects.create(user=dev, customer=customer, role="developer")
    ApiKey.objects.filter(pk=key.key.pk).update(created_by=dev)
    members.set_caps(membership=member, caps={"monthly_limit": Decimal(1)}, now=NOW)
    warn(customer, caps=True)
    make_generation(cost="0.8")
    settle()
    assert told() == [("member", "month", 80)]
    assert Event.objects.get(kind=Fact.BUDGET_REACHED).shown["name"] == "dev@example.org"
    [letter] = mails()
    assert letter.to == "ada@example.org"
    assert "Member dev@example.org: $0.80 are spent of the cap of $1.00 a month" in letter.body


def test_a_budget_of_the_account_counts_what_the_month_was_charged_already(customer, key, make_generation):
    make_generation(cost="0.3")
    settle()
    warn(customer, monthly_budget=Decimal(1))
    assert setting.month_spent(customer, now=NOW) == Decimal("0.3")
    make_generation(cost="0.2")
    settle()
    assert told() == [("account", "month", 50)]
    make_generation(cost="0.1", at=NOW - timedelta(days=40))
    settle()  # counts in the month that it was made in
    assert setting.month_spent(customer, now=NOW) == Decimal("0.5")
    make_generation(cost="0.1", at=NOW + timedelta(days=10))
    settle()
    meter = AccountMeter.objects.get()
    assert (str(meter.month), meter.charged) == ("2026-12-01", Decimal("0.1"))
    warn(customer)
    assert not AccountMeter.objects.exists()


def charge_inside(made, make_generation, cost: str) -> None:
    """A request of the budget's key that held and cost so much."""
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=F("captured") + Decimal(cost))
    generation = make_generation(cost=cost, held=cost)
    Generation.objects.filter(pk=generation.pk).update(key=made.budget.key)
    Hold.objects.filter(pk=generation.pk).update(inside=made.budget.hold_key)
    settle()


def test_each_share_of_a_runs_budget_is_told_of_once_until_it_ends(customer, key, make_generation, make_budget, user):
    warn(customer, caps=True)
    made = make_budget("1", made_with=key.key, name="nightly run")
    for cost in ("0.4", "0.2", "0.1", "0.15", "0.15"):
        charge_inside(made, make_generation, cost)
    assert told() == [("budget", "total", 50), ("budget", "total", 80), ("budget", "total", 100)]
    fact = Event.objects.filter(kind=Fact.BUDGET_REACHED).first()
    assert (fact.shown["id"], fact.shown["name"], fact.shown["limit"], fact.shown["spent"]) == (
        str(made.budget.pk),
        "nightly run",
        "1.00000000",
        "0.60000000",
    )
    letters = list(mails().values_list("subject", "body"))
    assert [subject for subject, _ in letters] == ["50 % is spent", "80 % is spent", "100 % is spent"]
    assert "Budget “nightly run”: $0.60 are spent of its $1.00, 50 %." in letters[0][1]
    assert "/console/budgets" in letters[0][1]
    standing = Notice.objects.standing(customer_id=customer.pk, now=NOW)
    assert standing.count() == 3
    ending.end(budget_id=made.budget.pk, reason=Budget.Ended.DELETED, now=NOW)
    assert not standing.exists()


def test_charges_of_two_days_pass_a_share_of_a_budget_together(customer, key, make_budget):
    warn(customer, caps=True)
    made = make_budget("1")
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=Decimal("0.75"))
    child, days = made.budget.key, (TODAY - timedelta(days=1), TODAY)
    after = (Decimal("0.75"),) * 4
    half = [Charged(Whose.KEY, child.pk, customer.pk, day, Decimal("0.1"), TODAY, after) for day in days]
    with transaction.atomic():
        spending.tell(half, now=NOW)
    assert told() == []
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=Decimal("0.65"))
    with transaction.atomic():
        spending.tell(half, now=NOW)
    assert told() == [("budget", "total", 50)]


def test_a_budget_that_refuses_before_all_of_it_is_charged_is_told_of_once(customer, make_budget, user):
    made = make_budget("1", name="nightly run")
    short = BudgetShort(made.budget.hold_key, Decimal("0.05"))
    assert not spending.tell_budget_refused(short, customer_id=customer.pk, now=NOW), "nobody wants to know"
    warn(customer, caps=True)
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=Decimal("0.97"))
    assert spending.tell_budget_refused(short, customer_id=customer.pk, now=NOW)
    assert not spending.tell_budget_refused(short, customer_id=customer.pk, now=NOW)
    fact = Event.objects.get(kind=Fact.BUDGET_REACHED)
    assert (fact.shown["of"], fact.shown["percent"], fact.shown["refused"]) == ("budget", 97, True)
    [letter] = mails()
    assert letter.subject == "A budget refuses requests"
    assert "Budget “nightly run”: a request was refused. Of $1.00 in all, $0.97 are charged" in letter.body
    assert Notice.objects.get().ends_at == made.budget.expires_at
    full = make_budget("1")
    Hold.objects.filter(pk=full.budget.hold_key).update(captured=1)
    of_full = BudgetShort(full.budget.hold_key, Decimal("0.05"))
    assert not spending.tell_budget_refused(of_full, customer_id=customer.pk, now=NOW), "all of it is charged"
    ending.end(budget_id=made.budget.pk, reason=Budget.Ended.DELETED, now=NOW)
    assert not spending.tell_budget_refused(short, customer_id=customer.pk, now=NOW), "it has ended"


def test_what_a_budgets_key_spends_counts_for_the_account_once(customer, key, make_generation, make_budget):
    made = make_budget("5", made_with=key.key)
    warn(customer, monthly_budget=Decimal(100), caps=True)
    generation = make_generation(cost="0.5")
    type(generation).objects.update(key=made.budget.key)
    Hold.objects.filter(pk=generation.pk).update(inside=made.budget.hold_key)
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=1)
    settle()
    assert KeyMeter.objects.get(pk=key.key.pk).total_charged == Decimal("0.5")
    assert AccountMeter.objects.get().charged == Decimal("0.5")
    ending.end(budget_id=made.budget.pk, reason=Budget.Ended.DELETED, now=NOW)
    assert AccountMeter.objects.get().charged == Decimal("0.5")


def test_a_refusal_at_97_percent_is_told_of_once_a_period(customer, key, user):
    warn(customer, caps=True)
    cap(key, daily_limit="1")
    reached = CapReached(
        Whose.KEY, key.key.pk, Period.DAY, Decimal(1), Decimal("0.98"), Decimal("0.01"), Decimal("0.05"), TODAY
    )
    used_up = CapReached(
        Whose.KEY, key.key.pk, Period.DAY, Decimal(1), Decimal("1.01"), Decimal("0.01"), Decimal("0.05"), TODAY
    )
    assert not spending.tell_refused(used_up, customer_id=customer.pk, now=NOW)  # that was told of as 100 %
    assert spending.tell_refused(reached, customer_id=customer.pk, now=NOW)
    assert not spending.tell_refused(reached, customer_id=customer.pk, now=NOW)
    [fact] = Event.objects.filter(kind=Fact.BUDGET_REACHED)
    assert (fact.shown["percent"], fact.shown["refused"]) == (97, True)
    [letter] = mails()
    assert "$0.97 are charged and $0.01 are held for requests under way; it needed $0.05." in letter.body
    tomorrow = CapReached(
        Whose.KEY, key.key.pk, Period.DAY, Decimal(1), Decimal(0), Decimal(0), Decimal(2), TODAY + timedelta(days=1)
    )
    assert spending.tell_refused(tomorrow, customer_id=customer.pk, now=NOW + timedelta(days=1))
    cap(key, daily_limit="2")  # raised meanwhile
    third = CapReached(
        Whose.KEY, key.key.pk, Period.DAY, Decimal(1), Decimal(0), Decimal(0), Decimal(2), TODAY + timedelta(days=2)
    )
    assert not spending.tell_refused(third, customer_id=customer.pk, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_two_settlers_tell_of_a_share_once(customer, key, make_generation):
    warn(customer, caps=True)
    cap(key, daily_limit="1")
    for _ in range(4):
        make_generation(cost="0.2")
    results = in_threads(*[lambda: settling.settle(now=NOW, most=2)] * 2)
    assert not failures(results)
    settle()
    assert ("key", "day", 80) in told()
    assert len(told()) == len(set(told()))
