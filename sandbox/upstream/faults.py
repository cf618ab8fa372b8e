"""Failures of an upstream, asked for by the model's name (`fault-500`, `openai/fault-hang`) or by the field
`"sandbox": {"fault": "500"}` of a request; unknown fields pass through a gateway untouched."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

WHAT = {
    "400": "400 context_length_exceeded",
    "401": "401 for the operator's key",
    "403": "403 for the operator's account",
    "429": "429 with Retry-After",
    "500": "500 with an error in OpenAI's shape",
    "503": "503 with a page of HTML",
    "garbage": "200 with something that is no JSON; in a stream, lines that are none",
    "no-usage": "no usage in the answer",
    "hang": "no answer, ever",
    "slow": "the first byte after 3 seconds",
    "eof-mid-stream": "the connection is cut in the middle of a stream, of a JSON answer too",
    "hang-mid-stream": "silence from the middle of a stream on",
    "no-done": "a stream ends without [DONE]",
    "usage-middle": "usage comes in the middle of a stream and not at its end",
    "usage-each": "a growing usage comes with each chunk",
    "error-in-stream": "an error comes as an event in the middle of a stream",
    "huge-usage": "billions of tokens are claimed",
    "zero-usage": "no tokens are claimed",
}
ERRORS: dict[str, tuple[int, str, str, str]] = {
    "400": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8 tokens.",
    ),
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-up****abcd."),
    "403": (403, "insufficient_permissions", "unsupported_country", "Organization org-sandbox may not use this model."),
    "429": (429, "rate_limit_exceeded", "rate_limit_exceeded", "Rate limit reached. Please try again in 2s."),
    "500": (500, "server_error", "", "The server had an error while processing your request."),
}


def error(status: int, kind: str, code: str, message: str, *, retry_after: int = 0) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code or None}}
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def name_of(body: dict[str, Any]) -> str:
    """The fault a request asks for, or nothing."""
    asked = body.get("sandbox")
    if isinstance(asked, dict) and asked.get("fault"):
        return str(asked["fault"])
    bare = str(body.get("model", "")).rpartition("/")[2]
    return bare.removeprefix("fault-") if bare.startswith("fault-") else ""


async def refusal(name: str) -> web.StreamResponse | None:
    """The answer of a fault that happens before the model speaks."""
    if name in ERRORS:
        return error(*ERRORS[name], retry_after=2 if name == "429" else 0)
    if name == "503":
        page = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
        return web.Response(text=page, status=503, content_type="text/html")
    if name == "hang":
        await asyncio.sleep(3600)
    if name == "slow":
        await asyncio.sleep(3)
    return None


def bent_usage(name: str, usage: dict[str, Any]) -> dict[str, Any] | None:
    """What is claimed instead of the truth."""
    if name == "no-usage":
        return None
    if name == "huge-usage":
        billions = 4_000_000_000
        return {**usage, "prompt_tokens": billions, "completion_tokens": billions, "total_tokens": 2 * billions}
    if name == "zero-usage":
        return {**usage, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return usage
