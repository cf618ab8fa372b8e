"""Money set aside for a run: nothing else has it, its requests spend nothing else, and what is left comes back."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.keys import issuing
from accounts.models import ApiKey, ChildKey, Customer, KeyMeter, MemberMeter, Membership, User
from billing.audit.run import audit, register
from billing.books import holds
from billing.budgets import ending, making
from billing.budgets.audit import check_budgets
from billing.budgets.figures import figures_of
from billing.budgets.making import BudgetError
from billing.limits import members
from billing.models import Budget, Hold, Wallet
from billing.refunds import refundable
from core.clock import database_now
from tests.billing.budgets.conftest import hold_inside, settle_inside, standing
from tests.billing.conftest import failures, in_threads, topup
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _audited(_billing_alone):
    register("budgets", check_budgets)


@pytest.fixture
def paid(wallet: Wallet) -> Wallet:
    """20 USD of paid balance, beside 10 of bonus."""
    topup(wallet, "20")
    return wallet


def drifts() -> list[str]:
    return audit().drifts


def end(made, reason=Budget.Ended.DELETED) -> bool:
    return ending.end(budget_id=made.budget.pk, reason=reason, now=database_now())


def test_money_is_set_aside_from_everything_else(paid, make_budget):
    made = make_budget("25")
    assert standing(made.budget) == ("0.00", "25.00", "5.00")
    assert refundable(customer_id=paid.pk).amount == 5
    with pytest.raises(BudgetError, match=r"available balance is \$5.00000000") as refused:
        make_budget("5.01")
    assert refused.value.code == "insufficient_balance"
    assert ApiKey.objects.count() == 1
    assert drifts() == []


def test_its_key_calls_models_and_nothing_else_until_it_ends(paid, make_budget):
    made = make_budget("5")
    key = issuing.find(made.text)
    assert key is not None
    assert (key.scopes, key.expires_at, key.child.purse) == (
        ["inference"],
        made.budget.expires_at,
        made.budget.hold_key,
    )
    assert issuing.works(key, now=database_now())
    assert end(made)
    gone = issuing.find(made.text)
    assert gone is not None
    assert not issuing.works(gone, now=database_now())


def test_what_its_requests_hold_and_cost_is_taken_out_of_it_and_the_rest_comes_back(paid, make_budget):
    made = make_budget("5")
    hold_inside(made.budget, "gen-1", "2")
    hold_inside(made.budget, "gen-2", "3")
    assert standing(made.budget) == ("5.00", "5.00", "25.00")
    settle_inside(made.budget, "gen-1", "0.50")
    [figures] = figures_of([made.budget]).values()
    assert (figures.spent, figures.held, figures.requests, figures.left) == (Decimal("0.5"), 3, 1, Decimal("1.5"))
    settle_inside(made.budget, "gen-2", "0")
    assert standing(made.budget) == ("0.50", "4.50", "25.00")
    assert drifts() == []


def test_the_database_lets_no_budget_be_exceeded(paid, make_budget):
    made = make_budget("5")
    hold_inside(made.budget, "gen-1", "4")
    with pytest.raises(IntegrityError, match="hold_captured_within_bound"), transaction.atomic():
        hold_inside(made.budget, "gen-2", "1.01")


def test_a_hold_inside_is_the_bound(paid, make_budget):
    made = make_budget("5")
    row = ["gen-1", paid.pk, "1", "2", NOW, made.budget.hold_key]
    with (
        pytest.raises(IntegrityError, match="hold_inside_at_the_bound"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(holds.PLACE_HOLDS_INSIDE, [[value] for value in row])


def test_at_its_end_what_is_left_is_free_and_requests_under_way_keep_what_they_hold(paid, make_budget):
    made = make_budget("5")
    hold_inside(made.budget, "gen-1", "2")
    assert (end(made), end(made)) == (True, False)
    assert standing(made.budget) == ("2.00", "2.00", "28.00")
    assert drifts() == []
    settle_inside(made.budget, "gen-1", "1.25")
    assert standing(made.budget) == ("1.25", "0.00", "28.75")
    [figures] = figures_of([made.budget]).values()
    assert (figures.spent, figures.held, figures.left, figures.returned) == (Decimal("1.25"), 0, 0, Decimal("3.75"))
    assert drifts() == []


def test_the_sweeper_ends_what_is_over_and_nothing_else(paid, make_budget):
    over = make_budget("5", lasts=MINUTE, now=database_now() - 2 * MINUTE)
    runs = make_budget("5")
    assert ending.end_due(now=database_now()) == 1
    assert ending.end_due(now=database_now()) == 0
    over.budget.refresh_from_db()
    runs.budget.refresh_from_db()
    assert (over.budget.ended_reason, runs.budget.ended_at) == ("expired", None)
    assert standing(runs.budget) == ("0.00", "5.00", "25.00")


def test_one_that_cannot_be_ended_keeps_no_other(paid, make_budget, monkeypatch):
    first, second = (make_budget("5", lasts=MINUTE, now=database_now() - 2 * MINUTE) for _ in range(2))
    Hold.objects.filter(pk=first.budget.hold_key).update(key="budget:0")
    assert ending.end_due(now=database_now()) == 1
    second.budget.refresh_from_db()
    assert second.budget.ended_reason == "expired"


# Of whom it was made.


@pytest.fixture
def maker(user: User, customer: Customer) -> ApiKey:
    """A member's key that may make keys, with caps."""
    scopes = ["inference", "keys"]
    return issuing.issue(
        customer=customer,
        name="ci",
        now=NOW,
        created_by=user,
        scopes=scopes,
        daily_limit=Decimal(8),
        rpm_limit=7,
        allowed_models=["openai/m"],
        allowed_ips=["10.0.0.0/8"],
    ).key


