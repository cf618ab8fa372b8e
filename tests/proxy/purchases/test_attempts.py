"""Attempts that no charge is for are paid for all the same, as far as their upstreams told what they used."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from billing.audit.run import audit
from payments.models import ExchangeRate
from payments.topups import fx
from proxy.models import Attempt, Claim, Generation, MarginDay, PurchaseBatch, Upstream
from proxy.prices.usage import Usage
from proxy.purchases import dollars, posting, rows
from proxy.settlement import attempts, settle
from tests.conftest import NOW
from tests.proxy.purchases.conftest import CHARGED, LIST, TOKENS, load, owed, purchases

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(seconds=5)
YUAN = {"input": "7", "output": "28"}
Tried = Callable[..., None]


def post() -> int:
    return posting.post_all_purchases(now=LATER)


@pytest.fixture
def tried() -> Tried:
    """A function: `generation` was tried at `upstream`, too, and that told `usage`."""
    numbers = itertools.count(1)

    def make(generation: Generation, *, upstream: str = "main", usage: Usage | None = TOKENS, **more: Any) -> None:
        pk = Upstream.objects.get(name=upstream).pk
        attempt = attempts.Attempt(pk, more.pop("outcome", "refused"), monotonic(), usage=usage, **more)
        attempts.write([(generation.pk, next(numbers), attempt)])

    return make


def test_an_attempt_is_posted_beside_the_request_that_was_answered_elsewhere(answered, tried):
    load(domestic=YUAN)
    one = answered()
    tried(one, upstream="domestic", upstream_request_id="req_1", service_tier="default", stated_cost=Decimal("0.03"))
    assert post() == 2
    batch = PurchaseBatch.objects.get()
    assert owed() == {"payable:upstream:main:USD": LIST, "payable:upstream:domestic:CNY": Decimal("0.02800000")}
    row = Attempt.objects.get()
    assert (row.model_id, row.upstream_request_id, row.stated_cost) == (one.model_id, "req_1", Decimal("0.03"))
    assert (row.purchase_cost, row.purchase_currency, row.purchase_batch) == (Decimal("0.028"), "CNY", batch.pk)
    one.refresh_from_db()
    assert (one.cost, one.purchase_cost) == (CHARGED, LIST)
    assert not audit().drifts


def test_a_request_that_cost_its_customer_nothing_costs_the_house_what_was_tried(answered, tried):
    load()
    one = answered(is_settled=False, state="held", metered_at=None, usage_source="none", input_tokens=0)
    settle.release([one.pk], reason="upstream_error", now=NOW)
    tried(one)
    tried(one)
    post()
    assert owed() == {"payable:upstream:main:USD": 2 * LIST}
    totals = MarginDay.objects.get()
    assert (totals.requests, totals.charged, totals.purchase) == (0, 0, 2 * LIST)
    assert not audit().drifts


def test_unknown_usage_has_no_cost_and_waits_in_no_batch(answered, tried):
    load()
    one = answered(is_settled=False)
    tried(one, usage=None, outcome="timed_out")
    assert not PurchaseBatch.objects.exists()
    row = Attempt.objects.get()
    assert (row.is_known, row.purchase_cost, row.purchase_batch) == (False, None, None)


def test_a_claim_that_cannot_be_believed_stays_out_of_the_books(answered, tried):
    load()
    tried(answered(), usage=Usage(input_tokens=100_001, output_tokens=1))
    post()
    assert owed() == {"payable:upstream:main:USD": LIST}
    row = Attempt.objects.get()
    assert (row.is_known, row.purchase_cost, row.purchase_batch) == (True, None, PurchaseBatch.objects.get().pk)
    assert not audit().drifts


def test_rare_counts_are_paid_for(answered, tried):
    load(main={"input": "3", "output": "15", "web_search": "10"})
    tried(answered(more={"web_search": 1}), usage=Usage(input_tokens=1000, more={"web_search": 2}))
    post()
    assert Attempt.objects.get().purchase_cost == Decimal("0.023")
    assert Generation.objects.get().purchase_cost == LIST + Decimal("0.01")


def test_written_twice_it_is_one_row_and_posted_once(answered, tried):
    load()
    one = answered()
    attempt = attempts.Attempt(Upstream.objects.get(name="main").pk, "refused", monotonic(), usage=TOKENS)
    for _ in range(2):
        attempts.write([(one.pk, 1, attempt)])
    post()
    post()
    assert Attempt.objects.count() == 1
    assert owed() == {"payable:upstream:main:USD": 2 * LIST}


def test_killed_between_any_two_statements_it_posts_once_the_next_time(answered, tried):
    load(domestic=YUAN)
    one = answered()
    tried(one, upstream="domestic")
    tried(one, usage=Usage(input_tokens=100_001))
    seen: list[tuple[int, int, int]] = []
    for statements in itertools.count():
        left = iter(range(statements))

        def die(execute: Any, *arguments: Any, left: Any = left) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return execute(*arguments)

        with connection.execute_wrapper(die), suppress(KeyboardInterrupt):
            post()
            break
        seen.append((len(purchases()), Claim.objects.count(), MarginDay.objects.count()))
    assert len(seen) > 15
    assert set(seen) == {(0, 0, 0), (2, 1, 3)}
    post()
    assert owed() == {"payable:upstream:main:USD": LIST, "payable:upstream:domestic:CNY": Decimal("0.02800000")}
    assert Claim.objects.count() == 1
    assert not audit().drifts


def test_a_bad_attempt_keeps_no_other_and_no_request(answered, tried):
    load()
    one, lost = answered(), answered(is_settled=False)
    for whose in (one, one, lost, one):
        tried(whose)
    Generation.objects.filter(pk=lost.pk).update(price=0)
    for _ in range(2):
        post()
    assert owed() == {"payable:upstream:main:USD": 4 * LIST}
    waiting = PurchaseBatch.objects.get(posted_at=None)
    assert (waiting.generations, waiting.failures) == ([], 1)
    assert waiting.attempts == [Attempt.objects.get(generation_id=lost.pk).pk]
    Generation.objects.filter(pk=lost.pk).update(price=lost.price_id)
    PurchaseBatch.objects.filter(posted_at=None).update(created_at=Now() - timedelta(minutes=1))
    post()
    assert owed() == {"payable:upstream:main:USD": 5 * LIST}
    assert not audit().drifts


def test_a_batch_is_halved_wherever_its_requests_end():
    for requests in range(5):
        for tries in range(5):
            batch = rows.Batch(1, [str(n) for n in range(requests)], list(range(tries)))
            if batch.size > 1:
                first, second = batch.halves()
                assert (first[0] + second[0], first[1] + second[1]) == (batch.generations, batch.attempts)
                assert len(first[0]) + len(first[1]) == batch.size // 2


def test_its_usd_is_filled_in_by_the_first_rate(answered, tried, settings):
    settings.USD_CNY_RATE = None
    ExchangeRate.objects.all().delete()
    load(domestic=YUAN)
    tried(answered(), upstream="domestic")
    post()
    assert PurchaseBatch.objects.get().lacks_rate
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=LATER)
    assert dollars.fill_in(now=LATER) == 1
    assert Attempt.objects.get().purchase_usd == Decimal("0.00400000")
    assert not PurchaseBatch.objects.get().lacks_rate
    assert not audit().drifts


def test_the_audit_compares_what_was_posted_for_attempts(answered, tried):
    load()
    tried(answered())
    post()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_attempt SET purchase_cost = 1")
    key = f"purchase:{PurchaseBatch.objects.get().pk}:main:USD"
    assert f"{key} is {1 + LIST:f} by its requests: the books have {2 * LIST:f}" in audit().drifts


def test_the_audit_finds_known_usage_that_nobody_will_post_and_requests_that_there_are_not(answered, tried):
    load()
    one = answered()
    tried(one)
    tried(one, usage=None, outcome="timed_out")
    assert not audit().drifts
    PurchaseBatch.objects.exclude(attempts=[]).update(posted_at=NOW)
    Attempt.objects.filter(number=2).update(generation_id="gone")
    assert audit().drifts == [
        f"attempt 1 of {one.pk} is in no purchase batch",
        "attempt 2 of gone names a request, model or upstream that is not there",
    ]
