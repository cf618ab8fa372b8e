from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import InvalidAmount, cents, charge, convert_to_cny, floor_cents, from_minor, minor, usd, wire

PLACES = st.decimals(min_value=-(10**9), max_value=10**9, places=8)


@given(PLACES)
def test_an_amount_crosses_the_wire_unchanged(amount):
    assert usd(wire(amount)) == amount


@given(st.integers(min_value=0, max_value=10**12))
def test_minor_units_and_back(units):
    assert minor(from_minor(units)) == units


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e500", "twenty", "", "1,00", "0x10", "１２３4.5.6"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InvalidAmount):
        usd(text)


@pytest.mark.parametrize("value", [0.1, True, 19.99])
def test_what_is_not_exact_is_refused(value):
    with pytest.raises(InvalidAmount):
        usd(value)


def test_more_places_than_the_currency_has_are_refused_and_never_rounded_away():
    with pytest.raises(InvalidAmount, match="decimal places"):
        cents("1.001")
    with pytest.raises(InvalidAmount, match="decimal places"):
        usd("0.000000001")
    assert cents("1.100") == Decimal("1.10")


def test_a_charge_is_rounded_once_half_even_at_8_places():
    assert charge(Decimal("0.000000005")) == 0
    assert charge(Decimal("0.000000015")) == Decimal("0.00000002")


def test_what_is_paid_out_is_rounded_down_and_yuan_half_up():
    assert floor_cents(Decimal("1.999")) == Decimal("1.99")
    assert convert_to_cny(Decimal("12.34"), rate=Decimal("7.12")) == Decimal("87.86")
    assert convert_to_cny(Decimal("0.25"), rate=Decimal("7.10")) == Decimal("1.78")
