"""An upstream's answer that is none: what it means for the caller, and what has failed by it."""

import contextlib
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp

from core.records import value
from proxy.batches.timeouts import timeout
from proxy.errors import Refusal
from proxy.kept.rows import unknown
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.base import Call
from proxy.protocols.framing import unpacked
from proxy.relay import errors
from proxy.relay.choosing.cooldown import Failed
from proxy.relay.cleaning import cleaned
from proxy.relay.client import LOST
from proxy.watch import metrics

log = logging.getLogger(__name__)

MOST_ERROR_BYTES = 1_000_000
"""Servers that repeat the request in it say what is wrong before or after that."""
ERROR_SECONDS = 5.0
"""For an error's body; what has come by then is read."""
TOLD_SECONDS = 1.0
"""For words that staff alone read, which keep the next upstream waiting."""
REFUSED = "The model's provider refused the gateway's request."
ACCOUNTS = frozenset({401, 402})
"""About the key in use: it is not known, or has no credit."""
NOWHERE = frozenset({404, 405})
"""The path is not there, unless the answer is about the model."""
OF_PATHS = re.compile(r"\b(?:url|path|route|endpoint|method|file not found|cannot post)\b", re.IGNORECASE)
ROUTES = frozenset({403, 404, 405})
"""The model or the path is not there, or not for this key."""


class NotThere(Refusal):
    """An upstream has no such path: another may, and to ask this one again is of no use."""

    @property
    def is_final(self) -> bool:
        return False


@value
class Refused:
    """`refusal` is for the caller. `body` where it was read; `failed` is None where the upstream did its part."""

    refusal: Refusal
    body: bytes = b""
    failed: Failed | None = None
    is_callers: bool = False
    """It answered as it should: what was asked cannot be."""
    said: str = ""
    """Its words, for staff."""


async def read_refusal(response: aiohttp.ClientResponse, destination: Destination, call: Call) -> Refused:
    """What is final any other upstream would say too."""
    refused = await _read(response, destination, call)
    return replace(
        refused,
        is_callers=refused.refusal.is_final and refused.failed is None,
        said=cleaned(errors.read_body(refused.body).sentence, secrets=errors.secrets_of(destination)),
    )


async def _read(response: aiohttp.ClientResponse, destination: Destination, call: Call) -> Refused:
    status, body, own = response.status, b"", call.rest
    count_error(destination, str(status) if 300 <= status < 600 else "odd")
    if status == 404 and call.references:
        body = await _error_body(response, seconds=min(ERROR_SECONDS, destination.timeout))
        gone = [name for name in call.references if not call.model or name.encode() in body]
        if gone:
            return Refused(unknown(*gone), body)
    if status in NOWHERE:
        body = body or await _error_body(response, seconds=min(ERROR_SECONDS, destination.timeout))
        if _is_about_the_path(body):
            log.error("upstream %s answers %s: it has no such path", destination.upstream, status)
            words = f"{destination.model} is not served at this path: its provider has nothing there."
            return Refused(NotThere(404, "model_not_found", words, param="model"), body, failed=_failed_of(status))
    if status in errors.OPERATORS_PROBLEM or 300 <= status < 400:
        # Its words name keys and accounts: not even the log has them, and staff read them cleaned.
        log.error("upstream %s answers %s", destination.upstream, status)
        body = body or await _error_body(response, seconds=min(TOLD_SECONDS, destination.timeout))
        return Refused(Refusal(502, "provider_error", REFUSED), body, failed=_failed_of(status))
    wait = response.headers.get("Retry-After", "")
    if status not in errors.BUSY:
        body = await _error_body(response, seconds=min(ERROR_SECONDS, destination.timeout))
        if status == 400 and errors.OPERATORS_REASON.search(body):
            log.error("upstream %s answers %s", destination.upstream, status)
            return Refused(Refusal(502, "provider_error", REFUSED), body, failed=Failed.ACCOUNT)
        if status < 500:
            return Refused(errors.callers_fault(status, body, destination=destination, own=own), body)
        if fault := errors.of_failure(body, destination=destination, own=own):
            return Refused(fault, body)
    failed = None if status < 500 else Failed.ROUTE
    if status in errors.BUSY or status == 529 or (status == 503 and wait):
        return Refused(errors.busy(status, wait, now=datetime.now(UTC)), body, failed)
    return Refused(Refusal(502, "provider_error", f"The model's provider failed ({status})."), body, failed)


def count_error(destination: Destination, kind: str) -> None:
    metrics.UPSTREAM_ERRORS.labels(metrics.model_label(destination.model), destination.upstream, kind).inc()


def _is_about_the_path(body: bytes) -> bool:
    """Whether nothing at that address speaks a protocol of models: what does has an `error` about the model."""
    said = lossless.loaded(body)
    error = said.get("error") if isinstance(said, dict) else None
    return not isinstance(error, dict) or OF_PATHS.search(str(error.get("message"))) is not None


def _failed_of(status: int) -> Failed | None:
    if status in ACCOUNTS:
        return Failed.ACCOUNT
    return Failed.ROUTE if status in ROUTES or status < 400 else None


async def _error_body(response: aiohttp.ClientResponse, *, seconds: float) -> bytes:
    """What comes of it in that time."""
    pieces, size = [], 0
    with contextlib.suppress(*LOST, TimeoutError), timeout(seconds):
        while size < MOST_ERROR_BYTES and (piece := await response.content.readany()):
            pieces.append(piece)
            size += len(piece)
    return unpacked(b"".join(pieces), response.headers.get("Content-Encoding", ""), most=MOST_ERROR_BYTES)
