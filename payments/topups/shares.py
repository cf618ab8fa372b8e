"""The parts of a top-up's charge, the base for its credit and the house's fee, and what of each goes back.

Floors are cumulative: however a payment is split into refunds, all of them together are the whole, and none gives more
than its share. The caller holds the top-up's lock, or only shows what would be.
"""

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from billing.books.money import CENT, floor_cents
from payments.models import TopUp

NOTHING = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Back:
    """What goes back: `amount` USD of the credit, `charge` in the charged currency, and how much of that is `fee`."""

    amount: Decimal
    charge: Decimal
    fee: Decimal = NOTHING


def back_of(topup: TopUp, amount: Decimal, *, is_late: bool = False) -> Back:
    """What is paid back for `amount` USD more; the fee's share where the order returns it, or the payment was late."""
    after = topup.refunded + amount
    base = floor_cents(topup.base_amount * after / topup.amount) - topup.refunded_base
    fee = NOTHING
    if topup.returns_fee or is_late:
        fee = max(NOTHING, floor_cents(topup.fee_amount * after / topup.amount) - topup.refunded_fee)
    return Back(amount, base + fee, fee)


def back_begun_there(topup: TopUp, charge: Decimal) -> Back:
    """What `charge` more, paid back by the provider on its own account, takes of each part.

    The credit is the least that the formula of refunds gives that much base for, so that what is left of both stays in
    step: a cent at least, and the last cent only with the last fen. Once all of it is back, what is left is fee alone.
    """
    base_left, fee_left = topup.base_amount - topup.refunded_base, topup.fee_amount - topup.refunded_fee
    fee = min(max(fee_of(topup, charge), charge - base_left), fee_left)
    base = charge - fee
    if topup.charge_currency == "USD" or not base:
        return Back(base, charge, fee)
    base_after = topup.refunded_base + base
    after = (topup.amount * base_after / topup.base_amount).quantize(CENT, rounding=ROUND_UP)
    if base_after < topup.base_amount:
        after = min(after, topup.amount - CENT)
    return Back(max(after - topup.refunded, CENT), charge, fee)


def fee_of(topup: TopUp, charge: Decimal) -> Decimal:
    """The fee's share in `charge` of the payment, never below zero and never more than all of it."""
    return floor_cents(topup.fee_amount * min(max(charge, NOTHING), topup.charge_amount) / topup.charge_amount)


def in_charge(topup: TopUp, amount: Decimal) -> Decimal:
    """`amount` USD of the credit as it was charged, with its fee, down to the cent or fen; whole is whole."""
    return floor_cents(topup.charge_amount * amount / topup.amount)
