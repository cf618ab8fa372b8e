"""What a price changes is told as customers would notice it: also where a rate is another's, a tier or a variant."""

from decimal import Decimal
from typing import Any

import pytest

from proxy.prices.listed.differences import differences
from tests.proxy.prices.steps import priced

HALF = Decimal("0.5")


def told(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    return [" ".join(str(one).split()) for one in differences(None if old is None else priced(old), priced(new))]


def test_a_rate_beside_another_is_told_in_percent():
    assert told({"input": "2", "output": "8"}, {"input": "1", "output": "8"}) == ["input 2 -> 1 -50.0 %"]


def test_the_same_price_has_no_differences_however_it_is_written():
    assert told({"input": "2.00", "output": "8"}, {"input": "2", "output": "8.0"}) == []


def test_a_rate_that_was_anothers_is_compared_with_that():
    assert told({"input": "2", "output": "8"}, {"input": "2", "output": "8", "cache_read": "0.2"}) == [
        "cache_read 2 -> 0.2 -90.0 %"
    ]
    assert told({"input": "2", "output": "8", "reasoning": "4"}, {"input": "2", "output": "8"}) == [
        "reasoning 4 -> 8 +100.0 %"
    ]


def test_what_was_not_sold_is_new_and_what_is_no_longer_is_said():
    sound = {"input": "2", "output": "8", "input_audio": "6"}
    text = {"input": "2", "output": "8"}
    assert told(text, sound) == ["input_audio - -> 6 new"]
    assert told(sound, text) == ["input_audio 6 -> - no longer sold"]
    assert told(None, text) == ["input - -> 2 new", "output - -> 8 new"]


def test_tiers_and_variants_are_told_where_they_differ_from_the_price_itself():
    old = {"input": "2", "output": "8", "service_tiers": {"flex": {"input": "1"}}}
    new = {**old, "tiers": [{"above": 200_000, "input": "4"}], "service_tiers": {"flex": {"input": "0.9"}}}
    assert told(old, new) == [
        "input, above 200000 2 -> 4 +100.0 %",
        "input, service_tier=flex 1 -> 0.9 -10.0 %",
    ]


def test_a_service_tier_is_new_but_flex_was_served_at_the_price_itself():
    new = {"input": "2", "service_tiers": {"flex": {"input": "1"}, "priority": {"input": "4"}}}
    assert told({"input": "2"}, new) == [
        "input, service_tier=flex 2 -> 1 -50.0 %",
        "input, service_tier=priority - -> 4 new",
    ]


@pytest.mark.parametrize(
    ("old", "new", "is_beyond"),
    [("2", "3", False), ("2", "3.00000001", True), ("2", "1", False), ("2", "0.99999999", True), ("0", "0.1", True),
     ("2", "0", True)],
)  # fmt: skip
def test_what_is_beyond_the_limit(old, new, is_beyond):
    (found,) = differences(priced({"input": old}), priced({"input": new}))
    assert found.is_beyond(HALF) == is_beyond


def test_what_was_not_sold_is_beyond_no_limit():
    found = differences(priced({"input": "2"}), priced({"input": "2", "input_audio": "900"}))
    assert not any(one.is_beyond(HALF) for one in found)


def test_from_nothing_is_told_without_a_percentage():
    assert told({"input": "0"}, {"input": "1"}) == ["input 0 -> 1 was free"]
