"""Holds: placed once, resolved once, never for more than the bound."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from billing.books import holds
from billing.books.holds import HoldError, InsufficientBalance, Resolution
from billing.models import Hold
from tests.billing.conftest import balances
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(wallet):
    """A function: a hold on the wallet, which has 10 USD of bonus."""

    def act(amount: str, key: str = "h", kind: Hold.Kind = Hold.Kind.REQUEST, **more) -> Hold:
        return holds.place(customer_id=wallet.pk, key=key, kind=kind, amount=Decimal(amount), now=NOW, **more)

    return act


def state(key: str = "h") -> str:
    return Hold.objects.get(pk=key).state


def test_a_hold_needs_what_is_available_and_a_dispute_takes_what_is_not_there(place, wallet):
    with pytest.raises(InsufficientBalance) as raised:
        place("10.00000001", kind=Hold.Kind.REFUND)
    assert (raised.value.available, raised.value.needed) == (10, Decimal("10.00000001"))
    assert not Hold.objects.exists()
    place("15", kind=Hold.Kind.DISPUTE, may_overdraw=True)
    wallet.refresh_from_db()
    assert wallet.available == -5


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "0.000000001"])
def test_what_is_no_amount_is_neither_held_nor_taken(place, wallet, amount):
    with pytest.raises(HoldError):
        place(amount)
    place("5", kind=Hold.Kind.REFUND)
    with pytest.raises(HoldError):
        holds.capture_share(key="h", share=Decimal(amount), now=NOW)
    with pytest.raises(HoldError):
        holds.resolve([Resolution("h", Decimal(amount), "x")], now=NOW)
    assert (balances(wallet)[2], state()) == (5, "open")


def test_a_key_is_held_once(place, wallet):
    place("3")
    with pytest.raises(HoldError, match="already"), transaction.atomic():
        place("3")
    assert balances(wallet)[2] == 3


def test_a_hold_resolves_at_most_once(place, wallet):
    place("3")
    assert holds.resolve([Resolution("h", None, "gone")], now=NOW) == {"h"}
    for captured in (None, Decimal(1)):
        assert holds.resolve([Resolution("h", captured, "again")], now=NOW) == set()
    assert balances(wallet)[2] == 0
    assert Hold.objects.values_list("state", "captured", "reason").get() == ("released", 0, "gone")


def test_one_resolution_names_a_hold_once(place):
    place("3")
    with pytest.raises(HoldError, match="twice"):
        holds.resolve([Resolution("h", None, "a"), Resolution("h", Decimal(1), "b")], now=NOW)
    assert state() == "open"


def test_of_several_holds_only_the_open_ones_are_resolved(place, wallet):
    for number in range(3):
        place("1", key=f"h{number}")
    holds.resolve([Resolution("h1", None, "gone")], now=NOW)
    found = holds.resolve([Resolution(f"h{n}", Decimal("0.5"), "completed") for n in range(4)], now=NOW)
    assert found == {"h0", "h2"}
    assert balances(wallet)[2] == 0


def test_more_than_the_bound_is_refused_and_the_hold_stays_open(place, wallet):
    place("3")
    with pytest.raises(IntegrityError, match="hold_captured_within_bound"), transaction.atomic():
        holds.resolve([Resolution("h", Decimal("3.00000001"), "completed")], now=NOW)
    assert (balances(wallet)[2], state()) == (3, "open")


def test_a_hold_is_taken_in_shares_and_the_last_one_captures_it(place, wallet):
    place("5", key="refund:7", kind=Hold.Kind.REFUND)
    holds.capture_share(key="refund:7", share=Decimal(2), now=NOW)
    assert (balances(wallet)[2], state("refund:7")) == (3, "open")
    with pytest.raises(HoldError, match=r"left, not 3\.01"):
        holds.capture_share(key="refund:7", share=Decimal("3.01"), now=NOW)
    holds.capture_share(key="refund:7", share=Decimal(3), now=NOW)
    assert (balances(wallet)[2], state("refund:7")) == (0, "captured")
    with pytest.raises(HoldError, match="is captured"):
        holds.capture_share(key="refund:7", share=Decimal(1), now=NOW)


def test_what_shares_left_of_a_hold_is_given_back(place, wallet):
    place("5", kind=Hold.Kind.REFUND)
    holds.capture_share(key="h", share=Decimal(2), now=NOW)
    holds.resolve([Resolution("h", None, "rest")], now=NOW)
    assert balances(wallet)[2] == 0
    assert Hold.objects.values_list("state", "captured").get() == ("released", 2)
