"""An upstream that answers bytes as they are given, under any label."""

from typing import Any

from aiohttp import web

from proxy.protocols import lossless
from tests.upstream import FakeUpstream


def answers(upstream: FakeUpstream, body: bytes, *, label: str = "application/json", **headers: str) -> None:
    """From now on `upstream` answers with these bytes and 200, whatever it is asked."""

    async def handler(request: web.Request) -> web.StreamResponse:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        response = web.StreamResponse(headers={"Content-Type": label, **more})
        await response.prepare(request)
        await response.write(body)
        await response.write_eof()
        return response

    upstream.handler = handler


def told(gateway: Any, *, stream: bool, **body: Any) -> tuple[int, list[Any], dict[str, str]]:
    """The status, the answer or the stream's events as JSON without [DONE], and the headers."""
    if not stream:
        response = gateway.chat(**body)
        return response.status_code, [response.json()], response.headers
    with gateway.stream(**body) as response:
        text = response.read().decode()
    if not response.headers["content-type"].startswith("text/event-stream"):
        return response.status_code, [response.json()], response.headers
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return response.status_code, [lossless.load(line.encode()) for line in lines if line != "[DONE]"], response.headers


def words(events: list[Any]) -> str:
    """What was said, in an answer or in a stream's events."""
    said = ""
    for event in events:
        for choice in event.get("choices") or ():
            said += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    return said
