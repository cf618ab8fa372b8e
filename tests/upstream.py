"""A model on the wire, scripted by the test: what it answers, when it pauses, how it fails."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    body = {
        "id": "chatcmpl-theirs",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-2026",
        "choices": [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return b"data: " + orjson.dumps(body) + b"\n\n"


def usage(prompt: int = 20, completion: int = 5, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


STREAM = (
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": word}) for word in ("one ", "two ", "three ")),
    chunk({}, finish="stop"),
    chunk(None, usage=usage()),
    b"data: [DONE]\n\n",
)


MESSAGE = {"role": "assistant", "content": "one two three"}


def answer(**more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-theirs",
        "object": "chat.completion",
        "created": 1,
        "model": "m-2026",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "one two three"}, "finish_reason": "stop"}
        ],
        "usage": usage(),
        **more,
    }


class FakeUpstream:
    """An HTTP server in a thread. Set `handler`, `json` or `events`; read `calls`."""

    def __init__(
        self,
        protocol: str = "openai",
        *,
        json: Any = None,
        events: Iterable[bytes] = STREAM,
        paths: Sequence[str] = (),
    ) -> None:
        self.protocol = protocol
        self.paths = paths
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.json: Any = json or answer()
        self.status = 200
        self.keeps = False
        self.events: list[bytes | float] = list(events)
        self.handler: Handler | None = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._started.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        application = web.Application(client_max_size=2**28)
        application.router.add_post("/v1/{path:.+}", self._answer)
        application.router.add_get("/v1/{path:.+}", self._kept)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=128)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        is_form = request.content_type.startswith("multipart/")
        body = await form_of(request) if is_form else orjson.loads(await request.read())
        self.calls.append(body)
        self.headers.append(dict(request.headers))
        if self.handler is not None:
            return await self.handler(request)
        if not asks_stream(request, body) or self.status >= 300:
            return web.Response(body=orjson.dumps(self.json), status=self.status, content_type="application/json")
        return await stream(request, self.events)

    async def _kept(self, request: web.Request) -> web.StreamResponse:
        """What it answered, once more, where it keeps that; its list of models as the test has it."""
        if self.handler is not None and request.path == "/v1/models":
            return await self.handler(request)
        if not self.keeps:
            raise web.HTTPNotFound
        if request.query.get("stream") == "true":
            return await stream(request, self.events)
        return web.json_response(self.json)


async def form_of(request: web.Request) -> dict[str, Any]:
    """A form's fields by name, those of a list in their order; a file as its name, its kind and its bytes."""
    said: dict[str, Any] = {}
    for name, held in (await request.post()).items():
        part = held if isinstance(held, str) else (held.filename, held.content_type, held.file.read())
        if name.endswith("[]"):
            said.setdefault(name, []).append(part)
        else:
            assert name not in said, f"{name} stands twice"
            said[name] = part
    return said


def asks_stream(request: web.Request, body: dict[str, Any]) -> bool:
    return body.get("stream") in (True, "true") or ":stream" in request.path


async def stream(request: web.Request, events: list[bytes | float]) -> web.StreamResponse:
    """Send events; a number is a pause in seconds."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        if isinstance(event, float):
            await asyncio.sleep(event)
        elif callable(event):
            await asyncio.to_thread(event)
        else:
            await response.write(event)
    return response