def spent_with(key: ApiKey) -> tuple[Decimal, Decimal]:
    return KeyMeter.objects.values_list("day_spent", "total_spent").get(key=key)


def test_its_key_is_no_wider_than_the_key_that_made_it(paid, make_budget, maker):
    child = make_budget("5", made_with=maker).budget.key
    for field in ("daily_limit", "rpm_limit", "allowed_models", "allowed_ips", "created_by"):
        assert getattr(child, field) == getattr(maker, field), field
    ApiKey.objects.filter(pk=maker.pk).update(expires_at=database_now() + 30 * MINUTE)
    maker.refresh_from_db()
    with pytest.raises(BudgetError, match="expires_in") as refused:
        make_budget("1", made_with=maker)
    assert refused.value.code == "key_not_allowed"
    ApiKey.objects.filter(pk=maker.pk).update(scopes=["keys"], expires_at=None)
    maker.refresh_from_db()
    with pytest.raises(BudgetError, match="scopes"):
        make_budget("1", made_with=maker)


def test_what_is_set_aside_counts_within_the_caps_of_the_key_that_made_it_until_it_comes_back(paid, make_budget, maker):
    made = make_budget("5", made_with=maker)
    assert spent_with(maker) == (5, 5)
    with pytest.raises(BudgetError, match=r"This key may spend \$8") as refused:
        make_budget("3.01", made_with=maker)
    assert refused.value.code == "daily_limit_exceeded"
    assert Budget.objects.count() == 1
    hold_inside(made.budget, "gen-1", "2")
    settle_inside(made.budget, "gen-1", "0.75")
    hold_inside(made.budget, "gen-2", "3")
    assert spent_with(maker) == (5, 5)
    assert KeyMeter.objects.get(key=maker).total_charged == Decimal("0.75")
    end(made)
    assert spent_with(maker) == (Decimal("3.75"), Decimal("3.75"))
    settle_inside(made.budget, "gen-2", "1")
    assert spent_with(maker) == (Decimal("1.75"), Decimal("1.75"))
    assert KeyMeter.objects.get(key=maker).week_charged == Decimal("1.75"), "nothing is held any more"


def test_what_comes_back_on_a_later_day_is_no_room_within_the_cap_of_that_day(paid, make_budget, maker):
    yesterday = database_now() - timedelta(days=1)
    made = make_budget("5", made_with=maker, now=yesterday, lasts=timedelta(days=2))
    make_budget("4", made_with=maker)
    assert spent_with(maker) == (4, 9)
    end(made)
    assert spent_with(maker) == (4, 4)


def test_within_a_members_caps_it_counts_once(paid, make_budget, maker, user):
    membership = Membership.objects.get(user=user)
    members.set_caps(membership=membership, caps={"total_limit": Decimal(7)}, now=database_now())
    made = make_budget("5", made_with=maker)
    assert MemberMeter.objects.get().total_spent == 5
    with pytest.raises(BudgetError) as refused:
        make_budget("2.5", made_with=maker)
    assert refused.value.code == "member_limit_exceeded"
    assert KeyMeter.objects.get(key=made.budget.key).member_id is None, "its requests are within what is counted"
    on_a_page = make_budget("1", created_by=user)
    assert KeyMeter.objects.get(key=on_a_page.budget.key).member_id == membership.pk, "they count as they are made"
    Membership.objects.filter(pk=membership.pk).update(role="owner")  # meters are named anew
    members.fill(membership=membership, now=database_now())
    assert MemberMeter.objects.get().total_spent == 5
    assert KeyMeter.objects.get(key=made.budget.key).member_id is None
    end(made)
    assert MemberMeter.objects.get().total_spent == 0


