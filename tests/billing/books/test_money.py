from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.books.money import (
    InvalidAmount,
    api_amount,
    cents,
    charge,
    convert_to_cny,
    exact,
    floor_cents,
    from_minor,
    minor,
    usd,
)

PLACES = st.decimals(min_value=-(10**9), max_value=10**9, places=8)
FINE = st.decimals(min_value=0, max_value=10**6, places=16)


@given(PLACES)
def test_an_amount_crosses_the_wire_unchanged(amount):
    assert usd(api_amount(amount)) == amount
    assert len(api_amount(amount).partition(".")[2]) == 8


@given(st.integers(min_value=0, max_value=10**12))
def test_minor_units_and_back(units):
    assert minor(from_minor(units)) == units


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e500",
        "1e999999",
        "",
        " ",
        "1,00",
        "0x10",
        "1_000",
        "１２",
        "٣",
        ".5",
        "1 0",
    ],
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InvalidAmount):
        usd(text)


@pytest.mark.parametrize("value", [0.1, True, 19.99, Decimal("NaN"), Decimal("Infinity"), Decimal("1e-9")])
def test_what_is_not_exact_is_refused(value):
    with pytest.raises(InvalidAmount):
        usd(value)


def test_what_decimal_itself_writes_is_an_amount():
    assert usd(str(Decimal("0.00000001"))) == Decimal("1E-8")
    assert usd(" 7 ") == Decimal("7.00000000")


def test_more_places_than_the_currency_has_are_refused_and_never_rounded_away():
    with pytest.raises(InvalidAmount, match="more than 2 decimal places"):
        cents("1.001")
    with pytest.raises(InvalidAmount, match="more than 8 decimal places"):
        usd("0.000000001")
    with pytest.raises(InvalidAmount, match="more than 2 decimal places"):
        exact(Decimal("0.001"), currency="CNY")
    assert cents("1.100") == Decimal("1.10")
    assert exact(Decimal("0.001"), currency="USD") == Decimal("0.001")


def test_a_charge_is_rounded_once_half_even_at_8_places():
    assert charge(Decimal("0.000000005")) == 0
    assert charge(Decimal("0.000000015")) == Decimal("0.00000002")
    assert charge(Decimal("0.0000000050000001")) == Decimal("0.00000001")


def test_the_contracts_check_numbers_come_out_to_the_last_place():
    upstream = (2000 * Decimal("3.00") + 500 * Decimal("15.00")) / 1_000_000
    assert api_amount(charge(upstream)) == "0.01350000"
    assert api_amount(charge(upstream * Decimal("1.05"))) == "0.01417500"


@given(FINE)
def test_a_charge_is_off_by_half_a_step_at_most(cost):
    assert abs(charge(cost) - cost) <= Decimal("0.000000005")


@given(FINE)
def test_what_is_paid_out_is_less_than_a_cent_below_what_is_owed_and_never_above(owed):
    assert 0 <= owed - floor_cents(owed) < Decimal("0.01")


def test_what_is_paid_out_is_rounded_down_and_yuan_half_up():
    assert floor_cents(Decimal("1.999")) == Decimal("1.99")
    assert convert_to_cny(Decimal("12.34"), rate=Decimal("7.12")) == Decimal("87.86")
    assert convert_to_cny(Decimal("0.25"), rate=Decimal("7.10")) == Decimal("1.78")
