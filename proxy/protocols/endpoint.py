"""What a protocol is to the gateway: paths of its own, and how it speaks with upstreams of one protocol or another.

The gateway, its relay and the failover over upstreams know no protocol; they ask an `Endpoint` for what stands here.
docs/adding-a-protocol.md tells how to write one.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from core.records import value
from proxy.errors import Refusal
from proxy.prices.bounds import (
    FILE_TOKENS,
    LIKELY_TOOL_TOKENS,
    likely_by_unit,
    most_by_unit,
    most_extra_output,
    whole_context,
)
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import INPUT, OUTPUT_SIDE, PER_TOKEN, TEXT, TOOLS, UNITS
from proxy.prices.usage import Usage
from proxy.prices.versions import NONE, PriceVersion
from proxy.protocols.array import AsArray
from proxy.protocols.base import BadRequest, Call, Charged, Habits, Manner, Reported
from proxy.protocols.headers import SESSION_HEADERS
from proxy.protocols.lossless import load_sound
from proxy.protocols.sse import DONE, END, MOST_EVENT_BYTES
from proxy.protocols.translate.preparing import Ways, prepared
from proxy.uploads.form import Form, Written

if TYPE_CHECKING:
    from proxy.kept.keeping import Keeper
    from proxy.learning.counting import Counts
    from proxy.protocols.translate.side import Side

Asking = TypeVar("Asking", bound=Call)
"""A protocol's own kind of `Call`."""


class Reply(Enum):
    """In which form an upstream's answer goes on to the caller."""

    WHOLE = "whole"
    """One JSON text, read whole and told what it cost."""
    EVENTS = "events"
    """Server-sent events, relayed as they come."""
    BYTES = "bytes"
    """Anything else, as it comes: sound, a picture, plain text."""


@value
class Asked:
    """A request as it came. `place` are the named parts of its path, `headers` names in lower case."""

    body: bytes
    place: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: bytes = b""
    form: Form | None = None
    """What was uploaded, in the place of the body."""


@value
class Sending:
    """A request to an upstream: a path behind its base URL, and a body in pieces or a form. `headers` hold its key."""

    path: str
    headers: Mapping[str, str]
    body: tuple[bytes, ...] | Written = ()
    method: str = "POST"


@value
class Bounds:
    """How much a request can use of each unit, and likely uses, but for the output that its limit counts.

    `makes` are what its output may be: what it asks for, or whatever the model's price names. Tokens of output beyond
    the limit (`extra_output`) are what a provider bills of a prediction that was not used. `without` are units that it
    cannot use, so that their rates do not count.
    """

    most: Mapping[str, int]
    likely: Mapping[str, int]
    extra_output: int = 0
    makes: tuple[str, ...] = TEXT
    without: frozenset[str] = NONE


class EventStream(Protocol):
    """What has been seen of a stream of events, and what of it may go on."""

    done: bool
    """It ended with its protocol's own mark."""

    def take(self, events: bytes) -> bytes: ...

    def release(self) -> bytes: ...

    def tail(self, charged: Charged, usage: Usage) -> bytes: ...

    @property
    def reported(self) -> Reported: ...

    @property
    def content_bytes(self) -> int: ...

    @property
    def failure(self) -> Any: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def is_complete(self) -> bool: ...

    @property
    def is_answer(self) -> bool: ...


@runtime_checkable
class Stoppable(Protocol):
    """A stream of events that can be ended before its upstream ends it."""

    def stop(self) -> bytes:
        """End it as one that has reached its limit of output. What has to go out before its tail."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A stoppable stream that tells at its end all that it has said."""

    def remember(self) -> None:
        """It may be stopped: keep what goes on from now on."""
        ...


class Assembly(Protocol):
    """An answer put together from the events of an upstream that streams unasked."""

    def take(self, events: bytes) -> None: ...

    @property
    def is_complete(self) -> bool: ...

    def whole(self) -> Any: ...


