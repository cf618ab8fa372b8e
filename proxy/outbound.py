"""The way to an upstream that takes the request: in order of priority, before the first byte, under one hold."""

import logging
from datetime import UTC, datetime
from time import monotonic

import aiohttp

from proxy import metrics, upstream_errors
from proxy.catalog import Destination, Entry
from proxy.errors import Refusal
from proxy.models import Generation
from proxy.protocols.base import Call
from proxy.protocols.openai import chat
from proxy.upstream import Client

log = logging.getLogger(__name__)

CHAT = "/chat/completions"
MOST_ERROR_BYTES = 65_536
MOST_ATTEMPTS = 3
"""At one upstream: once, and again without a field that it does not take, of the two kinds that there are."""
Reason = Generation.Reason


class NoUpstream(Exception):
    """Nobody took the request: what to tell the caller, and the reason to record."""

    def __init__(self, refusal: Refusal, reason: Generation.Reason) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = reason


class BrokenEarly(Exception):
    """An upstream that took the request gave nothing to relay: another may be tried."""

    def __init__(self, refusal: Refusal, reason: Generation.Reason) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = reason


class Way:
    """One request's way over its upstreams, each tried once; those that cool down after failures in a row come last."""

    def __init__(self, client: Client, entry: Entry, call: Call, *, output_limit: int) -> None:
        self._client = client
        self._cooldown = client.cooldown
        self._call = call
        self._output_limit = output_limit
        self._left = iter(self._cooldown.order(entry.destinations, now=monotonic()))
        self._refusal = Refusal(503, "provider_unavailable", "No upstream serves this model at the moment.")
        self._reason: Generation.Reason | None = None

    async def open(self) -> tuple[aiohttp.ClientResponse, Destination]:
        """The next upstream that answers with success; raises `NoUpstream` with what the last one said."""
        for destination in self._left:
            self._cooldown.begins(destination, now=monotonic())
            self._reason, is_final = None, False
            for _attempt in range(MOST_ATTEMPTS):
                response = await self._post(destination)
                if response is None:
                    break
                if response.status < 300:
                    metrics.upstream_requests(metrics.model_label(destination.model), destination.upstream).inc()
                    return response, destination
                if response.status < 500:
                    self._cooldown.answered(destination)
                else:
                    self._cooldown.failed(destination, now=monotonic(), is_reached=True)
                async with response:
                    self._refusal, is_final = await _refused(response, destination, own=self._call.rest)
                if not (is_final and self._learns(destination)):
                    break
            if is_final:
                break
        reason = Reason.TIMEOUT if self._refusal.status == 504 else Reason.UPSTREAM_ERROR
        raise NoUpstream(self._refusal, self._reason or reason)

    async def _post(self, destination: Destination) -> aiohttp.ClientResponse | None:
        """Its answer's head; None where there was none."""
        habits = self._client.habits.get(_route(destination), chat.UNKNOWN)
        body = chat.upstream_body(self._call, destination, output_limit=self._output_limit, habits=habits)
        try:
            return await self._client.post(destination, CHAT, body)
        except TimeoutError as error:
            self._failed(destination, "timeout", is_reached=not isinstance(error, aiohttp.ConnectionTimeoutError))
            self._refusal = Refusal(504, "provider_timeout", "The model's provider did not answer in time.")
        except (aiohttp.ClientError, OSError) as error:
            log.warning("upstream %s: %s", destination.upstream, type(error).__name__)
            self._failed(destination, "connection", is_reached=not isinstance(error, aiohttp.ClientConnectorError))
            retry = {"Retry-After": "5"}
            self._refusal = Refusal(
                503, "provider_unavailable", "The model's provider cannot be reached.", headers=retry
            )
        return None

    def _learns(self, destination: Destination) -> bool:
        """Whether it refused exactly a field that we added, which is remembered for the route."""
        if self._refusal.status not in (400, 422):
            return False
        known = self._client.habits.get(_route(destination), chat.UNKNOWN)
        habits = chat.after_refusal(
            self._call, destination, known, words=self._refusal.message, param=self._refusal.param or ""
        )
        if habits is None or habits == known:
            return False
        log.warning("upstream %s does not take a field of ours: %s", destination.upstream, habits)
        self._client.habits[_route(destination)] = habits
        return True

    def answered(self, destination: Destination) -> None:
        """A whole answer has come of it."""
        self._cooldown.answered(destination)

    def broke_late(self, destination: Destination) -> None:
        """It failed after something of its answer was relayed."""
        self._cooldown.failed(destination, now=monotonic(), is_reached=True)

    def broke(self, destination: Destination, broken: BrokenEarly) -> None:
        """It began with success and failed before anything could be relayed."""
        self._cooldown.failed(destination, now=monotonic(), is_reached=True)
        self._refusal, self._reason = broken.refusal, broken.reason

    def sentence(self, error: object, destination: Destination) -> str:
        """The words of an error that came with success, for the caller."""
        return upstream_errors.sentence_of(error, destination=destination, own=self._call.rest)

    def _failed(self, destination: Destination, kind: str, *, is_reached: bool) -> None:
        count_error(destination, kind)
        self._cooldown.failed(destination, now=monotonic(), is_reached=is_reached)


def _route(destination: Destination) -> tuple[str, str]:
    return destination.base_url, destination.upstream_model


def count_error(destination: Destination, kind: str) -> None:
    metrics.UPSTREAM_ERRORS.labels(metrics.model_label(destination.model), destination.upstream, kind).inc()


async def _refused(response: aiohttp.ClientResponse, destination: Destination, *, own: bytes) -> tuple[Refusal, bool]:
    """What an upstream's refusal means for the caller, and whether another upstream would say the same."""
    status = response.status
    count_error(destination, str(status) if 300 <= status < 600 else "odd")
    if status in upstream_errors.OPERATORS_PROBLEM or 300 <= status < 400:
        # Its words name keys and accounts: not even the log has them.
        log.error("upstream %s answers %s", destination.upstream, status)
        return Refusal(502, "provider_error", "The model's provider refused the gateway's request."), False
    wait = response.headers.get("Retry-After", "")
    if status in upstream_errors.BUSY or status == 529 or (status == 503 and wait):
        return upstream_errors.busy(status, wait, now=datetime.now(UTC)), False
    if status >= 500:
        return Refusal(502, "provider_error", f"The model's provider failed ({status})."), False
    try:
        body = await response.content.read(MOST_ERROR_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError):
        body = b""
    return upstream_errors.callers_fault(status, body, destination=destination, own=own), True
