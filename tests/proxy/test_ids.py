"""Generation ids: their form, and an order that is the order of time."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from proxy.ids import ALPHABET, _base62, first_id_of, is_generation_id, new_generation_id

LATEST = 253_402_300_799 * 10**9
"""The last second of the year 9999, in nanoseconds."""


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_base62_is_the_number_in_twenty_four_digits(number: int):
    text = _base62(number)
    assert len(text) == 24
    assert sum(ALPHABET.index(digit) * 62**place for place, digit in enumerate(reversed(text))) == number


@given(st.integers(min_value=0, max_value=LATEST), st.integers(min_value=0, max_value=LATEST))
def test_ids_sort_as_their_milliseconds_do(one: int, other: int):
    first, second = new_generation_id(one), new_generation_id(other)
    assert is_generation_id(first)
    if one // 1_000_000 < other // 1_000_000:
        assert first < second


def test_the_first_id_of_a_moment_stands_before_those_made_then():
    moment = datetime(2026, 11, 28, 8, 15, tzinfo=UTC)
    made = new_generation_id(int(moment.timestamp()) * 10**9)
    assert first_id_of(moment) <= made
    assert first_id_of(datetime(2026, 11, 28, 8, 15, 1, tzinfo=UTC)) > made


def test_the_first_id_of_a_moment_before_1970_stands_before_all():
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)):
        assert first_id_of(moment) == "gen-" + "0" * 24
