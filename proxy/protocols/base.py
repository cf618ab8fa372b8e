"""What a protocol must tell the gateway: what a request asks, what an answer used, how an error looks."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import orjson

from core.records import value
from proxy.errors import Refusal
from proxy.prices.bounds import Material
from proxy.prices.usage import Usage
from proxy.prices.versions import NO_TERMS

MOST_NAME_CHARACTERS = 200
LONGEST_ID = 1_000
"""Of what an upstream keeps: gateways put the way to it into its id. It is asked for by the whole of it."""
MOST_REASON_CHARACTERS = 40
MOST_KINDS = 64
MOST_OUTPUT_TOKENS = 10_000_000
"""A larger limit is no limit that any model has."""
DEFAULT_OUTPUT_TOKENS = 4_096
"""Where neither the caller nor the catalog names a limit."""


class BadRequest(ValueError):
    """A request that cannot be right; the message is for the caller, `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@value
class Call:
    """A request as read; a protocol keeps what it alone knows in a kind of its own.

    `rest` is what goes upstream as it came, without what is ours to write: of a JSON text, its raw members.
    """

    model: str = ""
    """As the caller names it; "" where the request is about none."""
    stream: bool = False
    output_limit: int | None = None
    choices: int = 1
    material: Material = field(default_factory=lambda: Material(text_bytes=0, wide=0))
    rest: bytes = b""
    units: tuple[str, ...] = ()
    """What it brings beside text, pictures and documents: a price must name each."""
    fetches: bool = False
    """It offers a tool that runs at the provider, and costs nothing but the input that it brings."""
    names_output: bool = False
    """It says what its output is to be; else the model may make whatever its price names."""
    service_tier: str | None = None
    asked: Mapping[str, str] | None = None
    """What it asks for that a price may go by (`service_tier`); what it leaves to the upstream is not in it."""
    least: Mapping[str, int] | None = None
    """By unit, what it used at least where the answer does not tell: a search that was asked for."""
    fair: Usage | None = None
    """What it used, fairly counted, where the answer does not tell; None: its prompt, and the text that it made."""
    removed: tuple[str, ...] = ()
    """The kinds of tools that were offered to the model and are not on offer here."""
    session: str | None = None
    """Of the caller's client, as it names it: what usage is grouped by, and upstreams are chosen by."""
    is_plain: bool = False
    """Its answer is to have nothing of ours in it."""
    background_seconds: int | None = None
    """How long it may be worked on in the background, whoever waits for it; None where it is answered at once."""
    stores: bool = False
    """Whether its upstream keeps the answer, and can be asked for it by its id."""
    references: tuple[str, ...] = ()
    """Ids of what an upstream keeps, which it names: they tell the account, and what they bring counts as input."""
    account: str = ""
    """The account at its provider that alone knows what the request is about, by the catalog's name for it."""

    translation: "Translation | None" = None
    """Where some of the model's upstreams speak another protocol."""

    @property
    def terms(self) -> Mapping[str, str]:
        return self.asked or NO_TERMS


class Translation:
    """What was made of a request for upstreams of other protocols: read once, written once for each way that it goes.

    Which types stand here the translation knows (`proxy/protocols/translate/`).
    """

    __slots__ = ("form", "ignored", "place", "written")

    def __init__(self) -> None:
        self.form: Any = None
        self.written: Any = None
        """The last that was written, and in `place` for what."""
        self.place: object = None
        self.ignored: dict[object, tuple[str, ...]] = {}
        """By dialect, the fields that were left out."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What a route was found not to take of the fields that we add."""

    limit_field: str = ""
    refused: frozenset[str] = frozenset()

    def without(self, *fields: str) -> "Habits":
        return Habits(self.limit_field, self.refused.union(fields))


@value
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
    served: Mapping[str, str] | None = None
    """What else it names that a price may go by: size and quality; None where its protocol knows nothing such."""
    told: Any = None
    """Its usage as the protocol reads it, for showing it to the caller."""
    stated_cost: Decimal | None = None
    """What the upstream says it charges, in its currency."""

    kept: tuple[str, ...] = ()
    """Ids under which the upstream keeps the answer: the answer's own, then those of its parts."""
    is_pending: bool = False
    """The upstream goes on working on it in the background; `upstream_id` is its id there."""
    is_whole: bool = False
    """Its usage is all that such an answer uses, though it has no tokens of input, or of output."""

    @property
    def is_counted(self) -> bool:
        """Whether it tells both input and output: what was produced need not be counted."""
        return self.usage is not None and (self.is_whole or bool(self.usage.input_tokens and self.usage.output_tokens))


class Counter(Protocol):
    """What counts the items of a list as it passes."""

    items: int


@dataclass(frozen=True, slots=True)
class Long:
    """In the place of a member that goes on as it comes: a list of so many `items`, or something else."""

    counter: Counter
    is_list: bool

    @property
    def items(self) -> int:
        return self.counter.items if self.is_list else 0


@value
class Manner:
    """How an answer goes on, from its first byte: under our id, and under the `model` that was asked for where its
    route has another name for it; or as it came, without a word of ours.
    """

    generation_id: str
    model: str = ""
    is_plain: bool = False

    def named(self, answer: Mapping[str, Any], member: str = "model") -> dict[str, bytes | None]:
        """The change by which an answer names its model as the caller did, as `lossless.splice` takes it."""
        return {member: orjson.dumps(self.model)} if self.model and member in answer else {}


@value
class Charged:
    """What the gateway adds to an answer. `cost` in USD as charged."""

    manner: Manner
    latency_ms: int
    cost: Decimal
    ended: Refusal | None = None
    """Why the answer was ended that nothing more could be held for."""

    @property
    def is_plain(self) -> bool:
        return self.manner.is_plain

    @property
    def generation_id(self) -> str:
        return self.manner.generation_id

    @property
    def as_json(self) -> bytes:
        """The value of `x_chuizi`."""
        why = "" if self.ended is None else f'"ended_early":{_told(self.ended)},'
        said = f'"generation_id":"{self.generation_id}","latency_ms":{self.latency_ms},{why}"cost":"{self.cost:f}"'
        return f"{{{said}}}".encode()


def _told(refusal: Refusal) -> str:
    return orjson.dumps({"code": refusal.code, "message": refusal.message}).decode()


def refuse_many(kinds: Sized) -> None:
    """Raise `BadRequest` for more kinds of tools that run at the provider than there are: each is told in a header, on
    the receipt, and looked for.
    """
    if len(kinds) > MOST_KINDS:
        raise BadRequest(f"`tools` may be of at most {MOST_KINDS} kinds that run at the provider.", param="tools")


def printable(text: str, *, most: int = MOST_NAME_CHARACTERS) -> str:
    """A name or id of somebody else's as we may store it: no control characters, no half characters, not too long."""
    if len(text) <= most and text.isprintable():
        return text
    return "".join(letter for letter in text[:most] if letter.isprintable())


def text_of(holder: Mapping[str, Any], name: str, *, most: int = MOST_NAME_CHARACTERS) -> str:
    """A member of few letters as we may store it, or nothing."""
    value = holder.get(name)
    return printable(value, most=most) if isinstance(value, str) else ""


def amount_of(said: Any) -> Decimal | None:
    """A stated amount, or None where it is no plausible one."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        amount = Decimal(str(said)[:40])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None
