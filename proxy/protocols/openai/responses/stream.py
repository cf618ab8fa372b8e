"""An answer of Responses as a stream: relay the events as bytes, keep the last word for after METER.

https://platform.openai.com/docs/api-reference/responses-streaming . Events are told apart by their types alone; parsed
is the last one, which tells the whole again. The first ones, which repeat the request, wait for the first that brings
something, so that another upstream may be tried until then.
"""

import re
from collections.abc import Callable
from typing import Any

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import LONGEST_ID, Charged, Manner, Reported, text_of
from proxy.protocols.counts import is_cost
from proxy.protocols.openai.responses import answer as answers
from proxy.protocols.openai.responses import usage as usages
from proxy.protocols.openai.responses.failure import UNNAMED, failure_in, is_answer
from proxy.protocols.openai.responses.produced import Produced, produced_bytes
from proxy.protocols.openai.responses.stopping import INCOMPLETE, SoFar
from proxy.protocols.sse import END, bare_of, data_of, error_of

EARLY = frozenset({"response.created", "response.queued", "response.in_progress"})
FAILED = "response.failed"
LAST = frozenset({"response.completed", "response.incomplete", "response.cancelled", FAILED})
ERROR = "error"
LOOKED_AT = "|".join(sorted(kind.removeprefix("response.") for kind in EARLY | LAST))
RUN = re.compile(
    rb'(?:event: (response\.(?!(?:%b)\n)[a-z0-9_.]+)\ndata: \{"type": ?"\1"[^\n]*+\n\n)+' % LOOKED_AT.encode()
)
"""Events that need no look each, framed as this protocol's are. Not `++`: before Python 3.11.5 a possessive group
ends where its last try, which failed, had got to."""
HEAD = re.compile(rb'event: ([a-z0-9_.]+)\ndata: \{\s*+"type"\s*+:\s*+"\1"')
ID = re.compile(rb'"response"\s*+:\s*+\{\s*+"id"\s*+:\s*+"([\w=-]{1,1000})"')
READ = frozenset({"id", "model", "status", "error", "incomplete_details", "usage", "tool_usage", "service_tier"})
"""Members of an answer that tell what it is and used."""
COUNTED = re.compile(rb"(?:%b)" % "|".join(usages.COUNTED).encode())
MOST_REMEMBERED, MOST_FIRST = 1_000_000, 65_536
"""Bytes of what a stream has said that is told again where it is ended before its time."""
ID_WITHIN = 1_400
"""Bytes of an early event in which its id stands, if it is to be found."""


