"""Requests that name what an upstream keeps: they go to the account that keeps it, or nowhere."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from proxy.batches.threads import in_thread
from proxy.errors import Refusal, unavailable
from proxy.kept import jobs, looking, rows
from proxy.kept.jobs import Open
from proxy.kept.keeping import Keeper
from proxy.kept.rows import Found
from proxy.prices.catalog import Catalog, Destination
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint
from proxy.relay.answers.free import Before
from proxy.relay.choosing.cooldown import Cooldown
from proxy.relay.client import Client


async def pinned(call: Call, *, customer_id: int) -> tuple[Call, Found]:
    """The request at the account of what it names, with what that brings as input. Raises `Refusal`."""
    found = await in_thread(rows.find)(customer_id=customer_id, names=call.references)
    return replace(call, account=found.account, material=replace(call.material, kept=found.tokens)), found


async def before_answer(
    endpoint: Endpoint[Any], call: Call, found: Found, *, customer_id: int, client: Client
) -> Before | None:
    """What is to be done with an answer about what is kept before its caller sees it: a job is metered that it tells
    the end of, what is deleted is forgotten. Raises `Refusal` 409 for the deletion of a job that is not over.
    """
    job = await in_thread(jobs.find)(found.generation_ids[0])
    keeper = next((dialect.keeper for dialect in endpoint.dialects.values() if dialect.keeper is not None), None)
    if endpoint.forgets:
        if job is not None and keeper is not None:
            await looking.look_at(job, lambda _path, _protocol: keeper, client)
            if await in_thread(jobs.find)(job.generation_id) is not None:
                words = f"{call.references[0][:100]!r} is still being worked on: cancel it first."
                raise Refusal(409, "state_conflict", words)
        return partial(_forget, call, customer_id)
    return None if job is None or keeper is None else partial(_meter, job, keeper)


async def known_here(found: Found, catalog: Catalog) -> str:
    """What the model of a kept answer is called here, if its account has another name for it; "" where it has not."""
    entry = catalog.find(await in_thread(rows.model_of)(found.generation_ids[0]))
    if entry is None or not any(way.is_renamed for way in entry.destinations if way.account == found.account):
        return ""
    return entry.slug


async def _forget(call: Call, customer_id: int, _answer: bytes) -> None:
    for name in call.references:
        await in_thread(rows.forget)(customer_id=customer_id, name=name)


async def _meter(job: Open, keeper: Keeper, answer: bytes) -> None:
    await in_thread(looking.told)(job, keeper, answer)


def refuse_unreachable(
    call: Call, destinations: Sequence[Destination], *, path: str, catalog: Catalog, cooldown: Cooldown
) -> None:
    """Before anything is held. `destinations` are those of the request at its account: raises `Refusal` where there is
    none, or where each of them cools after failures, as no other account could answer.
    """
    if not destinations:
        if call.model and catalog.at_account(call.account):
            words = f"{call.model} is not served where what this request names is kept."
            raise Refusal(400, "validation_error", words, param="model")
        raise unavailable("What this request names is kept by a provider that does not answer here now.")
    if wait := cooldown.wait(destinations, path, now=monotonic()):
        words = "The provider that keeps what this request names fails at the moment."
        raise unavailable(words, retry_after=math.ceil(wait))
