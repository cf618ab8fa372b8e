"""The pure part: how a difference is split over two balances, whatever was taken of them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from proxy.rerating.charges import split_back, split_up

AMOUNTS = st.decimals(min_value=0, max_value=100, places=8)


@given(paid=AMOUNTS, bonus=AMOUNTS, share=st.sampled_from((Decimal(0), Decimal("0.25"), Decimal(1))))
def test_what_goes_back_is_paid_first_and_never_more_than_was_taken_of_either(paid, bonus, share):
    amount = ((paid + bonus) * share).quantize(Decimal("0.00000001"), rounding="ROUND_DOWN")
    split = split_back(amount, paid=paid)
    assert split.paid + split.bonus == amount
    assert 0 <= split.paid <= paid
    assert 0 <= split.bonus <= bonus
    assert split.bonus == 0 or split.paid == paid


@given(amount=AMOUNTS, bonus=AMOUNTS, available=st.decimals(min_value=-50, max_value=150, places=8))
def test_what_is_taken_is_bonus_first_and_never_more_than_is_available(amount, bonus, available):
    split = split_up(amount, available=available, bonus=bonus)
    assert split.paid + split.bonus == max(Decimal(0), min(amount, available))
    assert 0 <= split.bonus <= bonus
    assert split.paid == 0 or split.bonus in (bonus, max(Decimal(0), min(bonus, available)))


def test_a_balance_that_gave_back_more_than_it_had_gives_nothing():
    assert (split_back(Decimal(1), paid=Decimal(-1)).paid, split_back(Decimal(1), paid=Decimal(-1)).bonus) == (0, 1)
