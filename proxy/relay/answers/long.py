"""Long answers in one piece: those of which a list is nearly all go on as they come, their ends kept back until METER.

Of any other what a process has in memory stays within a budget, and the next one waits unread. A share is taken once
and for the whole of an answer, so that none that was begun waits for another.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.errors import Refusal
from proxy.exchange import ClientGone
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols.base import Manner, Reported
from proxy.protocols.endpoint import Dialect
from proxy.relay.answers.budget import AnswerBudget
from proxy.relay.answers.pieces import Pieces
from proxy.relay.client import MOST_ANSWER_BYTES
from proxy.relay.refusals import count_error
from proxy.settlement.metering import Unwritten

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

LONG_ANSWER = 1_000_000
"""Bytes; shorter ones take no share."""
JSON = (b"content-type", b"application/json")
Reason = Generation.Reason


async def beginning(first: bytes, rest: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """A body's beginning, and whether it is the whole: it is unless it is long."""
    pieces, size = [first], len(first)
    while size <= LONG_ANSWER:
        piece = await anext(rest, b"")
        if not piece:
            return b"".join(pieces), True
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces), False


def begun(data: bytes, dialect: Dialect[Any], manner: Manner) -> Pieces | None:
    """A long answer that may be relayed as it comes: by its beginning it is one. None where it has to be read whole."""
    if not dialect.holds:
        return None
    pieces = Pieces(manner, usage=dialect.usage_member)
    try:
        pieces.feed(data)
    except ValueError:
        return None
    return None if dialect.failure(pieces.answer) is not None else pieces


async def relay_pieces(relay: "Relay", pieces: Pieces, rest: AsyncIterator[bytes]) -> None:
    """Raises `ValueError` for what is no JSON; `aiohttp.ClientPayloadError` where it breaks off, and beyond 64 MB."""
    size = LONG_ANSWER
    await _write(relay, pieces.ready())
    async for piece in rest:
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
        pieces.feed(piece)
        if ready := pieces.ready():
            await _write(relay, ready)
    if not pieces.is_complete:
        raise aiohttp.ClientPayloadError("the answer broke off")


async def end_pieces(
    relay: "Relay",
    response: aiohttp.ClientResponse,
    destination: Destination,
    pieces: Pieces,
    broken: tuple[str, Refusal, Generation.Reason] | None,
) -> None:
    """METER, then the end. What is `broken`, by its kind, is of no use: nobody pays for it, and it is cut."""
    dialect, call = relay.failover.dialect(destination), relay.call
    reported, produced, reason = Reported(None), 0, Reason.COMPLETED
    if broken is None and (failed := dialect.failure(pieces.answer)) is not None:
        broken = "error", relay.failover.refusal_of(failed, destination), Reason.UPSTREAM_ERROR
    if broken is None:
        relay.failover.answered(destination)
        reported = dialect.read_answer(call, pieces.answer)
        produced = 0 if reported.is_counted else dialect.produced_bytes(pieces.answer)
    else:
        kind, refusal, reason = broken
        count_error(destination, kind)
        relay.failover.ended_with(destination, refusal)
    record = relay.record(response.headers, destination, reported, produced_bytes=produced, reason=reason)

    def last() -> bytes:
        return pieces.ending(dialect.ending(pieces.answer, reported, relay.charged(record), record.usage))

    try:
        end = await relay.meter(record, last if broken is None else bytes)
    except Unwritten:
        raise ClientGone from None  # cut: its end must not leave
    if broken is not None:
        raise ClientGone  # cut where the upstream was
    await relay.exchange.end(end)


async def _write(relay: "Relay", piece: bytes) -> None:
    if relay.is_gone:
        return
    try:
        if not relay.exchange.started:
            await relay.exchange.start(200, [JSON, *relay.headers])
        await relay.exchange.write(piece)
    except ClientGone:
        relay.client_left()


class Share:
    """One answer's; `give_back` when it has gone on."""

    def __init__(self, budget: AnswerBudget) -> None:
        self._budget = budget
        self._taken = 0

    async def read(self, first: bytes, rest: AsyncIterator[bytes], *, expected: int | None) -> bytes:
        """The body, of `expected` bytes if that is told; raises `aiohttp.ClientPayloadError` beyond 64 MB."""
        pieces, size = [first], len(first)
        if size > LONG_ANSWER:
            await self._take(expected)
        async for piece in rest:
            pieces.append(piece)
            size += len(piece)
            if size > MOST_ANSWER_BYTES:
                raise aiohttp.ClientPayloadError("the answer is too long")
            if size > LONG_ANSWER and not self._taken:
                await self._take(expected)
        return b"".join(pieces)

    def give_back(self) -> None:
        if self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    async def _take(self, expected: int | None) -> None:
        size = min(expected or MOST_ANSWER_BYTES, MOST_ANSWER_BYTES)
        await self._budget.take(size)
        self._taken = size
