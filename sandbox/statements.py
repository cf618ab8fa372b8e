"""Rows of a day's statement of Alipay or WeChat Pay, with the faults that bend it."""

from dataclasses import dataclass, replace

from sandbox import crypto
from sandbox.store import Order
from sandbox.world import World

FEE_RATE = {"alipay": 60, "wechat": 60}  # of 10,000


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


def rows(world: World, *, provider: str, day: str) -> list[Row]:
    """Payments and refunds that happened on a Shanghai day ("2026-11-23"), by time."""
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
    return _bent(world, sorted(found, key=lambda row: row.at), provider=provider, day=day)


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


def _bent(world: World, found: list[Row], *, provider: str, day: str) -> list[Row]:
    kept = []
    for row in found:
        names = (row.order_number, row.refund)
        if world.statement_fault("drop", provider, names):
            continue
        if fault := world.statement_fault("alter", provider, names):
            more = int(fault.options.get("amount", 100))
            row = replace(row, refunded=row.refunded + more) if row.refund else replace(row, amount=row.amount + more)
        kept.append(row)
    if fault := world.statement_fault("add", provider):
        amount = int(fault.options.get("amount", 100))
        at = kept[-1].at if kept else world.shanghai().strptime(f"{day} +0800", "%Y-%m-%d %z").timestamp() + 43200
        number = "unknown" + crypto.digits(12)
        row = Row(provider, at, number, crypto.digits(28), "Unknown", at, amount, fee(provider, amount))
        kept.append(row)
    return kept


def _day(world: World, at: float) -> str:
    return world.shanghai(at).strftime("%Y-%m-%d")
