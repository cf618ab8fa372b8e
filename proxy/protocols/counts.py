"""What an upstream tells that an answer used, in whatever protocol."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.records import value
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, amount_of

MOST_TOKENS = 1 << 60
"""Sums of a few stay in 64 bits."""


@value
class Told:
    """An upstream's usage as understood, and as said. `is_odd` where it contradicts itself or has a gap."""

    usage: Usage
    said: Mapping[str, Any]
    is_odd: bool = False


def is_counted(told: Told | None) -> bool:
    return told is not None and bool(told.usage.input_tokens or told.usage.output_tokens)


def is_cost(name: str) -> bool:
    """Whether a member is an upstream's own figure of cost: cost, cost_details, estimated_cost, cost_in_usd_ticks."""
    return "cost" in name.lower()


def has_cost(said: Mapping[str, Any]) -> bool:
    """Whether one of its members is such a figure; most answers have none, and are told by one look."""
    return is_cost("\n".join(said))


def without_cost(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if not is_cost(name)} if has_cost(said) else dict(said)


def costs_out(answer: Mapping[str, Any], *, usage: str = "usage") -> dict[str, bytes | None]:
    """The changes by which an upstream's own figures of cost leave an answer and its usage, as `lossless.splice` takes
    them."""
    changes: dict[str, bytes | None] = {}
    if has_cost(answer):
        changes = {name: None for name in answer if is_cost(name)}
    said = answer.get(usage)
    if isinstance(said, dict) and has_cost(said):
        changes[usage] = lossless.write(without_cost(said))
    return changes


def with_cost(counts: Mapping[str, Any], cost: Decimal) -> bytes:
    """As JSON, with our `cost` behind them, a number of USD."""
    return b'%b%b"cost":%b}' % (lossless.write(counts)[:-1], b"," if counts else b"", f"{cost:f}".encode())


def told(counts: Mapping[str, Any], charged: Charged) -> dict[str, bytes]:
    """What we add to an answer that is written by us, as raw members; of a plain one its counts alone."""
    if charged.is_plain:
        return {"usage": lossless.write(counts)}
    return {"usage": with_cost(counts, charged.cost), "x_chuizi": charged.as_json}


def stated_cost(told: Told | None) -> Decimal | None:
    """What an upstream says that it charges, in USD."""
    cost = None if told is None else told.said.get("cost")
    return None if cost is None else amount_of(cost)


def tokens(counts: Mapping[str, Any], field: str) -> int | None:
    """A whole number that is not negative, also where it is written as a float or a text; else None."""
    count = counts.get(field)
    if type(count) is int:
        return count if 0 <= count < MOST_TOKENS else None
    is_whole = type(count) is float and count.is_integer()
    if is_whole or (type(count) is str and len(count) < 19 and count.isascii() and count.isdigit()):
        count = int(count or 0)
        return count if 0 <= count < MOST_TOKENS else None
    return None