class ResponseStream:
    """What has been seen of a stream."""

    def __init__(
        self, manner: Manner, *, ids_in: Callable[[bytes], tuple[str, ...]] | None = None, is_early: bool = False
    ) -> None:
        """`ids_in` reads the ids of items, where the answer is kept; `is_early`: its first events wait for nothing."""
        self._manner = manner
        self._ids_in = ids_in
        self._is_early = is_early
        self._kept: tuple[str, ...] = ()
        self.done = False
        self.error: Any = None
        """The error that ended the stream; nothing after it is taken."""
        self._first = self._early = b""
        """The first event, if it is short, and all before the first that brings something."""
        self._passed: list[bytes] | None = None
        """What went on since, where it is to be remembered."""
        self._remembered = 0
        self._has_items = False
        self._produced = Produced()
        self._last, self._data = "", b""
        """The type of the event that ended it, and its data."""
        self._event: dict[str, Any] = {}
        self._members: dict[str, Any] = {}
        """Its members, and those of the answer in it, raw."""
        self._response: dict[str, Any] = {}
        """What it says of the answer, but for what is of no interest here."""
        self._upstream_id = ""

    @property
    def content_bytes(self) -> int:
        """Bytes of what was produced; at least 1 where anything was."""
        return self._produced.bytes or produced_bytes(self._response)

    @property
    def is_complete(self) -> bool:
        return self.done

    @property
    def is_over(self) -> bool:
        """Nothing that follows is taken."""
        return self.done or self.error is not None

    @property
    def is_answer(self) -> bool:
        return self._has_items or is_answer(self._response)

    @property
    def failure(self) -> Any:
        return self.error

    @property
    def reported(self) -> Reported:
        if not self._response:
            return Reported(None, upstream_id=self._upstream_id)
        return answers.read_answer(self._response, kept=self._kept)

    def take(self, events: bytes) -> bytes:
        """What to relay of whole events now; less than came where something is kept back."""
        relayed, start = [], 0
        while start < len(events) and not self.is_over:
            if (run := RUN.match(events, start)) is not None:
                end = run.end()
                relayed.append(self._pass_on(events[start:end]))
            else:
                end = events.index(END, start) + len(END)
                relayed.append(self._take_one(events[start:end]))
            start = end
        return b"".join(relayed)

    def remember(self) -> None:
        self._passed = []

    def stop(self) -> bytes:
        """With the items so far, if they were remembered and are not too many."""
        if self.done:
            return b""
        so_far = SoFar([self._first, *(self._passed or ())])
        ending = {"type": INCOMPLETE, "sequence_number": so_far.number + len(so_far.endings), "response": so_far.ended}
        before = [
            lossless.write({**event, "sequence_number": number})
            for number, event in enumerate(so_far.endings, so_far.number)
        ]
        self._end(INCOMPLETE, lossless.write(ending))
        return b"".join([_framed("response.output_item.done", data) for data in before])

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        """The event that ends it, with usage and charged."""
        return self._early + self._ending(charged, usage, None)

    def failed(self, refusal: Refusal, charged: Charged, usage: Usage) -> bytes:
        """The same, with its error in our words; b"" where it ended with none."""
        return self._ending(charged, usage, refusal) if self._last == FAILED else b""

    def release(self) -> bytes:
        """What was kept back, where the stream does not end with it."""
        early, self._early = self._early, b""
        if self.error is not None and not self._has_items:
            return b""  # another upstream may be tried
        return early

    def _ending(self, charged: Charged, usage: Usage, refusal: Refusal | None) -> bytes:
        reported = self.reported
        if refusal is not None:
            whole = lossless.write(self._response)
            ours = answers.decorate(whole, self._response, reported, charged, usage, refusal)
        elif changes := answers.changes_of(self._response, reported, charged, usage):
            ours = lossless.joined(self._members, changes)
        else:
            return _framed(self._last, self._data)
        return _framed(self._last, lossless.joined(self._event, {"response": ours}))

    def _pass_on(self, events: bytes) -> bytes:
        self._has_items = True
        self._produced.add(events)
        if self._passed is not None:
            self._remembered += len(events)
            self._passed.append(events)
            if self._remembered > MOST_REMEMBERED:
                self._passed = None
        if not self._early:
            return events
        early, self._early = self._early, b""
        return early + events

    def _take_one(self, event: bytes) -> bytes:
        head = HEAD.match(event)
        has_one_line = head is not None and event.find(b"\n", head.end()) == len(event) - len(END)
        if head is not None and has_one_line and (kind := head[1].decode()) != ERROR:
            if kind in EARLY:
                return self._begin(kind, event, data_of(event))
            if kind not in LAST:
                return self._pass(kind, event)
            return self._end(kind, data_of(event))
        if (failed := error_of(event)) is not None:
            self._fail(_loaded(failed) or {"message": failed.decode("utf-8", "replace")})
            return self.release()
        try:
            said, data = lossless.load_sound(data_of(event) or bare_of(event))
        except ValueError:
            return b""  # garbage, comments and [DONE] are not relayed
        return self._take(data, said) if isinstance(said, dict) else b""

    def _take(self, data: bytes, said: dict[str, Any]) -> bytes:
        kind = said.get("type")
        if kind == ERROR or (not isinstance(kind, str) and said.get("error")):
            self._fail(said)
            return self.release()
        if not isinstance(kind, str) or not kind.replace(".", "_").isidentifier():
            return b""
        if kind in LAST:
            return self._end(kind, data)
        event = _framed(kind, data)
        return self._begin(kind, event, data) if kind in EARLY else self._pass(kind, event)

    def _begin(self, kind: str, event: bytes, data: bytes) -> bytes:
        if not self._upstream_id and (found := ID.search(data, 0, ID_WITHIN)) is not None:
            self._upstream_id = found[1].decode()
        elif self._is_early and not self._upstream_id:
            self._upstream_id = _id_in(data)  # it may not go on before this is known
        if not self._first and len(data) <= MOST_FIRST:
            self._first = event
        if self._manner.model:
            event = _framed(kind, _renamed(data, self._manner))
        if self._has_items or self._is_early:
            return event
        self._early += event
        return b""

    def _pass(self, kind: str, event: bytes) -> bytes:
        """What is none of the answer, as a sign of life, does not begin it."""
        if self._has_items or kind.startswith("response."):
            return self._pass_on(event)
        self._early += event
        return b""

    def _end(self, kind: str, data: bytes) -> bytes:
        try:
            self._event = lossless.members(data)
            raw = bytes(self._event.get("response", b"{}"))
            self._members = lossless.members(raw) if raw.startswith(b"{") else {}
            self._response = lossless.load(raw) if self._members and kind == FAILED else _read(self._members)
        except ValueError:
            return b""  # garbage is not relayed
        self._last, self._data, self.done = kind, data, True
        if self._ids_in is not None and bytes(self._members.get("store", b"")) != b"false":
            name = self._response.get("id")
            if isinstance(name, str) and name:
                self._kept = (name, *self._ids_in(bytes(self._members.get("output", b"[]"))))
        if kind != FAILED:
            return b""
        self.error = failure_in({**self._response, "status": "failed"})
        return self.release()

    def _fail(self, said: Any) -> None:
        error = said.get("error") if isinstance(said, dict) else None
        self.error = error or {name: value for name, value in said.items() if name != "type"} or UNNAMED


