"""An answer in one piece: read whole, metered, then given to the caller."""

from typing import TYPE_CHECKING

import aiohttp
import orjson

from proxy.catalog import Destination
from proxy.errors import Refusal
from proxy.http import ClientGone
from proxy.models import Generation
from proxy.outbound import BrokenEarly, count_error, error_text
from proxy.protocols.openai import chat
from proxy.upstream import LOST, read_all

if TYPE_CHECKING:
    from proxy.relay import Relay

Reason = Generation.Reason


async def relay_json(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    try:
        answer = orjson.loads(await read_all(response))
        if not isinstance(answer, dict):
            raise orjson.JSONDecodeError("not an object", "", 0)
    except TimeoutError:
        count_error(destination, "timeout")
        refusal = Refusal(504, "provider_timeout", "The model's provider did not answer in time.")
        raise BrokenEarly(refusal, Reason.TIMEOUT) from None
    except LOST:
        count_error(destination, "eof")
        refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
        raise BrokenEarly(refusal, Reason.UPSTREAM_EOF) from None
    except orjson.JSONDecodeError:
        count_error(destination, "garbage")
        refusal = Refusal(502, "provider_error", "The model's provider sent an answer that is not JSON.")
        raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR) from None
    if "error" in answer and not answer.get("choices"):
        count_error(destination, "error")
        refusal = Refusal(502, "provider_error", error_text(answer["error"]))
        raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR)
    relay.way.answered(destination)
    reported = chat.read_answer(answer)
    relayed = sum(len(text.encode()) for text in chat.texts(answer)) if reported.usage is None else 0
    record = relay.record(destination, reported, relayed_bytes=relayed, reason=Reason.COMPLETED)
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
    if reported.usage is None:
        answer["usage"] = chat.usage_dict(record.usage)
    body = chat.decorate(answer, relay.receipt(record))
    await relay.exchange.answer(200, body, relay.headers)
