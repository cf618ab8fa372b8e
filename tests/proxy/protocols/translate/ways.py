"""The ways of translation without a gateway: bodies as callers send them, and what an upstream is sent."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from proxy.gateway.routes import CHAT, MESSAGES, RESPONSES
from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Call, Charged, Habits, Manner, Translation
from proxy.protocols.endpoint import Asked, Endpoint

CHARGED = Charged(Manner("gen-0123456789abcdefghijklmn"), 7, Decimal("0.00042000"))
USED = Usage(input_tokens=20, output_tokens=5)


def destination(
    protocol: str, *, kind: str = Kind.VLLM, model: str = "claude-sonnet-4-6", paths: Iterable[str] = ()
) -> Destination:
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
        paths=frozenset(paths),
    )


@dataclass(frozen=True)
class Way:
    """From callers of `caller` to upstreams of `upstream`, which have that path alone."""

    caller: Endpoint[Any]
    upstream: Endpoint[Any]

    @property
    def name(self) -> str:
        return f"{self.caller.path} to {self.upstream.path}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.upstream.dialects[self.upstream.name].asks,)

    @property
    def dialect(self) -> Any:
        return self.caller.dialect(destination(self.upstream.name, paths=self.paths))

    def read(self, body: dict[str, Any], headers: dict[bytes, bytes] | None = None) -> Call:
        whole = {"model": "a/m", **DEFAULTS.get(self.caller.path, MESSAGE), **body}
        call: Call = self.caller.read(Asked(json.dumps(whole, separators=(",", ":")).encode(), {}, headers or {}))
        return replace(call, translation=Translation())

    def sent(self, body: dict[str, Any], **route: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What goes upstream, and what is named as left out."""
        return self.sent_of(self.read(body), **route)

    def sent_of(
        self, call: Call, *, refused: Iterable[str] = (), limit: int = 100, **route: Any
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        sending = self.dialect.request(
            call,
            destination(self.upstream.name, paths=self.paths, **route),
            output_limit=limit,
            habits=Habits(refused=frozenset(refused)),
        )
        return json.loads(b"".join(sending.body)), self.dialect.ignored(call)

    def whole(self, answer: dict[str, Any], call: Call | None = None, used: Usage = USED) -> dict[str, Any]:
        """An upstream's answer as the caller gets it."""
        raw = json.dumps(answer).encode()
        reported = self.dialect.read_answer(call or self.read({}), answer)
        told: dict[str, Any] = json.loads(self.dialect.decorate(raw, answer, reported, CHARGED, used, None))
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


MESSAGE: dict[str, Any] = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
DEFAULTS = {RESPONSES.path: {"max_output_tokens": 100, "input": "Hi"}}
"""What a body has that says nothing else."""
TO_MESSAGES, TO_CHAT = Way(CHAT, MESSAGES), Way(MESSAGES, CHAT)
RESPONSES_TO_CHAT, RESPONSES_TO_MESSAGES = Way(RESPONSES, CHAT), Way(RESPONSES, MESSAGES)
CHAT_TO_RESPONSES, MESSAGES_TO_RESPONSES = Way(CHAT, RESPONSES), Way(MESSAGES, RESPONSES)
