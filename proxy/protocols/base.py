"""What a protocol must tell the gateway: what a request asks, what an answer used, how an error looks."""

from decimal import Decimal, InvalidOperation
from typing import Any

from chuizi.facts import fact
from proxy.estimate import Material
from proxy.pricing import Usage

MOST_OUTPUT_TOKENS = 10_000_000
"""A larger limit is no limit that any model has."""


class BadRequest(ValueError):
    """A request that cannot be right; the message is for the caller, `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@fact
class Call:
    """A request as read: `body` is what goes upstream, with its model, limit and stream options still to be set."""

    model: str
    stream: bool
    output_limit: int | None
    choices: int
    material: Material
    body: dict[str, Any]
    include_usage: bool = False
    """Whether the caller asked for usage in its stream."""


@fact
class Reported:
    """What an answer says of itself; `usage` is None where it says nothing of its usage."""

    usage: Usage | None
    finish_reason: str = ""
    is_odd: bool = False
    """Its usage contradicts itself or has a gap."""
    model: str = ""
    upstream_id: str = ""
    """The answer's own id."""
    service_tier: str = ""
    """The tier it was served at."""
    stated_cost: Decimal | None = None
    """What the upstream says it charges, in its currency."""


@fact
class Receipt:
    """What the gateway adds to an answer. `cost` in USD as charged."""

    generation_id: str
    latency_ms: int
    cost: Decimal


def amount_of(said: Any) -> Decimal | None:
    """A stated amount, or None where it is no plausible one."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        amount = Decimal(str(said)[:40])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None
