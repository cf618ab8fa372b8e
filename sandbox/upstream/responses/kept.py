"""What the upstream keeps of its answers, in memory: read, listed, cancelled, deleted, gone on from; as strict as the
real one on ids that it has not.

An answer in the background is worked on for `background_ms` of the field `sandbox`, or for two looks at it.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from sandbox.upstream import chat, faults
from sandbox.upstream.responses import shapes
from sandbox.upstream.stream import HEADERS

Thing = dict[str, Any]
LOOKS = 2
MOST = 10_000


class NotFound(Exception):
    def __init__(self, words: str, *, status: int = 404, code: str = "") -> None:
        super().__init__(words)
        self.status = status
        self.code = code

    def answer(self) -> web.Response:
        return faults.error(self.status, "invalid_request_error", self.code, str(self))


@dataclass(eq=False)
class Entry:
    """`whole` is the answer as it will be; `given` are the items that it was asked with, earlier turns included."""

    whole: Thing
    events: list[Thing]
    given: list[Thing]
    done_at: float = 0.0
    looks_left: int = 0
    is_cancelled: bool = False
    fault: str = ""

    @property
    def is_over(self) -> bool:
        return self.is_cancelled or (self.looks_left <= 0 and time.monotonic() >= self.done_at)

    @property
    def begun(self) -> Thing:
        nothing: Thing = {"output": [], "usage": None, "incomplete_details": None}
        return {**self.whole, **nothing, "status": "queued"}

    def shown(self) -> Thing:
        begun = self.begun
        if self.is_cancelled:
            return {**begun, "status": "cancelled"}
        if not self.is_over:
            return {**begun, "status": "queued" if self.looks_left >= LOOKS else "in_progress"}
        if self.fault == "background-failed":
            return {**begun, "status": "failed", "error": {"code": "server_error", "message": "It failed."}}
        return self.whole


@dataclass(eq=False)
class Store:
    entries: dict[str, Entry] = field(default_factory=dict)
    items: dict[str, Thing] = field(default_factory=dict)

    def with_kept(self, body: Thing) -> Thing:
        """The request with what it names in its place; raises `NotFound`."""
        given = body.get("input")
        named = body.get("previous_response_id")
        before: list[Thing] = []
        if named is not None:
            entry = self.entries.get(named) if isinstance(named, str) else None
            if entry is None:
                words = f"Previous response with id '{named}' not found."
                raise NotFound(words, status=400, code="previous_response_not_found")
            before = [*entry.given, *entry.whole["output"]]
        if not before and not isinstance(given, list):
            return body
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
        return {**body, "input": [*before, *(self._item(item) for item in items)]}

    def _item(self, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        is_unsaid = item.get("type") == "reasoning" and not (item.get("encrypted_content") or item.get("content"))
        if item.get("type") != "item_reference" and not is_unsaid:
            return item
        if (found := self.items.get(str(item.get("id")))) is None:
            raise NotFound(f"Item with id '{item.get('id')}' not found.")
        return found

    def keep(self, body: Thing, whole: Thing, events: list[Thing]) -> Entry | None:
        """None where it is not to be stored."""
        if body.get("store") is False:
            return None
        given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
        entry = Entry(whole, events, given)
        if body.get("background"):
            asked = body.get("sandbox") if isinstance(body.get("sandbox"), dict) else {}
            lasts = asked.get("background_ms") if isinstance(asked, dict) else None
            entry.done_at = time.monotonic() + (lasts or 0) / 1000
            entry.looks_left = LOOKS if lasts is None and not body.get("stream") else 0
            entry.fault = str(asked.get("fault", "")) if isinstance(asked, dict) else ""
        while len(self.entries) >= MOST:
            del self.entries[next(iter(self.entries))]
        self.entries[whole["id"]] = entry
        self.items |= {item["id"]: item for item in whole["output"]}
        return entry

    def at(self, request: web.Request) -> Entry:
        name = request.match_info["id"]
        if (entry := self.entries.get(name)) is None:
            raise NotFound(f"Response with id '{name}' not found.")
        return entry


STORE = web.AppKey("responses", Store)


def routes() -> list[web.RouteDef]:
    place = "/upstream/v1/responses/{id}"
    return [
        web.get(place, _asked(look)),
        web.delete(place, _asked(delete)),
        web.get(f"{place}/input_items", _asked(input_items)),
        web.post(f"{place}/cancel", _asked(cancel)),
    ]


def _asked(act: Any) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        if refused := chat.check_key(request):
            return refused
        try:
            answer: web.StreamResponse = await act(request, request.app[STORE].at(request))
        except NotFound as missing:
            return missing.answer()
        return answer

    return handler


async def look(request: web.Request, entry: Entry) -> web.StreamResponse:
    if request.query.get("stream") == "true":
        sent = web.StreamResponse(headers=HEADERS)
        await sent.prepare(request)
        after = int(request.query.get("starting_after", -1))
        for event in entry.events[after + 1 :]:
            await sent.write(shapes.framed(event))
        await sent.write_eof()
        entry.looks_left = 0
        return sent
    shown = entry.shown()
    entry.looks_left -= 1
    return _json(shown)


async def delete(request: web.Request, entry: Entry) -> web.StreamResponse:
    del request.app[STORE].entries[entry.whole["id"]]
    return _json({"id": entry.whole["id"], "object": "response.deleted", "deleted": True})


async def input_items(request: web.Request, entry: Entry) -> web.StreamResponse:
    limit = int(request.query.get("limit", 20))
    if not 1 <= limit <= 100:
        raise NotFound("Invalid 'limit': expected a value from 1 to 100.", status=400)
    items = [{"id": f"msg_in{at}", "type": "message", **item} for at, item in enumerate(entry.given)]
    if request.query.get("order", "desc") == "desc":
        items.reverse()
    page = items[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return _json({"object": "list", "data": page, **ends, "has_more": len(items) > limit})


async def cancel(request: web.Request, entry: Entry) -> web.StreamResponse:
    if not entry.whole["background"]:
        raise NotFound("Only a response in the background can be cancelled.", status=400)
    if not entry.is_over:
        entry.is_cancelled = True
    return _json(entry.shown())


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")
