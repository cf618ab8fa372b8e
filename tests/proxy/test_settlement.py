"""SETTLE and the sweeper: what is metered is charged once, what is orphaned is released once."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing import holds
from billing.ledger import Posting, house_account, post
from billing.models import Hold, Transfer, Wallet
from proxy import lease, settlement
from proxy.ids import new_generation_id
from proxy.loading import load_catalog
from proxy.models import Generation, Lease, Model, Price
from tests.conftest import NOW

CATALOG = {
    "upstreams": [{"name": "u", "protocol": "openai", "base_url": "http://127.0.0.1:1/v1"}],
    "models": [{"id": "openai/m", "upstreams": ["u"], "price": {"input": "10", "output": "40"}}],
}


@pytest.fixture
def make_generation(customer, key):
    """A function: a request with a hold, metered at `cost` unless that is None."""
    load_catalog(CATALOG)

    def make(*, cost: str | None, held: str = "1", bound: str = "1", lease_id: int | None = None) -> Generation:
        generation_id = new_generation_id()
        holds.place(customer_id=customer.pk, key=generation_id, kind=Hold.Kind.REQUEST, amount=Decimal(held), now=NOW)
        metered = {} if cost is None else {"state": "metered", "cost": Decimal(cost), "metered_at": NOW}
        return Generation.objects.create(
            pk=generation_id,
            customer=customer,
            key=key.key,
            model=Model.objects.get(),
            price=Price.objects.get(),
            lease_id=lease_id,
            protocol="openai",
            streamed=False,
            bound=Decimal(bound),
            held=Decimal(held),
            created_at=NOW,
            usage_source="upstream" if cost is not None else "none",
            **metered,
        )

    return make


def state_of(generation: Generation) -> str:
    return Generation.objects.get(pk=generation.pk).state


def test_bonus_is_spent_first_in_the_order_of_ids(make_generation, customer):
    wallet = Wallet.objects.get(customer=customer)
    clearing = house_account("clearing:stripe:USD")
    post([Posting("topup:1", "topup", clearing, wallet.paid_account, Decimal(5))], now=NOW)
    first, second = (make_generation(cost="6", held="6", bound="6") for _ in range(2))
    settlement.settle(now=NOW)
    amounts = {t.key: t.amount for t in Transfer.objects.filter(kind__startswith="usage")}
    assert amounts == {
        f"{first.pk}:bonus": Decimal(6),
        f"{second.pk}:bonus": Decimal(4),
        f"{second.pk}:paid": Decimal(2),
    }
    wallet.refresh_from_db()
    assert (wallet.bonus, wallet.paid, wallet.held) == (0, Decimal(3), 0)


def test_a_zero_cost_posts_nothing_and_gives_the_hold_back(make_generation, wallet):
    generation = make_generation(cost="0")
    settlement.settle(now=NOW)
    assert Transfer.objects.filter(kind__startswith="usage").count() == 0
    assert (state_of(generation), Hold.objects.get().state) == ("settled", "released")


def test_a_failing_generation_is_quarantined_at_the_fifth_failure_and_stops_nobody(make_generation, wallet):
    poisoned = make_generation(cost="0.5")
    Hold.objects.filter(pk=poisoned.pk).update(state="released", resolved_at=NOW)
    good = [make_generation(cost="0.5") for _ in range(3)]
    settlement.settle(now=NOW)
    assert {state_of(g) for g in good} == {"settled"}
    assert state_of(poisoned) == "metered"
    for _ in range(4):
        settlement.settle(now=NOW)
    poisoned.refresh_from_db()
    assert (poisoned.state, poisoned.failures, poisoned.is_flagged) == ("quarantined", 5, True)
    assert settlement.settle_all(now=NOW) == 0


def test_refusals_that_settle_first_count_no_failures(make_generation, wallet, monkeypatch):
    """They come as often as a caller likes: what fails is left to the settler."""
    poisoned = make_generation(cost="0.5")

    def fail(*_arguments, **_options):
        raise ValueError("cannot be settled")

    with monkeypatch.context() as patched:
        patched.setattr(settlement, "_settle", fail)
        for _ in range(6):
            assert settlement.settle_customer(customer_id=wallet.customer_id, now=NOW, patience_ms=100) == 0
    poisoned.refresh_from_db()
    assert (poisoned.state, poisoned.failures) == ("metered", 0)
    assert settlement.settle_all(now=NOW) == 1


def test_a_charge_whose_key_is_taken_stops_nobody(make_generation, wallet):
    taken, good = make_generation(cost="0.5"), make_generation(cost="0.5")
    other = Posting(f"{taken.pk}:bonus", "usage_bonus", wallet.bonus_account, house_account("x"), Decimal("0.1"))
    post([other], now=NOW)
    settlement.settle(now=NOW)
    assert (state_of(taken), state_of(good)) == ("metered", "settled")
    assert Hold.objects.get(pk=taken.pk).state == "open"


@pytest.mark.django_db(transaction=True)
def test_two_settlers_at_once_charge_each_generation_once(make_generation, wallet):
    for _ in range(40):
        make_generation(cost="0.01", held="0.05", bound="0.05")

    def run() -> None:
        try:
            settlement.settle(now=NOW, limit=7)
            settlement.settle_all(now=NOW)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settlement.settle_all(now=NOW)
    wallet.refresh_from_db()
    assert (wallet.bonus, wallet.held) == (Decimal("9.6"), 0)
    assert Transfer.objects.filter(kind="usage_bonus").count() == 40


def test_the_sweeper_resolves_every_orphan_once_and_lists_it(make_generation, wallet):
    dead = lease.take(now=NOW - timedelta(seconds=61))
    alive = lease.take(now=NOW)
    orphan, served = make_generation(cost=None, lease_id=dead), make_generation(cost=None, lease_id=alive)
    assert [settlement.sweep(now=NOW) for _ in range(2)] == [1, 0]
    orphan.refresh_from_db()
    assert (orphan.state, orphan.settlement_reason, orphan.cost, orphan.is_flagged) == (
        "released",
        "abandoned",
        0,
        True,
    )
    assert state_of(served) == "held"
    wallet.refresh_from_db()
    assert wallet.held == 1


def test_no_request_outlives_two_hours(make_generation):
    alive = lease.take(now=NOW)
    generation = make_generation(cost=None, lease_id=alive)
    Generation.objects.update(created_at=NOW - timedelta(hours=2, seconds=1))
    settlement.sweep(now=NOW)
    assert state_of(generation) == "released"


def test_the_sweeper_touches_no_refund_and_no_metered_request(make_generation, customer):
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(1), now=NOW)
    metered = make_generation(cost="0.5", lease_id=None)
    assert settlement.sweep(now=NOW) == 0
    assert state_of(metered) == "metered"
    assert Hold.objects.get(pk="refund:1").state == "open"


def test_a_failed_calls_hold_is_not_given_back_three_times(make_generation, wallet):
    generation = make_generation(cost=None)
    make_generation(cost=None)
    released = [settlement.release([generation.pk], reason="upstream_error", now=NOW) for _ in range(3)]
    assert released == [[generation.pk], [], []]
    wallet.refresh_from_db()
    assert wallet.held == 1


def test_settlement_corrects_what_the_key_counted_as_spent(make_generation, key):
    generation = make_generation(cost="0.25")
    meter = key.key.meter
    type(meter).objects.update(day=generation.created_at.date(), day_spent=Decimal(1), total_spent=Decimal(1))
    settlement.settle(now=NOW)
    meter.refresh_from_db()
    assert (meter.day_spent, meter.total_spent) == (Decimal("0.25"), Decimal("0.25"))


def test_a_lease_that_a_sweeper_took_for_dead_is_taken_again(db):
    taken = lease.take(now=NOW)
    lease.give_back(taken)
    lease.renew(taken, now=NOW)
    assert Lease.objects.get().pk == taken
