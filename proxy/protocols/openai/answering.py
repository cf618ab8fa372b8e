"""What the paths that answer in one piece, and with no text of a model, have in common."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import msgspec
import orjson

from proxy.errors import Refusal
from proxy.models import Protocol
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import SECOND
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Habits, Long, Reported
from proxy.protocols.counts import costs_out, is_cost
from proxy.protocols.endpoint import Assembly, Dialect, Endpoint, Sending
from proxy.protocols.openai.asking import SESSION_HEADERS, PlainCall, sending
from proxy.protocols.openai.chat.answer import error as error_body
from proxy.protocols.openai.chat.answer import error_of
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.sse import END

Plain = TypeVar("Plain", bound=PlainCall)
LONG_ANSWER = 65_536
LONG_MEMBER = 4_096
"""Of a long answer: a longer member is not parsed, as vectors and pictures are of no interest here."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


class WholeAnswer(Dialect[Plain]):
    """Upstreams that speak it themselves. An answer has a list under the name `holds`, else it is an error."""

    path: ClassVar[str]
    holds: ClassVar[str] = "data"
    names: ClassVar[tuple[str, ...]] = ("prompt_tokens",)
    """What tokens of input, and of output where there are any, are called here."""

    def request(self, call: Plain, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        return sending(self.path, call, destination)

    def load(self, raw: bytes) -> tuple[Any, bytes]:
        if len(raw) > LONG_ANSWER:
            try:
                members = _members.decode(raw)
                return {name: _short(value) for name, value in members.items()}, raw
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
                pass
        return super().load(raw)

    def count(self, answer: Mapping[str, Any]) -> int:
        """How many things it holds."""
        held = answer.get(self.holds)
        if isinstance(held, Long):
            return held.items
        if isinstance(held, msgspec.Raw):
            try:
                return len(_items.decode(held))
            except msgspec.MsgspecError:
                return 0
        return len(held) if isinstance(held, list) else 0

    def failure(self, answer: Any) -> Any:
        is_answer = isinstance(answer, dict) and not answer.get("error") and isinstance(
            held := answer.get(self.holds), list | msgspec.Raw | Long
        ) and (not isinstance(held, Long) or held.is_list)  # fmt: skip
        return None if is_answer else failure_of(answer)

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        """What came with an error is of no use."""
        return 0 if answer.get("error") else self.count(answer)

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        ours = costs_out(answer) | charged.manner.named(answer) | self.ending(answer, reported, charged, used)
        if refusal is not None:
            ours["error"] = orjson.dumps(error_of(refusal))
        return lossless.splice(raw, ours)

    def ending(
        self, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage
    ) -> dict[str, bytes | None]:
        if charged.is_plain:
            return {}
        usage = shown(answer.get(self.usage_member), reported, used, charged, names=self.names)
        return {self.usage_member: usage, "x_chuizi": charged.as_json}

    def assembly(self) -> Assembly:
        raise ValueError("events are no such answer")


def _short(value: msgspec.Raw) -> Any:
    return value if memoryview(value).nbytes > LONG_MEMBER else orjson.loads(value)


def shown(said: Any, reported: Reported, used: Usage, charged: Charged, *, names: tuple[str, ...]) -> bytes:
    """The usage that the caller sees, as JSON: what the upstream said where that is billed, and our cost in USD."""
    told: dict[str, Any] = {}
    if isinstance(said, dict) and reported.usage == used:
        told = {name: value for name, value in said.items() if not is_cost(name)}
    elif used.input_tokens:
        counts = (used.input_tokens, used.output_tokens)
        told = {**dict(zip(names, counts, strict=False)), "total_tokens": sum(counts)}
    cost = b'"cost":%b}' % f"{charged.cost:f}".encode()
    if not told and (seconds := (used.more or {}).get(SECOND)) is not None:
        return b'{"type":"duration","seconds":%b,%b' % (f"{Decimal(seconds).normalize():f}".encode(), cost)
    return b"%b,%b" % (lossless.write(told)[:-1], cost) if told else b"{" + cost


def event(kind: str, **said: Any) -> bytes:
    """An event with a `type`."""
    return b"event: %b\ndata: %b" % (kind.encode(), orjson.dumps({"type": kind, **said})) + END


class PlainEndpoint(Endpoint[Plain]):
    """A path of OpenAI's whose answer is no text of a model."""

    name = Protocol.OPENAI.value
    session_headers = SESSION_HEADERS
    needs: ClassVar[tuple[str, ...]]
    """Units of which its price has to have one."""

    def check(self, call: Plain, entry: Entry) -> Plain:
        if not self.serves(entry.price):
            units = " or ".join(f"`{unit}`" for unit in self.needs)
            words = f"{entry.slug} is not a {self.what}: its price names no {units}, or more than that."
            raise Refusal(400, "validation_error", words, param="model")
        return super().check(call, entry)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return error_body(refusal)

    def error_event(self, refusal: Refusal, request_id: str, after: bytes = b"") -> bytes:
        return event("error", error=error_of(refusal))
