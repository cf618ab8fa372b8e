"""SETTLE and the sweeper: what is metered is charged once, what is orphaned is released once."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from billing.books import holds
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold, Transfer, Wallet
from core import panels
from proxy.models import SWEPT_ALIVE, Generation, Lease
from proxy.settlement import lease, settle
from tests.conftest import NOW


def state_of(generation: Generation) -> str:
    return Generation.objects.get(pk=generation.pk).state


def test_bonus_is_spent_first_in_the_order_of_ids(make_generation, customer):
    wallet = Wallet.objects.get(customer=customer)
    clearing = house_account("clearing:stripe:USD")
    post([Posting("topup:1", "topup", clearing, wallet.paid_account, Decimal(5))], now=NOW)
    first, second = (make_generation(cost="6", held="6", bound="6") for _ in range(2))
    settle.settle(now=NOW)
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
    settle.settle(now=NOW)
    assert Transfer.objects.filter(kind__startswith="usage").count() == 0
    assert (state_of(generation), Hold.objects.get().state) == ("settled", "released")


def test_a_failing_generation_is_quarantined_at_the_fifth_failure_and_stops_nobody(make_generation, wallet):
    poisoned = make_generation(cost="0.5")
    Hold.objects.filter(pk=poisoned.pk).update(state="released", resolved_at=NOW)
    good = [make_generation(cost="0.5") for _ in range(3)]
    settle.settle(now=NOW)
    assert {state_of(g) for g in good} == {"settled"}
    assert state_of(poisoned) == "metered"
    for _ in range(4):
        settle.settle(now=NOW)
    poisoned.refresh_from_db()
    assert (poisoned.state, poisoned.failures, poisoned.is_flagged) == ("quarantined", 5, True)
    assert settle.settle_all(now=NOW) == 0


def test_refusals_that_settle_first_count_no_failures(make_generation, wallet, monkeypatch):
    """They come as often as a caller likes: what fails is left to the settler."""
    poisoned = make_generation(cost="0.5")

    def fail(*_arguments, **_options):
        raise ValueError("cannot be settled")

    with monkeypatch.context() as patched:
        patched.setattr(settle, "_settle", fail)
        for _ in range(6):
            assert settle.settle_customer(customer_id=wallet.customer_id, now=NOW, wait_ms=100) == 0
    poisoned.refresh_from_db()
    assert (poisoned.state, poisoned.failures) == ("metered", 0)
    assert settle.settle_all(now=NOW) == 1


def test_a_charge_whose_key_is_taken_stops_nobody(make_generation, wallet):
    taken, good = make_generation(cost="0.5"), make_generation(cost="0.5")
    other = Posting(f"{taken.pk}:bonus", "usage_bonus", wallet.bonus_account, house_account("x"), Decimal("0.1"))
    post([other], now=NOW)
    settle.settle(now=NOW)
    assert (state_of(taken), state_of(good)) == ("metered", "settled")
    assert Hold.objects.get(pk=taken.pk).state == "open"


@pytest.mark.django_db(transaction=True)
def test_two_settlers_at_once_charge_each_generation_once(make_generation, wallet):
    for _ in range(40):
        make_generation(cost="0.01", held="0.05", bound="0.05")

    def run() -> None:
        try:
            settle.settle(now=NOW, most=7)
            settle.settle_all(now=NOW)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle.settle_all(now=NOW)
    wallet.refresh_from_db()
    assert (wallet.bonus, wallet.held) == (Decimal("9.6"), 0)
    assert Transfer.objects.filter(kind="usage_bonus").count() == 40


def test_the_sweeper_resolves_every_orphan_once_and_lists_it(make_generation, wallet):
    dead, alive = lease.take(), lease.take()
    Lease.objects.filter(pk=dead).update(renewed_at=timezone.now() - timedelta(seconds=61))
    orphan, served = (make_generation(cost=None, lease_id=whose, at=timezone.now()) for whose in (dead, alive))
    assert [settle.sweep(now=NOW) for _ in range(2)] == [1, 0]
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
    alive, now = lease.take(), timezone.now()
    young, old = (
        make_generation(cost=None, lease_id=alive, at=now - timedelta(hours=2, seconds=seconds)) for seconds in (-9, 1)
    )
    settle.sweep(now=NOW)
    assert (state_of(young), state_of(old)) == ("held", "released")


def test_the_sweeper_touches_no_refund_and_no_metered_request(make_generation, customer):
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(1), now=NOW)
    metered = make_generation(cost="0.5", lease_id=None)
    assert settle.sweep(now=NOW) == 0
    assert state_of(metered) == "metered"
    assert Hold.objects.get(pk="refund:1").state == "open"


def test_a_failed_calls_hold_is_not_given_back_three_times(make_generation, wallet):
    generation = make_generation(cost=None)
    make_generation(cost=None)
    released = [settle.release([generation.pk], reason="upstream_error", now=NOW) for _ in range(3)]
    assert released == [[generation.pk], [], []]
    wallet.refresh_from_db()
    assert wallet.held == 1


def test_settlement_corrects_what_the_key_counted_as_spent(make_generation, key):
    generation = make_generation(cost="0.25")
    meter = key.key.meter
    type(meter).objects.update(day=generation.created_at.date(), day_spent=Decimal(1), total_spent=Decimal(1))
    settle.settle(now=NOW)
    meter.refresh_from_db()
    assert (meter.day_spent, meter.total_spent) == (Decimal("0.25"), Decimal("0.25"))


def test_a_lease_that_a_sweeper_took_for_dead_is_taken_again(db):
    taken = lease.take()
    lease.give_back(taken)
    lease.renew(taken)
    assert Lease.objects.get().pk == taken


@pytest.fixture
def swept(make_generation) -> tuple[int, int]:
    """Two gateways that were silent for too long, each with a request that was released."""
    leases = lease.take(), lease.take()
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=61))
    for number in leases:
        make_generation(cost=None, lease_id=number, at=timezone.now())
    assert settle.sweep(now=NOW) == 2
    return leases


def test_a_gateway_taken_for_dead_that_lives_turns_the_first_page_red(swept):
    def red() -> list[str]:
        return [figure.value for _panel, figure in panels.red_figures() if "taken for dead" in figure.label]

    _dead, stalled = swept
    assert red() == []
    lease.renew(stalled)
    assert red() == ["1"]
    assert Lease.objects.get(SWEPT_ALIVE).pk == stalled
    lease.give_back(stalled)
    assert red() == []


def test_a_lease_taken_again_long_after_it_was_swept_is_an_alarm_too(swept):
    """The sweeper has thrown it away: nobody renews after two hours but a process that was stopped as long."""
    dead, _stalled = swept
    Lease.objects.all().delete()
    for _ in range(2):
        lease.renew(dead)
    assert Lease.objects.get(SWEPT_ALIVE).pk == dead