def _id_in(data: bytes) -> str:
    said = _loaded(data) or {}
    answer = said.get("response")
    return text_of(answer, "id", most=LONGEST_ID) if isinstance(answer, dict) else ""


def named(answer: bytes, manner: Manner) -> bytes:
    """An answer, with the name of its model as the caller has it. Raises `ValueError` where it is no object."""
    members = lossless.members(answer)
    changes = manner.named(members)
    return lossless.joined(members, changes) if changes else answer


def events_named(events: bytes, manner: Manner) -> bytes:
    """Whole events, those that tell an answer with the name of its model as the caller has it."""
    shown, start = [], 0
    while start < len(events):
        end = events.index(END, start) + len(END)
        event = events[start:end]
        head = HEAD.match(event)
        if head is not None and (kind := head[1].decode()) in EARLY | LAST:
            event = _framed(kind, _renamed(data_of(event), manner))
        shown.append(event)
        start = end
    return b"".join(shown)


def _renamed(data: bytes, manner: Manner) -> bytes:
    """The event, with the name of its model as the caller has it."""
    try:
        event = lossless.members(data)
        answer = named(bytes(event.get("response", b"")), manner)
    except ValueError:
        return data
    return lossless.joined(event, {"response": answer})


def _read(members: dict[str, Any]) -> dict[str, Any]:
    """What is of interest: of the items only whether they are a list, unless something is to be counted in them."""
    found = {name: lossless.load(bytes(members[name])) for name in members if name in READ or is_cost(name)}
    output = bytes(members.get("output", b""))
    if usages.is_told(found) and not COUNTED.search(output):
        return {**found, "output": []} if output.startswith(b"[") else found
    return {**found, "output": lossless.load(output)} if output else found


def _framed(kind: str, data: bytes) -> bytes:
    # A line break may stand between the members of an object; in an event it would begin a field.
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.replace(b"\n", b" "))


def _loaded(data: bytes) -> Any:
    found = lossless.loaded(data)
    return found if isinstance(found, dict) else None
