"""What goes back of a top-up's parts, however it is split; without a fee every figure is as it was before fees."""

from decimal import ROUND_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.books.money import CENT, floor_cents
from payments.models import TopUp
from payments.topups.shares import Back, back_begun_there, back_of, fee_of, in_charge

SHARES = st.lists(st.integers(1, 3000), max_size=15)


def topup_of(credit: int, rate: Decimal | None, fee: int, *, returns: bool) -> TopUp:
    amount, fee_amount = Decimal(credit) / 100, Decimal(fee) / 100
    base = amount if rate is None else (amount * rate).quantize(CENT)
    return TopUp(
        amount=amount,
        charge_amount=base + fee_amount,
        charge_currency="USD" if rate is None else "CNY",
        fee_amount=fee_amount,
        returns_fee=returns,
    )


TOPUPS = st.builds(
    topup_of,
    st.integers(100, 20_000),
    st.one_of(st.none(), st.decimals(Decimal("6.5"), Decimal(8), places=4)),
    st.one_of(st.just(0), st.integers(1, 900)),
    returns=st.booleans(),
)


def take(topup: TopUp, back: Back) -> None:
    assert back.charge >= back.fee >= 0
    topup.refunded += back.amount
    topup.refunded_charge += back.charge
    topup.refunded_fee += back.fee
    assert topup.refunded <= topup.amount
    assert topup.refunded_fee <= topup.fee_amount
    assert topup.refunded_base <= topup.base_amount


@given(topup=TOPUPS, shares=SHARES)
def test_any_split_of_a_refund_gives_back_all_of_the_base_and_all_or_nothing_of_the_fee(topup, shares):
    for share in shares:
        amount = min(Decimal(share) / 100, topup.amount - topup.refunded)
        if amount:
            take(topup, back_of(topup, amount))
    if topup.refunded < topup.amount:
        take(topup, back_of(topup, topup.amount - topup.refunded))
    assert topup.refunded_base == topup.base_amount
    assert topup.refunded_fee == (topup.fee_amount if topup.returns_fee else 0)


@given(topup=TOPUPS, share=st.integers(1, 20_000))
def test_a_late_payment_returns_its_fee_whatever_the_order_says(topup, share):
    first = min(Decimal(share) / 100, topup.amount)
    take(topup, back_of(topup, first, is_late=True))
    if topup.refunded < topup.amount:
        take(topup, back_of(topup, topup.amount - topup.refunded, is_late=True))
    assert topup.refunded_charge == topup.charge_amount


@given(topup=TOPUPS, shares=SHARES)
def test_what_the_provider_pays_back_by_itself_takes_of_each_part_and_all_of_it_all(topup, shares):
    for share in shares:
        charge = Decimal(share) / 100
        if topup.refunded_charge + charge < topup.charge_amount:
            back = back_begun_there(topup, charge)
            if topup.refunded + back.amount > topup.amount:
                return  # cents of yuan that nothing is left of: staff look at it
            assert back.fee >= floor_cents(topup.fee_amount * charge / topup.charge_amount)
            take(topup, back)
    left = topup.charge_amount - topup.refunded_charge
    back = back_begun_there(topup, left)
    assert back.charge - back.fee == topup.base_amount - topup.refunded_base
    assert topup.refunded_fee + back.fee == topup.fee_amount
    assert topup.refunded + back.amount == topup.amount or topup.charge_currency == "CNY"


@given(topup=TOPUPS, charge=st.integers(0, 200_000))
def test_a_disputes_share_of_the_fee_is_never_more_than_the_fee(topup, charge):
    assert 0 <= fee_of(topup, Decimal(charge) / 100) <= topup.fee_amount
    assert fee_of(topup, topup.charge_amount) == topup.fee_amount
    assert in_charge(topup, topup.amount) == topup.charge_amount


def before_fees(topup: TopUp, amount: Decimal) -> Decimal:
    """What was paid back for a credit when there were no fees."""
    if topup.charge_currency == "USD":
        return amount
    after = topup.refunded + amount
    return floor_cents(topup.charge_amount * after / topup.amount) - topup.refunded_charge


def credit_before_fees(topup: TopUp, charge: Decimal) -> Decimal:
    if topup.charge_currency == "USD":
        return charge
    charge_after = topup.refunded_charge + charge
    after = (topup.amount * charge_after / topup.charge_amount).quantize(CENT, rounding=ROUND_UP)
    if charge_after < topup.charge_amount:
        after = min(after, topup.amount - CENT)
    return max(after - topup.refunded, CENT)


@given(
    topup=st.builds(
        topup_of,
        st.integers(100, 20_000),
        st.one_of(st.none(), st.decimals(Decimal("6.5"), Decimal(8), places=4)),
        st.just(0),
        returns=st.booleans(),
    ),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 3000)), max_size=12),
)
def test_with_no_fee_every_figure_is_as_before(topup, steps):
    for is_ours, number in steps:
        value = Decimal(number) / 100
        if is_ours:
            value = min(value, topup.amount - topup.refunded)
            back = back_of(topup, value)
            assert back == Back(value, before_fees(topup, value), Decimal(0))
        else:
            back = back_begun_there(topup, value)
            assert back == Back(credit_before_fees(topup, value), value, Decimal(0))
        if value <= 0 or topup.refunded + back.amount > topup.amount:
            return
        if topup.refunded_charge + back.charge > topup.charge_amount:
            return
        topup.refunded += back.amount
        topup.refunded_charge += back.charge
        if topup.charge_currency == "USD":
            assert in_charge(topup, topup.refunded) == topup.refunded
