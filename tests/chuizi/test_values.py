"""Settings that cannot be meant stop the start with a sentence, and do not fail later, at somebody's payment."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from chuizi import values


@pytest.mark.parametrize("text", ["0.14", "712", "7.1234567", "-7", "7,12"])
def test_a_rate_that_no_row_can_hold_is_refused_at_the_start(monkeypatch, text):
    """Dollars a yuan; a missing point; a place too much, which would make a new rate each time it is looked at."""
    monkeypatch.setenv("USD_CNY_RATE", text)
    with pytest.raises(ImproperlyConfigured, match="USD_CNY_RATE"):
        values.yuan_a_dollar("USD_CNY_RATE")


@pytest.mark.parametrize("text", ["7.12", "7.123456", "0", "1", "100"])
def test_a_rate_that_can_be_is_taken(monkeypatch, text):
    monkeypatch.setenv("USD_CNY_RATE", text)
    assert str(values.yuan_a_dollar("USD_CNY_RATE")) == text


@pytest.mark.parametrize(
    ("text", "limits", "words"),
    [
        ("0.000000001", {"places": 8}, "at most 8 decimal places"),
        ("20000", {"most": "10000.00"}, "at most 10000.00"),
        ("0.99", {"least": "1.00"}, "at least 1.00"),
        ("NaN", {}, "at least 0"),
        ("Infinity", {"most": "1"}, "at least 0"),
    ],
)
def test_a_number_beside_its_limits_is_refused_with_them(monkeypatch, text, limits, words):
    monkeypatch.setenv("SOME_SUM", text)
    with pytest.raises(ImproperlyConfigured, match=f"SOME_SUM must be {words}|SOME_SUM must have {words}"):
        values.decimal("SOME_SUM", "0.50", **limits)
