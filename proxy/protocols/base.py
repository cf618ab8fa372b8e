"""What a protocol must tell the gateway: what a request asks, what an answer used, how an error looks."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from chuizi.facts import fact
from proxy.estimate import Material
from proxy.pricing import Usage

MOST_NAME_CHARACTERS = 200
MOST_OUTPUT_TOKENS = 10_000_000
"""A larger limit is no limit that any model has."""


class BadRequest(ValueError):
    """A request that cannot be right; the message is for the caller, `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@fact
class Call:
    """A request as read. `rest` is what goes upstream as it came: raw members, without those that are ours to write."""

    model: str
    stream: bool
    output_limit: int | None
    choices: int
    material: Material
    rest: bytes
    limit_fields: tuple[str, ...] = ()
    """The names under which the caller set the limit."""
    service_tier: str | None = None
    stream_options: bytes = b""
    """Raw members beside `include_usage`."""
    include_usage: bool = False
    """Whether the caller asked for usage in its stream."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What a route was found not to take of the fields that we add."""

    limit_field: str = ""
    refused: frozenset[str] = frozenset()


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
    told: Any = None
    """Its usage as the protocol reads it, for showing it to the caller."""
    stated_cost: Decimal | None = None
    """What the upstream says it charges, in its currency."""

    @property
    def is_counted(self) -> bool:
        """Whether it tells both input and output: what was produced need not be counted."""
        return self.usage is not None and bool(self.usage.input_tokens and self.usage.output_tokens)


@fact
class Receipt:
    """What the gateway adds to an answer. `cost` in USD as charged."""

    generation_id: str
    latency_ms: int
    cost: Decimal


def printable(text: str) -> str:
    """A name or id of somebody else's as we may store it: no control characters, no half characters, not too long."""
    if len(text) <= MOST_NAME_CHARACTERS and text.isprintable():
        return text
    return "".join(letter for letter in text[:MOST_NAME_CHARACTERS] if letter.isprintable())


def amount_of(said: Any) -> Decimal | None:
    """A stated amount, or None where it is no plausible one."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        amount = Decimal(str(said)[:40])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None