def test_when_the_key_that_made_it_is_gone_it_works_no_more_and_ends(paid, make_budget, maker):
    made = make_budget("5", made_with=maker)
    version = KeyMeter.objects.get(key=made.budget.key).version
    issuing.switch(key=maker, active=False)
    assert KeyMeter.objects.get(key=made.budget.key).version == version + 1, "gateways read it again"
    found = issuing.find(made.text)
    assert found is not None
    assert not issuing.works(found, now=database_now())
    assert ending.end_due(now=database_now()) == 0, "it may be switched on again"
    issuing.delete(key=maker, now=database_now())
    assert ending.end_due(now=database_now()) == 1
    made.budget.refresh_from_db()
    assert made.budget.ended_reason == "key_ended"
    assert standing(made.budget) == ("0.00", "0.00", "30.00")


def test_when_the_member_that_made_it_leaves_it_ends(paid, make_budget, user, customer):
    other = User.objects.create_user("bo@example.org", "a rather long one")
    Membership.objects.create(user=other, customer=customer)
    made = make_budget("5", created_by=user)
    assert ending.end_due(now=database_now()) == 0
    Membership.objects.filter(user=user).delete()
    assert ending.end_due(now=database_now()) == 1
    made.budget.refresh_from_db()
    assert made.budget.ended_reason == "key_ended"


# What is refused.


@pytest.mark.parametrize("written", ["0", "0.009", "-1", "1e2", "0.123456789", "NaN", "", None, 1.5, True, "1" * 20])
def test_an_amount_that_is_none_is_refused(written):
    with pytest.raises(BudgetError) as refused:
        making.amount_of(written)
    assert refused.value.field == "amount"


@pytest.mark.parametrize("lasts", [timedelta(seconds=59), timedelta(days=30, seconds=1), timedelta(0), -MINUTE])
def test_a_life_that_is_none_is_refused(paid, make_budget, lasts):
    with pytest.raises(BudgetError) as refused:
        make_budget("1", lasts=lasts)
    assert refused.value.field == "expires_in"


def test_a_suspended_account_makes_none_and_what_it_has_ends_all_the_same(paid, make_budget, customer):
    made = make_budget("5")
    Customer.objects.filter(pk=customer.pk).update(suspended_at=NOW)
    with pytest.raises(BudgetError) as refused:
        make_budget("1")
    assert refused.value.code == "account_suspended"
    assert end(made)


def test_nothing_is_left_of_one_whose_making_fails(paid, make_budget):
    def die(made) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make_budget("5", in_transaction=die)
    assert (ApiKey.objects.count(), Budget.objects.count(), ChildKey.objects.count()) == (0, 0, 0)
    assert Wallet.objects.get().held == 0


# Races.


@pytest.mark.django_db(transaction=True)
def test_two_who_make_one_at_once_do_not_set_the_same_money_aside(paid, make_budget):
    results = in_threads(*(lambda: make_budget("20") for _ in range(4)))
    assert [error.code for error in failures(results)] == ["insufficient_balance"] * 3
    assert Wallet.objects.get().held == 20
    assert drifts() == []


@pytest.mark.django_db(transaction=True)
def test_ending_settling_and_holding_at_once_lose_nothing(paid, make_budget):
    made = make_budget("10")
    for number in range(4):
        hold_inside(made.budget, f"gen-{number}", "1")

    results = in_threads(
        lambda: end(made),
        lambda: end(made, Budget.Ended.EXPIRED),
        *(lambda number=number: settle_inside(made.budget, f"gen-{number}", "0.25") for number in range(4)),
    )
    assert failures(results) == []
    assert sorted(results[:2]) == [False, True]
    assert standing(made.budget) == ("1.00", "0.00", "29.00")
    assert drifts() == []


def test_the_audit_finds_a_budget_whose_hold_is_not_what_its_requests_took(paid, make_budget):
    made = make_budget("5")
    hold_inside(made.budget, "gen-1", "2")
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=1)
    [_, found] = drifts()
    assert (
        f"the hold of budget {made.budget.pk} is open, 1.00000000 is taken out of it, by its requests it is 2" in found
    )
    Hold.objects.filter(pk=made.budget.hold_key).update(captured=2)
    ChildKey.objects.all().delete()
    assert any("its budget or its key is not as that" in found for found in drifts())
    Hold.objects.filter(pk="gen-1").update(inside="budget:0")
    assert any("hold gen-1 belongs to no budget" in found for found in drifts())
