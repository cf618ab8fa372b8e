"""Endpoints whose upstream keeps their answers, and works on some in the background."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from proxy.kept.keeping import Keeper, Standing
from proxy.prices.bounds import Material
from proxy.prices.catalog import Destination
from proxy.protocols.base import Call, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked, Dialect, Sending
from proxy.protocols.sse import data_of, events_of
from tests.proxy.protocols.seam.toys import KEYS, Plain, Toy, Words, used_of


def kept_of(answer: Mapping[str, Any]) -> Reported:
    no = str(answer["no"])
    kept = (no, *answer.get("parts", ()))
    pending = answer.get("state") == "working"
    return Reported(used_of(answer.get("used")), upstream_id=no, kept=kept, is_pending=pending)


class KeptWords(Words):
    """They begin with `data: {"no": "n1"}`, and end with the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.no = ""

    def take(self, events: bytes) -> bytes:
        relayed = b""
        for event in events_of(events):
            said = orjson.loads(data_of(event))
            if "no" in said and "used" not in said:
                self.no = said["no"]
                relayed += event
            else:
                relayed += super().take(event)
        return relayed

    @property
    def reported(self) -> Reported:
        return Reported(self.usage, upstream_id=self.no, kept=(self.no,))


class ToyKeeper(Keeper):
    """`state` is working, done, failed or stopped."""

    def look(self, name: str, destination: Destination) -> Sending:
        return Sending(f"/kept/{name}", KEYS, method="GET")

    def cancel(self, name: str, destination: Destination) -> Sending:
        return Sending(f"/kept/{name}/cancel", KEYS)

    def standing(self, answer: Mapping[str, Any]) -> Standing:
        state = answer.get("state")
        return Standing(state != "working", kept_of(answer), was_stopped=state == "stopped")

    def ended(self, event: bytes) -> Mapping[str, Any] | None:
        said = orjson.loads(data_of(event))
        return said if "used" in said else None


class Keeps(Plain):
    """`{"words": ..., "no": "n1", "parts": ["p1"]}`, kept unless `store` is false."""

    keeper = ToyKeeper()

    def read_answer(self, call: Call, answer: Mapping[str, Any]) -> Reported:
        found = kept_of(answer)
        return found if call.stores else replace(found, kept=())

    def failure(self, answer: Any) -> Any:
        return None if "state" in answer else super().failure(answer)

    def events(self, call: Call, manner: Manner) -> KeptWords:
        return KeptWords()


class ToyKeeps(Toy):
    """What its upstream keeps may be named `after` it."""

    path = "/toy/kept"
    dialects = {"openai": Keeps()}

    def read(self, asked: Asked) -> Call:
        said = orjson.loads(asked.body)
        rest = asked.body.strip()[1:-1].replace(b" ", b"")
        material = Material(text_bytes=len(asked.body), wide=0)
        return Call(
            said["model"],
            bool(said.get("stream")),
            10,
            1,
            material,
            rest,
            background_seconds=said.get("background"),
            stores=said.get("store", True),
            references=tuple(said.get("after", ())),
        )


class One(Dialect[Call]):
    keeper = ToyKeeper()

    def __init__(self, method: str, act: str = "") -> None:
        self.method = method
        self.act = act

    def request(self, call: Call, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        return Sending(f"/kept/{call.rest.decode()}{self.act}", KEYS, method=self.method)


class ToyKept(Toy):
    """One thing that is kept."""

    path = "/toy/kept/{id}"
    methods = ("GET",)
    holds = False
    dialects = {"openai": One("GET")}

    def read(self, asked: Asked) -> Call:
        name = asked.place["id"]
        return Call(stream=asked.query == b"stream", rest=name.encode(), references=(name,))


class ToyCancel(ToyKept):
    path = "/toy/kept/{id}/cancel"
    methods = ("POST",)
    dialects = {"openai": One("POST", "/cancel")}


class ToyForget(ToyKept):
    methods = ("DELETE",)
    forgets = True
    dialects = {"openai": One("DELETE")}


TOYS = (ToyKeeps, ToyKept, ToyForget, ToyCancel)
