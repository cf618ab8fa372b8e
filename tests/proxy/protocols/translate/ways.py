"""Both ways of translation without a gateway: bodies as callers send them, and what an upstream is sent."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

from proxy.gateway.routes import CHAT, MESSAGES
from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Call, Charged, Habits, Manner, Translation
from proxy.protocols.endpoint import Asked, Endpoint

CHARGED = Charged(Manner("gen-0123456789abcdefghijklmn"), 7, Decimal("0.00042000"))
USED = Usage(input_tokens=20, output_tokens=5)


def destination(protocol: str, *, kind: str = Kind.VLLM, model: str = "claude-sonnet-4-6") -> Destination:
    return Destination(
        model="a/m",
        upstream_id=1,
        upstream="u",
        protocol=protocol,
        base_url="https://u.example",
        api_key="sk-u",
        upstream_model=model,
        timeout=1.0,
        total_timeout=1.0,
        kind=kind,
    )


@dataclass(frozen=True)
class Way:
    """From callers of `caller` to upstreams of `upstream`."""

    caller: Endpoint[Any]
    upstream: Endpoint[Any]

    @property
    def name(self) -> str:
        return f"{self.caller.name} to {self.upstream.name}"

    @property
    def dialect(self) -> Any:
        return self.caller.dialects[self.upstream.name]

    def read(self, body: dict[str, Any], headers: dict[bytes, bytes] | None = None) -> Call:
        whole = {"model": "a/m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **body}
        call: Call = self.caller.read(Asked(orjson.dumps(whole), {}, headers or {}))
        return replace(call, translation=Translation())

    def sent(self, body: dict[str, Any], **route: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What goes upstream, and what is named as left out."""
        return self.sent_of(self.read(body), **route)

    def sent_of(
        self, call: Call, *, refused: Iterable[str] = (), limit: int = 100, **route: Any
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        sending = self.dialect.request(
            call,
            destination(self.upstream.name, **route),
            output_limit=limit,
            habits=Habits(refused=frozenset(refused)),
        )
        return orjson.loads(b"".join(sending.body)), self.dialect.ignored(call)

    def whole(self, answer: dict[str, Any], call: Call | None = None, used: Usage = USED) -> dict[str, Any]:
        """An upstream's answer as the caller gets it."""
        raw = orjson.dumps(answer)
        reported = self.dialect.read_answer(call or self.read({}), answer)
        told: dict[str, Any] = orjson.loads(self.dialect.decorate(raw, answer, reported, CHARGED, used, None))
        return told

    def streamed(self, events: Iterable[bytes], call: Call | None = None, used: Usage = USED) -> bytes:
        """An upstream's events as the caller gets them, with what ends them."""
        stream = self.dialect.events(call or self.read({}), CHARGED.manner)
        pieces = [stream.take(piece) for piece in events]
        assert stream.failure is None
        return b"".join(pieces) + stream.tail(CHARGED, used) + self.caller.end

    def assembled(self, events: bytes) -> dict[str, Any]:
        """What a caller makes of a stream."""
        assembly = self.caller.dialects[self.caller.name].assembly()
        assembly.take(events)
        whole: dict[str, Any] = assembly.whole()
        return whole


TO_MESSAGES, TO_CHAT = Way(CHAT, MESSAGES), Way(MESSAGES, CHAT)
