"""Endpoints of no real protocol, each of another shape than chat: what they need, the seam has to offer."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from proxy.errors import Refusal
from proxy.prices.bounds import Material
from proxy.prices.catalog import Destination, Entry
from proxy.prices.units import PER_REQUEST, PER_SECOND
from proxy.prices.usage import Usage
from proxy.protocols.base import BadRequest, Call, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Bounds, Dialect, Endpoint, Reply, Sending
from proxy.protocols.sse import END, data_of, events_of
from tests.upstream import FakeUpstream

KEYS = {"X-Toy-Key": "toy"}
NAMED = re.compile(rb'name="model"\r\n\r\n(.*?)\r\n')


class ToyUpstream(FakeUpstream):
    """Answers any path by its `answers`; keeps what it was asked in `asked`."""

    def __init__(self) -> None:
        self.answers: dict[str, web.Response | list[bytes]] = {}
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        super().__init__()

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._reply)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=128)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v1")
        self.asked.append((request.method, path, await request.read(), dict(request.headers)))
        if self.handler is not None:
            return await self.handler(request)
        found = self.answers[path]
        if isinstance(found, list):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for piece in found:
                await response.write(piece)
            return response
        return web.Response(body=found.body, status=found.status, headers=found.headers)


def used_of(told: Any) -> Usage | None:
    return Usage(input_tokens=told["in"], output_tokens=told["out"]) if isinstance(told, dict) else None


class Plain(Dialect[Call]):
    """`{"words": ..., "used": {"in": 3, "out": 5}}`."""

    path = "/toy"

    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        body = b'{"name":%b,"most":%d,%b}' % (orjson.dumps(destination.upstream_model), output_limit or 0, call.rest)
        return Sending(self.path, KEYS, (body,))

    def read_answer(self, call: Call, answer: Mapping[str, Any]) -> Reported:
        return Reported(used_of(answer.get("used")), upstream_id=str(answer.get("no", "")))

    def failure(self, answer: Any) -> Any:
        return None if isinstance(answer, dict) and "words" in answer else (answer or {"message": "nothing"})

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        return orjson.dumps({**answer, "cost": f"{charged.cost:f}", "id": charged.generation_id})

    def events(self, call: Call, manner: Manner) -> "Words":
        return Words()


class Words:
    """`data: {"word": "a"}` and at last `data: {"used": ...}`."""

    done = is_over = False
    failure = None

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.content_bytes = 0

    def take(self, events: bytes) -> bytes:
        relayed = b""
        for event in events_of(events):
            said = orjson.loads(data_of(event))
            if "used" in said:
                self.usage, self.done, self.is_over = used_of(said["used"]), True, True
            else:
                self.content_bytes += len(said["word"])
                relayed += event
        return relayed

    def release(self) -> bytes:
        return b""

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        return b'data: {"cost":"%b"}' % f"{charged.cost:f}".encode() + END

    @property
    def reported(self) -> Reported:
        return Reported(self.usage)

    @property
    def is_complete(self) -> bool:
        return self.done

    @property
    def is_answer(self) -> bool:
        return bool(self.content_bytes)


class Toy(Endpoint[Call]):
    name = "openai"
    end = b"event: over\ndata: {}" + END

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return orjson.dumps({"toy_error": refusal.code, "status": refusal.status})

    def read(self, asked: Asked) -> Call:
        try:
            said = orjson.loads(asked.body)
        except orjson.JSONDecodeError:
            raise BadRequest("Say it in JSON.") from None
        rest = b'"say":%b' % orjson.dumps(said["say"])
        size = len(asked.body)
        return Call(
            said["model"], bool(said.get("stream")), said.get("most"), 1, Material(text_bytes=size, wide=0), rest
        )


class ToyChat(Toy):
    """JSON to JSON, and JSON to events."""

    path = "/toy/chat"
    dialects = {"openai": Plain()}


class ToyVerb(Toy):
    """Model and verb in the path."""

    path = "/toy/models/{model}:{verb}"
    dialects = {"openai": Plain()}

    def read(self, asked: Asked) -> Call:
        if asked.place["verb"] not in ("say", "sing"):
            raise BadRequest("There is no such verb.", param="verb")
        rest = b'"verb":%b' % orjson.dumps(asked.place["verb"])
        return Call(asked.place["model"], False, 10, 1, Material(text_bytes=len(asked.body), wide=0), rest)


class Heard(Dialect[Call]):
    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        return Sending("/hear", {**KEYS, "Content-Type": 'multipart/form-data; boundary="b"'}, (call.rest,))

    def reply(self, call: Call) -> Reply:
        return Reply.BYTES

    def measured(self, call: Call, headers: Mapping[str, str], size: int) -> Reported:
        return Reported(Usage(units=Decimal(headers["X-Seconds"]), input_tokens=1, output_tokens=1))


class ToyHear(Toy):
    """A form with a file to plain text, by the second."""

    path = "/toy/hear"
    billing = frozenset({PER_SECOND})
    dialects = {"openai": Heard()}

    def read(self, asked: Asked) -> Call:
        found = NAMED.search(asked.body)
        if found is None:
            raise BadRequest("Name a model.", param="model")
        return Call(model=found[1].decode(), rest=asked.body)

    def bounds(self, call: Call, entry: Entry) -> Bounds:
        return Bounds({"second": 100}, {"second": 10})


class Spoken(Heard):
    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        return Sending("/speak", KEYS, (call.rest,))

    def measured(self, call: Call, headers: Mapping[str, str], size: int) -> Reported:
        return Reported(Usage(units=Decimal(1), input_tokens=1, output_tokens=1))


class ToySpeak(ToyChat):
    """JSON to bytes, by the request."""

    path = "/toy/speak"
    billing = frozenset({PER_REQUEST})
    dialects = {"openai": Spoken()}

    def bounds(self, call: Call, entry: Entry) -> Bounds:
        return Bounds({"request": 1}, {"request": 1})


class Counted(Plain):
    path = "/count"

    def shown(self, body: bytes) -> bytes:
        return orjson.dumps({"counted": orjson.loads(body)["n"]})


class ToyCount(ToyChat):
    """Free, without a hold."""

    path = "/toy/count"
    holds = False
    dialects = {"openai": Counted()}


class Thing(Dialect[Call]):
    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        return Sending(f"/things/{call.rest.decode()}", KEYS, method="GET")


class ToyThing(Toy):
    """By id, without a body, and pinned to the account that made it."""

    path = "/toy/things/{id}"
    methods = ("GET", "DELETE")
    holds = False
    dialects = {"openai": Thing()}

    def read(self, asked: Asked) -> Call:
        account, _, number = asked.place["id"].partition("-")
        return Call(rest=number.encode(), account=account)


class Translated(Plain):
    """The upstream counts in words of its own: `{"text": ..., "tokens": [3, 5]}`."""

    path = "/elsewhere"

    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        said = orjson.loads(b"{%b}" % call.rest)
        return Sending(self.path, {"X-Other-Key": destination.api_key}, (orjson.dumps({"prompt": said["say"]}),))

    def ignored(self, call: Call) -> tuple[str, ...]:
        return ("tone", "user") if b"hello" in call.rest else ()

    def shown(self, body: bytes) -> bytes:
        return body

    def read_answer(self, call: Call, answer: Mapping[str, Any]) -> Reported:
        told = answer["tokens"]
        return Reported(Usage(input_tokens=told[0], output_tokens=told[1]))

    def failure(self, answer: Any) -> Any:
        return None if "text" in answer else answer

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        return orjson.dumps({"words": answer["text"], "cost": f"{charged.cost:f}"})


class ToyTranslated(ToyChat):
    path = "/toy/translated"
    dialects = {"openai": Plain(), "anthropic": Translated()}


class ToyCountElsewhere(ToyTranslated):
    path = "/toy/count-elsewhere"
    holds = False


TOYS = (
    ToyChat,
    ToyVerb,
    ToyHear,
    ToySpeak,
    ToyCount,
    ToyThing,
    ToyTranslated,
    ToyCountElsewhere,
)
