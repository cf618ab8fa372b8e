"""An answer in one piece: read whole, metered, then given to the caller."""

from typing import TYPE_CHECKING, Any

import aiohttp

from proxy import lossless
from proxy.catalog import Destination
from proxy.errors import Refusal
from proxy.framing import framed
from proxy.http import ClientGone
from proxy.models import Generation
from proxy.outbound import BrokenEarly, count_error
from proxy.protocols.openai import chat
from proxy.sse import END, Splitter
from proxy.upstream import LOST, read_all

if TYPE_CHECKING:
    from proxy.relay import Relay

Reason = Generation.Reason


async def relay_json(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    try:
        raw = await _read(response)
        answer = lossless.load(raw)
    except TimeoutError:
        count_error(destination, "timeout")
        refusal = Refusal(504, "provider_timeout", "The model's provider did not answer in time.")
        raise BrokenEarly(refusal, Reason.TIMEOUT) from None
    except LOST:
        count_error(destination, "eof")
        refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
        raise BrokenEarly(refusal, Reason.UPSTREAM_EOF) from None
    except ValueError:
        count_error(destination, "garbage")
        refusal = Refusal(502, "provider_error", "The model's provider sent an answer that is not JSON.")
        raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR) from None
    failure = _failure(relay, answer, destination)
    if not isinstance(answer, dict):
        answer = {}
    reported = chat.read_answer(answer)
    produced = 0 if reported.is_counted and failure is None else chat.produced_bytes(answer)
    if failure is not None:
        count_error(destination, "error")
        if not produced:
            raise BrokenEarly(failure, Reason.UPSTREAM_ERROR)
        relay.way.broke_late(destination)
    else:
        relay.way.answered(destination)
    reason = Reason.COMPLETED if failure is None else Reason.UPSTREAM_ERROR
    record = relay.record(response, destination, reported, produced_bytes=produced, reason=reason)
    try:
        await relay.meter(record)
    except TimeoutError:
        raise Refusal(
            503,
            "provider_unavailable",
            f"The answer is there but its usage could not be written. See {record.generation_id}.",
        ) from None
    if relay.is_gone:
        raise ClientGone
    body = chat.decorate(raw, answer, reported, relay.receipt(record), record.usage, failure)
    await relay.exchange.answer(200, body, relay.headers)


def _failure(relay: "Relay", answer: Any, destination: Destination) -> Refusal | None:
    """What is wrong with an answer that came with success."""
    is_answer = isinstance(answer, dict) and chat.is_answer(answer)
    failed = chat.failure_in(answer) if is_answer else chat.failure_of(answer)
    return None if failed is None else Refusal(502, "provider_error", relay.way.sentence(failed, destination))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer in one piece, whatever its framing; raises `Garbled`, and as `read_all`."""
    is_stream, first, rest = await framed(response)
    if not is_stream:
        return await read_all(first, rest)
    assembly, splitter = chat.Assembly(), Splitter()
    events = splitter.feed(await read_all(first, rest))
    assembly.take(events)
    assembly.take(splitter.rest.rstrip() + END)
    if not assembly.is_complete:
        raise aiohttp.ClientPayloadError("the stream broke off")
    return lossless.dump(assembly.whole())
