"""A stream inside a budget is held for window by window there, and ends where the budget does."""

from decimal import Decimal

import pytest

from billing.audit.run import audit
from billing.budgets import ending
from billing.budgets.figures import figures_of
from billing.models import Budget, Event, Hold, Wallet
from billing.outbox.kinds import Fact
from billing.warnings import setting
from billing.warnings.setting import Wanted
from core.clock import database_now
from tests.conftest import NOW
from tests.proxy.conftest import settle, wait_for
from tests.proxy.relay.windowed import endless, limited, wait_until

pytestmark = pytest.mark.usefixtures("small_windows", "long_answers")


def test_a_stream_grows_inside_its_budget_and_ends_with_it(gateway, make_budget, upstream, spoken, customer):
    setting.change(customer=customer, wanted=Wanted(caps=True), by=None, now=NOW)
    hung_up = endless(upstream, spoken)
    made = make_budget("0.1")
    with gateway.stream(**limited(spoken), headers={"Authorization": f"Bearer {made.text}"}) as response:
        assert response.status_code == 200
        text = response.read().decode()
    assert '"ended_early":{"code":"budget_exhausted"' in text
    assert "Top up" not in text
    assert hung_up.wait(5)
    generation = wait_for("metered")
    assert generation.settlement_reason == "budget_exhausted"
    assert generation.ended_by == {"of": "budget", "id": str(made.budget.pk)}
    assert Decimal("0.08") < generation.held <= Decimal("0.1")
    wait_until(Event.objects.filter(kind=Fact.BUDGET_REACHED).exists)
    [fact] = Event.objects.filter(kind=Fact.BUDGET_REACHED)
    assert (fact.shown["of"], fact.shown["id"], fact.shown["refused"]) == ("budget", str(made.budget.pk), True)
    assert Wallet.objects.get(customer=customer).held == Decimal("0.1")
    settle()
    assert figures_of([made.budget])[made.budget.pk].spent == generation.cost <= Decimal("0.1")
    assert audit().drifts == []


def test_a_stream_keeps_what_it_holds_when_its_budget_ends_and_grows_no_more(gateway, make_budget, upstream, spoken):
    endless(upstream, spoken)
    made = make_budget("5")
    seen = 0
    with gateway.stream(**limited(spoken), headers={"Authorization": f"Bearer {made.text}"}) as response:
        for piece in response.iter_bytes():
            seen += len(piece)
            if not Budget.objects.get().ended_at:
                ending.end(budget_id=made.budget.pk, reason=Budget.Ended.DELETED, now=database_now())
                held = Hold.objects.get(kind="request").amount
    generation = wait_for("metered")
    assert seen
    assert generation.settlement_reason == "budget_exhausted"
    assert generation.ended_by == {"of": "budget", "id": str(made.budget.pk)}
    assert generation.held == held
    settle()
    wallet = Wallet.objects.get()
    assert (wallet.held, wallet.bonus) == (0, 10 - generation.cost)
    assert figures_of([made.budget])[made.budget.pk].spent == generation.cost
    assert audit().drifts == []
