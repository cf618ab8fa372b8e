"""Usage that cannot be believed is listed once, with what was said and why, and is in no cost."""

from datetime import timedelta
from decimal import Decimal
from time import monotonic

import pytest

from proxy.models import Attempt, Claim, Upstream
from proxy.prices.usage import Usage
from proxy.purchases import claims, posting
from proxy.settlement import attempts
from tests.conftest import NOW
from tests.proxy.purchases.conftest import LIST, load, owed

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(seconds=5)
TOO_MUCH = Usage(input_tokens=100_001, output_tokens=1, reasoning_tokens=1)
TOO_DEAR = Usage(input_tokens=1, output_tokens=90_000_000, more={"web_search": 2})


def post() -> int:
    return posting.post_all_purchases(now=LATER)


@pytest.mark.parametrize(
    ("usage", "why", "claimed"),
    [
        (TOO_MUCH, "window", {"input_tokens": 100_001, "output_tokens": 1, "reasoning_tokens": 1}),
        (TOO_DEAR, "bound", {"input_tokens": 1, "output_tokens": 90_000_000, "web_search": 2}),
    ],
)
def test_of_a_request_or_an_attempt_it_is_listed_with_what_was_said(answered, usage, why, claimed):
    load()
    told = {
        "stated_cost": Decimal("0.5"),
        "reasoning_tokens": usage.reasoning_tokens,
        "more": usage.more and {**usage.more},
    }
    one = answered(usage=usage, **told)
    main = Upstream.objects.get(name="main")
    tried = attempts.Attempt(main.pk, "refused", monotonic(), usage=usage, stated_cost=Decimal("0.7"))
    attempts.write([(one.pk, 1, tried)])
    for _ in range(2):
        post()
    listed, of_attempt = Claim.objects.order_by("stated_cost")
    assert (listed.generation_id, listed.attempt, listed.upstream, listed.model_id) == (
        one.pk,
        None,
        main,
        one.model_id,
    )
    assert (listed.why, listed.claimed, listed.stated_cost) == (why, claimed, Decimal("0.5"))
    assert (listed.ended_at, listed.posted_cost) == (one.settled_at, None)
    assert (of_attempt.generation_id, of_attempt.attempt) == (one.pk, Attempt.objects.get().pk)
    assert (of_attempt.why, of_attempt.claimed, of_attempt.stated_cost) == (why, claimed, Decimal("0.7"))
    assert not owed()


def test_a_zero_beside_an_answer_is_listed_with_the_estimate_that_was_posted(answered):
    load()
    answered(usage_source="estimated", settlement_reason="completed", is_flagged=True, native_input_tokens=2000)
    post()
    listed = Claim.objects.get()
    assert (listed.why, listed.posted_cost) == ("gap", LIST)
    assert listed.claimed == {"input_tokens": 2000, "output_tokens": 0}
    assert owed() == {"payable:upstream:main:USD": LIST}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"usage_source": "estimated", "settlement_reason": "completed"},
        {"usage_source": "estimated", "settlement_reason": "client_disconnected", "is_flagged": True},
        {"settlement_reason": "completed", "is_flagged": True},
    ],
    ids=["sound", "told nothing", "left", "flagged for something else"],
)
def test_what_can_be_believed_is_not_listed(answered, fields):
    load()
    answered(**fields)
    post()
    assert not Claim.objects.exists()


def test_killed_before_its_commit_nothing_is_listed_until_it_is_posted(answered, monkeypatch):
    load()
    answered(usage=TOO_MUCH)

    def die(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("proxy.purchases.margin.add", die)
        with pytest.raises(KeyboardInterrupt):
            post()
    assert not Claim.objects.exists()
    post()
    assert Claim.objects.count() == 1


def test_those_of_the_last_30_days_are_counted_by_upstream(answered, monkeypatch):
    load()
    for upstream in ("main", "main", "domestic"):
        answered(upstream=upstream, usage=TOO_MUCH)
    answered(usage=TOO_MUCH, at=NOW - timedelta(days=31))
    post()
    assert claims.recent(now=LATER) == [("main", 2), ("domestic", 1)]
    monkeypatch.setattr(claims, "MOST_COUNTED", 1)
    assert [count for _, count in claims.recent(now=LATER)] == [1]
