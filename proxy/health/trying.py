"""Whether an upstream works as it is entered: its list of models is asked for, which costs nothing."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from time import monotonic

import aiohttp
from django.conf import settings

from core.clock import database_now
from core.outside import outside
from proxy.gateway.routes import LISTINGS
from proxy.health import rows
from proxy.health.tally import Last
from proxy.models import Upstream
from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.relay import errors
from proxy.relay.cleaning import cleaned
from proxy.relay.client import LOST, Client

SECONDS = 8.0
MOST_BYTES = 65_536
NO_LIST = frozenset({404, 405, 501})
"""Servers without a list: whether they know the key, that does not tell."""


class Outcome(Enum):
    WORKS = "works"
    FAILS = "fails"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Tried:
    """`status` is 0 where no answer came; `text` are the upstream's words, cleaned."""

    outcome: Outcome
    status: int = 0
    text: str = ""
    seconds: float = 0.0


def try_upstream(upstream_id: int) -> Tried:
    """Ask, note what came of it, and say it. Raises `Upstream.DoesNotExist`."""
    upstream = Upstream.objects.get(pk=upstream_id)
    destination = Destination(
        model="",
        upstream_id=upstream.pk,
        upstream=upstream.name,
        protocol=upstream.protocol,
        base_url=upstream.base_url,
        api_key=upstream.api_key,
        upstream_model="",
        timeout=SECONDS,
        total_timeout=SECONDS,
    )
    with outside():
        tried = asyncio.run(_ask(destination, LISTINGS[upstream.protocol](destination)))
    now = database_now()
    if tried.outcome is Outcome.WORKS:
        rows.write({}, {upstream_id: Last(answered_at=now)}, cooling={})
    elif tried.outcome is Outcome.FAILS:
        rows.write({}, {upstream_id: Last(failed_at=now, status=tried.status, text=tried.text)}, cooling={})
    return tried


async def _ask(destination: Destination, sending: Sending) -> Tried:
    client, began = Client(allow_private=settings.ALLOW_PRIVATE_UPSTREAMS), monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            async with await client.send(destination, sending, taken=lambda: None) as response:
                status, took = response.status, monotonic() - began
                if 200 <= status < 300:
                    return Tried(Outcome.WORKS, status, seconds=took)
                if status in NO_LIST:
                    return Tried(Outcome.UNTOLD, status, seconds=took)
                body = await response.content.read(MOST_BYTES)
        text = cleaned(errors.read_body(body).sentence, secrets=errors.secrets_of(destination))
        return Tried(Outcome.FAILS, status, text, took)
    except TimeoutError:
        return Tried(Outcome.FAILS, text="timeout", seconds=monotonic() - began)
    except (aiohttp.ClientError, *LOST) as error:
        return Tried(Outcome.FAILS, text=type(error).__name__, seconds=monotonic() - began)
    finally:
        await client.close()
