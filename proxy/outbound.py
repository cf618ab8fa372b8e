"""The way to an upstream that takes the request: in order of priority, before the first byte, under one hold."""

import logging
from time import monotonic

import aiohttp
import orjson

from proxy import metrics
from proxy.catalog import Destination, Entry
from proxy.errors import Refusal, cleaned
from proxy.models import Generation
from proxy.protocols import openai
from proxy.protocols.base import Call
from proxy.upstream import Client

log = logging.getLogger(__name__)

CHAT = "/chat/completions"
OPERATORS_PROBLEM = frozenset({401, 402, 403, 404, 405, 407})
TRY_ANOTHER = frozenset({408, 425, 429})
MOST_ERROR_BYTES = 65_536
Reason = Generation.Reason


class NoUpstream(Exception):
    """Nobody took the request: what to tell the caller, and the reason to record."""

    def __init__(self, refusal: Refusal, reason: Generation.Reason) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = reason


async def open_upstream(
    client: Client, entry: Entry, call: Call, *, output_limit: int
) -> tuple[aiohttp.ClientResponse, Destination]:
    """The first upstream that answers with success; raises `NoUpstream` with what the last one said.

    Those that cool down after failures in a row are tried last.
    """
    cooldown = client.cooldown
    refusal = Refusal(503, "provider_unavailable", "No upstream serves this model at the moment.")
    for destination in cooldown.order(entry.destinations, now=monotonic()):
        cooldown.begins(destination, now=monotonic())
        body = openai.upstream_body(call, upstream_model=destination.upstream_model, output_limit=output_limit)
        try:
            response = await client.post(destination, CHAT, body)
        except TimeoutError as error:
            count_error(destination, "timeout")
            is_reached = not isinstance(error, aiohttp.ConnectionTimeoutError)
            cooldown.failed(destination, now=monotonic(), is_reached=is_reached)
            refusal = Refusal(504, "provider_timeout", "The model's provider did not answer in time.")
            continue
        except (aiohttp.ClientError, OSError) as error:
            log.warning("upstream %s: %s", destination.upstream, type(error).__name__)
            count_error(destination, "connection")
            cooldown.failed(
                destination, now=monotonic(), is_reached=not isinstance(error, aiohttp.ClientConnectorError)
            )
            retry = {"Retry-After": "5"}
            refusal = Refusal(503, "provider_unavailable", "The model's provider cannot be reached.", headers=retry)
            continue
        if response.status < 500:
            cooldown.answered(destination)
        else:
            cooldown.failed(destination, now=monotonic(), is_reached=True)
        if response.status < 300:
            metrics.UPSTREAM_REQUESTS.labels(metrics.model_label(destination.model), destination.upstream).inc()
            return response, destination
        async with response:
            refusal, is_final = await _refused(response, destination)
        if is_final:
            break
    raise NoUpstream(refusal, Reason.TIMEOUT if refusal.status == 504 else Reason.UPSTREAM_ERROR)


def count_error(destination: Destination, kind: str) -> None:
    metrics.UPSTREAM_ERRORS.labels(metrics.model_label(destination.model), destination.upstream, kind).inc()


async def _refused(response: aiohttp.ClientResponse, destination: Destination) -> tuple[Refusal, bool]:
    """What an upstream's refusal means for the caller, and whether another upstream would say the same."""
    status = response.status
    count_error(destination, str(status) if 300 <= status < 600 else "odd")
    try:
        text = (await response.content.read(MOST_ERROR_BYTES)).decode("utf-8", "replace")
    except (aiohttp.ClientError, OSError, TimeoutError):
        text = ""
    if status in OPERATORS_PROBLEM or 300 <= status < 400:
        log.error("upstream %s answers %s: %s", destination.upstream, status, cleaned(text))
        return Refusal(502, "provider_error", "The model's provider refused the gateway's request."), False
    if status in TRY_ANOTHER:
        wait = response.headers.get("Retry-After", "")
        retry = {"Retry-After": wait if wait.isdigit() and len(wait) < 5 else "5"}
        return Refusal(503, "provider_unavailable", "The model's provider is busy.", headers=retry), False
    if status >= 500:
        return Refusal(502, "provider_error", f"The model's provider failed ({status})."), False
    return _callers_fault(status, text), True


def _callers_fault(status: int, text: str) -> Refusal:
    """An upstream's 4xx about the request, in our shape."""
    try:
        error = orjson.loads(text)["error"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        error = text
    param = error.get("param") if isinstance(error, dict) else None
    code = "request_too_large" if status == 413 else "validation_error"
    return Refusal(status, code, error_text(error), param=param if isinstance(param, str) else None)


def error_text(error: object) -> str:
    """The words of an upstream's error object, cleaned."""
    message = error.get("message") if isinstance(error, dict) else error
    return cleaned(message) if isinstance(message, str) and message.strip() else "The model's provider failed."
