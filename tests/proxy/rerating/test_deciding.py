"""Who chooses requests to charge anew, who approves it, and what cannot be meant."""

from datetime import date, timedelta

import pytest

from accounts.models import Membership
from billing.models import Transfer
from proxy.models import Model, Price, Rerate
from proxy.prices.loading import load_catalog
from proxy.rerating import deciding
from proxy.rerating.deciding import RerateError
from tests.conftest import NOW
from tests.proxy.purchases.conftest import load
from tests.proxy.rerating.rerating_steps import DAY, HALF, people, proposed, run, version
from tests.staffing import in_role


@pytest.fixture
def found(answered) -> Rerate:
    """Proposed by the first, with something to correct."""
    load()
    answered()
    return proposed(version(HALF), by=people()[0])


def test_it_takes_two_of_finance(found):
    first, second = people()
    for who, words in ((first, "You proposed it"), (in_role("support"), "for finance")):
        with pytest.raises(RerateError, match=words):
            deciding.approve(proposal_id=found.pk, by=who, now=NOW)
    assert run() == 0
    deciding.approve(proposal_id=found.pk, by=second, now=NOW)
    with pytest.raises(RerateError, match="approved already"):
        deciding.approve(proposal_id=found.pk, by=second, now=NOW)
    run()
    found.refresh_from_db()
    assert (found.state, found.decided_by, found.finished_at) == ("done", second, NOW)
    with pytest.raises(RerateError, match="done already"):
        deciding.refuse(proposal_id=found.pk, why="late", by=first, now=NOW)


@pytest.mark.parametrize("place", [0, 1])
def test_neither_may_belong_to_a_customer_whose_requests_are_among_them(found, customer, place):
    both = people()
    Membership.objects.create(user=both[place], customer=customer)
    with pytest.raises(RerateError, match=f"{both[place]} belongs to Ada"):
        deciding.approve(proposal_id=found.pk, by=both[1], now=NOW)


def test_one_that_is_refused_moves_nothing(found):
    with pytest.raises(RerateError, match="Say why"):
        deciding.refuse(proposal_id=found.pk, why=" ", by=people()[1], now=NOW)
    deciding.refuse(proposal_id=found.pk, why="the price was right", by=people()[1], now=NOW)
    assert run() == 0
    assert not Transfer.objects.filter(kind="rerate").exists()


def test_a_second_about_the_same_days_waits_for_the_first(found):
    with pytest.raises(RerateError, match=f"Re-rating {found.pk} is about some of these days"):
        proposed(found.price, by=people()[1])
    other = {"first_day": DAY - timedelta(days=2), "last_day": DAY - timedelta(days=1)}
    assert proposed(found.price, by=people()[1], **other).state == "nothing"
    deciding.refuse(proposal_id=found.pk, why="no", by=people()[0], now=NOW)
    assert proposed(found.price, by=people()[0]).state == "proposed"


def test_days_may_reach_beyond_all_requests_on_both_sides(found):
    deciding.refuse(proposal_id=found.pk, why="no", by=people()[0], now=NOW)
    again = proposed(found.price, by=people()[0], first_day=date.min, last_day=date.max)
    assert (again.state, again.seen) == ("proposed", 1)


def test_what_cannot_be_meant_is_refused_in_words(answered):
    load()
    first, wrong, right = people()[0], Price.objects.get(), version(HALF)
    other = {"id": "openai/other", "upstreams": ["main"], "price": {"input": "1", "output": "1"}}
    load_catalog({"models": [other]})
    foreign = Model.objects.get(slug="openai/other").prices.get()
    tomorrow = DAY + timedelta(days=1)
    for field, words, chosen in (
        ("price", "of another model", {"price": foreign}),
        ("held_at", "of another model", {"held_at": foreign}),
        ("price", "held at this very version", {"held_at": right}),
        ("last_day", "before the first", {"last_day": DAY - timedelta(days=1)}),
        ("first_day", "still to come", {"first_day": tomorrow, "last_day": tomorrow}),
        ("upwards", "RERATE_UPWARDS is off", {"upwards": True}),
        ("reason", "Say why", {"reason": " "}),
        ("state", "for finance", {"by": in_role("operator")}),
    ):
        asked = {"model": wrong.model, "price": right, "by": first, "reason": "x", **chosen}
        with pytest.raises(RerateError, match=words) as raised:
            deciding.propose(**{"first_day": DAY, "last_day": DAY, **asked}, now=NOW)
        assert raised.value.field == field
    assert not Rerate.objects.exists()
    assert proposed(right, by=first).state == "nothing"  # no request at all
