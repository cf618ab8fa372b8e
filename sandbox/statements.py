"""Rows of a day's statement of Alipay or WeChat Pay, with the faults that bend it, and what moves besides payments."""

import hashlib
from dataclasses import dataclass, replace

from sandbox import crypto
from sandbox.store import Movement, Order
from sandbox.world import NotPossible, World

FEE_RATE = {"alipay": 60, "wechat": 60}  # of 10,000
PAYOUT = "提现"


@dataclass(frozen=True)
class Row:
    """A payment, or a refund when `refund` names one. Amounts in fen, all positive."""

    provider: str
    at: float
    order_number: str
    transaction: str
    description: str
    created: float
    amount: int
    fee: int
    refund: str = ""
    refund_id: str = ""
    refunded: int = 0


def fee(provider: str, amount: int) -> int:
    """In fen, rounded half up."""
    return (amount * FEE_RATE[provider] + 5000) // 10000


def rows(world: World, *, provider: str, day: str, bill: str) -> list[Row]:
    """Payments and refunds that happened on a Shanghai day ("2026-11-23"), by time; `bill` is trade or flow."""
    found = []
    for order in world.store.orders:
        if order.provider != provider or not order.paid_at:
            continue
        if _day(world, order.paid_at) == day:
            found.append(_row(order))
        for refund in world.store.refunds_of(order):
            if refund.state == "done" and _day(world, refund.done_at) == day:
                row = replace(_row(order), at=refund.done_at, refund=refund.number, refund_id=refund.id)
                found.append(replace(row, refunded=refund.amount, fee=fee(provider, refund.amount)))
    return _bent(world, sorted(found, key=lambda row: row.at), provider=provider, day=day, bill=bill)


def movements(world: World, *, provider: str, day: str) -> list[Movement]:
    """What the fund flow of a Shanghai day has besides payments and refunds, by time."""
    found = [moved for moved in world.store.movements if (moved.provider, _day(world, moved.at)) == (provider, day)]
    return sorted(found, key=lambda moved: moved.at)


def flow_number(row: Row, kind: str) -> str:
    """A number for what a payment or refund moved, the same each time the bill is asked for."""
    return str(int(hashlib.sha256(f"{row.transaction} {row.refund} {kind}".encode()).hexdigest(), 16))[:20]


def held(world: World, *, provider: str) -> int:
    """What stands on the merchant's account, in fen."""
    orders = [order for order in world.store.orders if order.provider == provider and order.paid_at]
    refunds = [refund for order in orders for refund in world.store.refunds_of(order) if refund.state == "done"]
    total = sum(order.amount - fee(provider, order.amount) for order in orders)
    total -= sum(refund.amount - fee(provider, refund.amount) for refund in refunds)
    return total + sum(moved.amount for moved in world.store.movements if moved.provider == provider)


def move(world: World, *, provider: str, kind: str, amount: int, note: str = "") -> Movement:
    """`amount` in fen, below zero to take it."""
    number = f"{world.shanghai().strftime('%Y%m%d')}{crypto.digits(20)}"
    moved = Movement(provider, number, kind, amount, world.now(), note)
    world.store.movements.put(number, moved)
    return moved


def pay_out(world: World, *, provider: str, amount: int | None = None) -> Movement:
    """To the merchant's bank, all of it unless `amount` says how much. Raise `NotPossible`."""
    most = held(world, provider=provider)
    amount = most if amount is None else amount
    if not 0 < amount <= most:
        raise NotPossible(f"There are {most} fen to pay out.")
    return move(world, provider=provider, kind=PAYOUT, amount=-amount)


def _row(order: Order) -> Row:
    return Row(
        provider=order.provider,
        at=order.paid_at,
        order_number=order.number,
        transaction=order.transaction,
        description=order.description,
        created=order.created,
        amount=order.amount,
        fee=fee(order.provider, order.amount),
    )


def _bent(world: World, found: list[Row], *, provider: str, day: str, bill: str) -> list[Row]:
    kept = []
    for row in found:
        names = (row.order_number, row.refund)
        if world.statement_fault("drop", provider, names, bill=bill):
            continue
        if fault := world.statement_fault("alter", provider, names, bill=bill):
            more = int(fault.options.get("amount", 100))
            row = replace(row, refunded=row.refunded + more) if row.refund else replace(row, amount=row.amount + more)
        kept.append(row)
    if fault := world.statement_fault("add", provider, bill=bill):
        amount = int(fault.options.get("amount", 100))
        at = kept[-1].at if kept else world.shanghai().strptime(f"{day} +0800", "%Y-%m-%d %z").timestamp() + 43200
        number = "unknown" + crypto.digits(12)
        row = Row(provider, at, number, crypto.digits(28), "Unknown", at, amount, fee(provider, amount))
        kept.append(row)
    return kept


def _day(world: World, at: float) -> str:
    return world.shanghai(at).strftime("%Y-%m-%d")