class Dialect(Generic[Asking]):
    """How an endpoint's requests are put to upstreams of one protocol, and their answers read and shown.

    `asks` is the catalog's name for the path there: an upstream whose `paths` leave it out is not asked. Where the
    upstream's protocol is the endpoint's own the caller's bytes go as they came; else both are translated.
    """

    asks: str = ""
    translates: bool = False

    def request(self, call: Asking, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        """What to send; `output_limit` is what was held, in tokens, None where nothing is."""
        raise NotImplementedError

    def after_refusal(self, call: Asking, destination: Destination, habits: Habits, refusal: Refusal) -> Habits | None:
        """What to try without, where a refusal is about a field that we added; None where it is not."""
        return None

    def ignored(self, call: Asking) -> tuple[str, ...]:
        """The request's hints that are left out here, as the upstream's protocol has no words for them: by field."""
        return ()

    def reply(self, call: Asking) -> Reply:
        return Reply.EVENTS if call.stream else Reply.WHOLE

    counts: ClassVar["Counts[Any] | None"] = None
    """How to have a request's tokens counted there."""
    keeper: ClassVar["Keeper | None"] = None
    """How to have a request's tokens counted there, and to ask about answers that are kept, where they are."""

    # An answer in one piece

    def load(self, raw: bytes) -> tuple[Any, bytes]:
        """The answer's value, and its text as every parser takes it; raises `ValueError` for what is no JSON."""
        return load_sound(raw)

    def read_answer(self, call: Asking, answer: Mapping[str, Any]) -> Reported:
        raise NotImplementedError

    def failure(self, answer: Any) -> Any:
        """The error in what came with success, None where it is an answer."""
        return None

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        """Bytes of what the model wrote, counted where its upstream tells no usage."""
        return 0

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        """The answer as its caller sees it, with its cost, or without where it is to be plain; `refusal` where words
        came with an error."""
        raise NotImplementedError

    holds: ClassVar[str] = ""
    """The member for which a long answer is relayed as it comes; "" where the whole has to be read first."""
    usage_member: ClassVar[str] = "usage"

    def ending(
        self, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage
    ) -> dict[str, bytes | None]:
        """The members that tell what an answer used and cost; none where it is to be plain."""
        raise NotImplementedError

    def assembly(self) -> Assembly:
        """For an upstream that streams unasked; raises `ValueError` where an answer cannot come so."""
        raise NotImplementedError

    # Events

    def events(self, call: Asking, manner: Manner) -> EventStream:
        raise NotImplementedError

    def failed(self, stream: EventStream, refusal: Refusal, charged: Charged, used: Usage) -> bytes:
        """The last word of a stream that ended with an error of its own, in our words; b"" for the usual one."""
        return b""

    tells_input: bool = False
    """Whether a stream of its upstreams tells with its first event what the input used."""
    most_event_bytes: ClassVar[int] = MOST_EVENT_BYTES

    def as_events(self, answer: bytes) -> bytes:
        """The events of an upstream that answers in one piece, though a stream was asked for."""
        raise NotImplementedError

    def measured(self, call: Asking, headers: Mapping[str, str], size: int) -> Reported:
        """What an answer of that many bytes used, by its headers and the request."""
        return Reported(None)

    def renamed(self, body: bytes, model: str, *, are_events: bool = False) -> bytes:
        """Such an answer, or events of it, under the name of the model that was asked for, if its route has another."""
        return body

    def shown(self, body: bytes) -> bytes:
        """The answer of an endpoint that holds nothing, as its caller sees it; raises `ValueError` for what is none."""
        return body


class Endpoint(Generic[Asking]):
    """A path of a protocol."""

    name: ClassVar[str]
    """Stored with each request: the protocol in which its caller speaks."""
    path: ClassVar[str]
    """With `{names}` for parts that vary: `/v1beta/models/{model}:{verb}`. A part holds no slash or colon, unless
    it ends in dots: `{model...}`."""
    also: ClassVar[tuple[str, ...]] = ()
    """Other ways in which clients write the path."""
    roots: ClassVar[tuple[str, ...]] = ("",)
    """What the path may stand behind, as in `/anthropic/v1/messages`."""
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    holds: ClassVar[bool] = True
    """Whether it costs something: money is held for it before it leaves."""
    forgets: ClassVar[bool] = False
    """Whether what it names is not kept any more once its upstream has answered."""
    stops: ClassVar[bool] = False
    """Whether a stream may be ended early, and is held window by window; by an error where it is not `Stoppable`."""
    billing: ClassVar[frozenset[str]] = frozenset({PER_TOKEN})
    """The kinds of price that a model needs to be asked here."""
    what: ClassVar[str] = "model for this path"
    """What such a model is called in a refusal."""
    takes_forms: ClassVar[bool] = False
    """Whether files may be uploaded to it, as multipart/form-data."""
    limit_field: ClassVar[str] = "max_tokens"
    unit_fields: ClassVar[Mapping[str, str]] = {}
    """By which field a request asks for what is sold apart, where it is not the one that brings it."""
    brings: ClassVar[str] = "messages"
    id_header: ClassVar[bytes] = b""
    """Where this protocol's callers look for the request's id, beside X-Request-Id."""
    session_headers: ClassVar[tuple[bytes, ...]] = SESSION_HEADERS
    """In which clients of this protocol name their session, beside ours."""
    session_member: ClassVar[bytes] = b""
    """A member of the body, by whose text requests are known to go together where no header names a session."""
    end: ClassVar[bytes] = DONE
    """What ends a stream, behind the last event."""
    dialects: Mapping[str, Dialect[Asking]]
    """By the protocol of the upstream; to no other does a request go."""
    detours: Mapping[str, Dialect[Asking]] = {}
    """The same, for an upstream that does not have the path that `dialects` would ask."""
    side: "Side[Asking] | None" = None
    """How it is translated into other protocols, and they into it, if it is."""

    @property
    def shown_path(self) -> str:
        """As people are told it."""
        return (self.roots[0] + self.path).replace("...}", "}")

    def dialect(self, destination: Destination) -> Dialect[Asking] | None:
        """How to speak with it; None where it cannot be asked."""
        for dialects in (self.dialects, self.detours):
            found = dialects.get(destination.protocol)
            if found is not None and destination.has(found.asks):
                return found
        return None

    def among(self, destinations: Sequence[Destination], *, account: str = "") -> Sequence[Destination]:
        """Those that can be asked, in their order; of one account, if it is named."""
        return [one for one in destinations if self.dialect(one) is not None and account in ("", one.account)]

    def ways(self, entry: Entry) -> Ways[Asking]:
        """Where a request for that model can go; found out once, as it is the same for each."""
        found: Ways[Asking] | None = entry.ways.get(self)
        if found is None:
            found = entry.ways[self] = Ways(self, entry.destinations)
        return found

    def read(self, asked: Asked) -> Asking:
        """Raise `BadRequest` for what cannot be held, sent and priced."""
        raise NotImplementedError

    def measure(self, call: Asking) -> Asking:
        """An upload with what takes a while to find out. It runs in a thread of its own, before `check`."""
        return call

    def naming(self, call: Asking, entry: Entry) -> Asking:
        """The request with all that it names at an account, where that depends on who serves the model."""
        return call

    def check(self, call: Asking, entry: Entry) -> Asking:
        """The request as this model takes it. Raise `BadRequest` or `Refusal` for what it is not for."""
        self.check_spoken(entry)
        if not self.serves(entry.price):
            raise Refusal(400, "validation_error", f"{entry.slug} is not a {self.what}.", param="model")
        for unit in call.units:
            self._check_unit(unit, call, entry)
        limit = entry.max_output_tokens
        if limit is not None and call.output_limit is not None and call.output_limit > limit:
            raise BadRequest(f"{entry.slug} writes at most {limit} tokens.", param=self.limit_field)
        return prepared(self, call, entry) if self.side is not None and self.ways(entry).translated else call

    def check_spoken(self, entry: Entry) -> None:
        """Raise `Refusal` where none of its upstreams has what this path can be put to."""
        if entry.destinations and not self.ways(entry).destinations:
            words = f"{entry.slug} is not served at {self.shown_path}: its providers do not speak that protocol there."
            raise Refusal(400, "validation_error", words, param="model")

    def serves(self, price: PriceVersion) -> bool:
        """Whether a model at this price is one for this path. Where tokens are priced a text is written, or nothing."""
        return price.billing in self.billing and (price.writes or not price.has_tokens)

    def _check_unit(self, unit: str, call: Asking, entry: Entry) -> None:
        """Raise `BadRequest` for what is asked for and sold apart, but not here."""
        field = self.unit_fields.get(unit, self.brings)
        if not entry.price.sells(unit, call.terms):
            words = f"{entry.slug} has no price for `{unit}` here, so {UNITS[unit].label} is not taken."
            raise BadRequest(words, param=field)
        if unit in TOOLS and not entry.max_tool_calls:
            raise BadRequest(f"{entry.slug} calls no tools at its provider here, so no `{unit}`.", param=field)

    def bounds(self, call: Asking, entry: Entry) -> Bounds:
        material, context = call.material, entry.context_window
        most = most_by_unit(material, context=context)
        likely = likely_by_unit(material, context=context)
        makes = TEXT if call.names_output else entry.price.makes
        if not call.units and not call.fetches:
            return Bounds(most, likely, most_extra_output(material), makes=makes)
        made = tuple(unit for unit in call.units if UNITS[unit].side == OUTPUT_SIDE)
        tools = TOOLS.intersection(call.units)
        for unit in tools:
            most[unit], likely[unit] = entry.max_tool_calls, 1
        if kinds := len(tools) + call.fetches:
            # What a tool finds is input of the model's next turn in the same request.
            turns = 1 + kinds * entry.max_tool_calls
            most[INPUT] = turns * (FILE_TOKENS if context is None else whole_context(context))
            likely[INPUT] += kinds * LIKELY_TOOL_TOKENS
        return Bounds(most, likely, most_extra_output(material), makes=(*makes, *made))

    def own_answer(self, call: Asking) -> bytes | None:
        """Of what is free, the answer where no upstream of the model can be asked; None where only they know it."""
        return None

    def adds_input(self, call: Asking) -> bool:
        """Whether more may be read while an answer is made: what a tool finds, a context that is summed up."""
        return bool(call.units or call.fetches)

    def array(self, call: Asking) -> AsArray | None:
        """For a stream that its caller wants as a JSON array, and not as events."""
        return None

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """The body of an answer that is an error."""
        raise NotImplementedError

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        """An error in a stream that has begun; it ends with it. `after` is what was said last before it."""
        return b"data: " + self.error(refusal, request_id) + END
