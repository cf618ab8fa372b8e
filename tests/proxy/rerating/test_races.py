"""Killed anywhere, and beside whatever else writes: each request is corrected once, and the books are right."""

import threading
from decimal import Decimal

import pytest
from django.db import connection

from billing.audit.run import audit
from billing.books.reversals import reverse
from billing.models import Transfer
from proxy.models import Generation, Rerate, RerateShare
from proxy.purchases import posting as purchases
from proxy.rerating import deciding, reading, work
from proxy.settlement.settle import settle_all
from tests.billing.conftest import in_threads
from tests.conftest import NOW
from tests.histories.world import mortal
from tests.proxy.purchases.conftest import load
from tests.proxy.rerating.rerating_steps import CORRECTED, HALF, balances, people, proposed, run, version

REQUESTS = 12


@pytest.fixture
def small_pages(monkeypatch):
    for name in ("READ", "LOCKED"):
        monkeypatch.setattr(reading, name, getattr(reading, name).replace("LIMIT 500", "LIMIT 2"))
    monkeypatch.setattr(reading, "MOST_REQUESTS", 2)


@pytest.fixture
def requests(answered, small_pages) -> list[Generation]:
    load()
    return [answered() for _ in range(REQUESTS)]


def is_right(customer) -> None:
    assert Rerate.objects.get().state == "done"
    assert Rerate.objects.get().done == REQUESTS
    assert Transfer.objects.filter(kind="rerate").count() == REQUESTS
    assert RerateShare.objects.get().posted == REQUESTS
    assert balances(customer) == (0, 10 - REQUESTS * CORRECTED)
    assert not audit().drifts


def test_killed_at_each_commit_it_goes_on_where_it_was(requests, customer):
    """Dying again and again: at the first commit of a step, at its second, and so on."""
    first, second = people()
    rerate = deciding.propose(
        model=requests[0].model, first_day=NOW.date(), last_day=NOW.date(), price=version(HALF), reason="x",
        by=first, now=NOW,
    )  # fmt: skip
    for death in range(200):
        with mortal(death % 4):
            work.step(now=NOW)
        rerate.refresh_from_db()
        if rerate.state == "proposed":
            assert RerateShare.objects.get().requests == rerate.seen == REQUESTS
            deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)
        if rerate.state == "done":
            break
    is_right(customer)


def test_many_workers_at_once_post_each_request_once(requests, customer):
    first, second = people()
    rerate = proposed(version(HALF), by=first)
    deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)

    def go_on() -> None:
        for _ in range(60):
            work.step(now=NOW)

    assert not [found for found in in_threads(*[go_on] * 4) if isinstance(found, Exception)]
    is_right(customer)


def test_beside_settlement_purchases_and_reversals_the_books_stay_right(requests, answered, customer):
    first, second = people()
    rerate = proposed(version(HALF), by=first)
    deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)
    later = [answered(is_settled=False) for _ in range(4)]
    begin = threading.Barrier(4)

    def go_on() -> None:
        begin.wait()
        run()

    def settle() -> None:
        begin.wait()
        settle_all(now=NOW)

    def buy() -> None:
        begin.wait()
        purchases.post_all_purchases(now=NOW)

    def give_back() -> None:
        begin.wait()
        for one in reversed(requests[::2]):
            reverse(generation_id=one.pk, now=NOW)

    assert not [found for found in in_threads(go_on, settle, buy, give_back) if isinstance(found, Exception)]
    run()
    assert Rerate.objects.get().state == "done"
    given_back = {one.pk for one in requests[::2]}
    for one in Generation.objects.filter(pk__in=[g.pk for g in requests]):
        assert one.net_cost == (0 if one.pk in given_back else CORRECTED)
    assert Generation.objects.filter(pk__in=[g.pk for g in later], state="settled").count() == 4
    assert balances(customer)[1] == 10 - sum((g.net_cost or Decimal(0) for g in Generation.objects.all()), Decimal(0))
    assert not audit().drifts


def test_one_that_fails_says_so_and_keeps_none_behind_it_waiting(requests, monkeypatch, customer):
    first, second = people()
    rerate = proposed(version(HALF), by=first)
    deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)

    def fail(pk, *, now):
        raise LookupError("a locked request is not where it was")

    monkeypatch.setattr(work, "STEPS", {**work.STEPS, "posting": fail})
    run()
    rerate.refresh_from_db()
    assert (rerate.state, rerate.problem) == ("posting", "LookupError: a locked request is not where it was")
    monkeypatch.undo()
    run()
    rerate.refresh_from_db()
    assert rerate.problem == ""
    is_right(customer)


class Killed(BaseException):
    pass


def test_killed_before_any_statement_it_goes_on_where_it_was(requests, customer):
    """Each step is killed at its first statement, then at its second, and so on, until it lives."""
    first, second = people()
    rerate = deciding.propose(
        model=requests[0].model, first_day=NOW.date(), last_day=NOW.date(), price=version(HALF), reason="x",
        by=first, now=NOW,
    )  # fmt: skip
    deaths = 0
    for _step in range(40):
        for at in range(100):
            statements = 0

            def kill(execute, sql, params, many, context, at=at):
                nonlocal statements
                statements += 1
                if statements > at:
                    raise Killed
                return execute(sql, params, many, context)

            try:
                with connection.execute_wrapper(kill):
                    is_work = work.step(now=NOW)
                break
            except Killed:
                deaths += 1
        rerate.refresh_from_db()
        if rerate.state == "proposed":
            deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)
        elif not is_work:
            break
    assert deaths > 100
    is_right(customer)
