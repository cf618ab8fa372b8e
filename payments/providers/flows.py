"""Fund flows: whatever came to our account at a provider or left it, where a bill of its own tells that.

Payments, refunds and their fees are told one by one in the trade bill, with our numbers; here their sum has to be the
same. Payouts, fees of their own and corrections stand here alone.
"""

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

from payments.providers.base import Bill, BillRow
from payments.providers.files import kept
from payments.providers.reading import words
from payments.providers.sheets import SHANGHAI, BadStatement

TOLD = "told"
"""By the trade bill."""
NOTHING = Decimal("0.00")


def union(*, day: date, trades: Bill, flow: Bill) -> Bill:
    """The statement of a day in Shanghai: the trade bill's lines and those that the fund flow alone has. Together they
    are what moved on the account: where the two differ over the payments, the difference is a line of its own.
    """
    told = sum((row.amount for row in flow.rows if row.kind == TOLD), NOTHING)
    listed = sum((row.amount - row.fee for row in trades.rows), NOTHING)
    rows = [*trades.rows, *(row for row in flow.rows if row.kind != TOLD)]
    if told != listed:
        detail = f"payments, refunds and their fees: {told} in the fund flow, {listed} in the trade bill"
        at = datetime.combine(day, time(23, 59, 59), SHANGHAI)
        rows.append(flow_row(f"{day}:trades", "other", told - listed, at, detail=detail))
    return Bill(
        kept({"trade": trades.raw, "flow": flow.raw}),
        rows,
        [*trades.unreadable, *(replace(row, bill="fund flow") for row in flow.unreadable)],
        may_come=trades.may_come or flow.may_come,
    )


def flow_key(number: str, name: str) -> str:
    """A movement's own: its number, and its name, as what moves together may have one number. Raises `BadStatement`."""
    if not number:
        raise BadStatement("no number")
    return f"{number}:{name}"


def flow_row(key: str, kind: str, amount: Decimal, at: datetime, *, number: str = "", detail: str) -> BillRow:
    """A movement in yuan; `key` is a `flow_key`, `number` the provider's of what it is about."""
    return BillRow(
        key="" if kind == TOLD else words(f"flow:{key}", most=160),
        kind=kind,
        amount=amount,
        fee=NOTHING,
        currency="CNY",
        transaction_id=words(number, most=120),
        refund_id="",
        number="",
        at=at,
        detail=words(detail.strip()),
    )
