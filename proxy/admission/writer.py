"""One connection that admits batches: read and lock, decide, write and commit, in two round trips."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from time import monotonic
from typing import Any

import psycopg

from accounts.limits import meters as limits
from accounts.limits.policy import KeyPolicy
from accounts.limits.slots import slot_of
from billing.books import holds
from billing.books.allowance import Overrun
from core.arrays import columns
from core.records import value
from proxy.admission.locked import Locked, read
from proxy.admission.rule import Ask, Decision, Extension, NoMore, TooLittle, WalletCounter, decide, extend
from proxy.batches.pipeline import Pipeline, Query
from proxy.errors import invalid_key
from proxy.ids import generation_id_at
from proxy.once import rows as once_rows
from proxy.once.rows import Twin

log = logging.getLogger(__name__)


class PolicyChanged(Exception):
    """The key or its customer has changed since its policy was read."""


@value
class Admitted:
    """A committed hold."""

    generation_id: str
    decision: Decision
    created_at: datetime
    counted_on: date
    """The day of its account on which caps count it."""


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its hold. `prepare` makes what it needs next, while the hold is being committed."""

    ask: Ask
    future: asyncio.Future[Admitted]
    prepare: Callable[[Admitted], Any]
    prepared: Any = None
    since: float = field(default_factory=monotonic)
    policy: KeyPolicy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = self.ask.policy


@dataclass(eq=False, slots=True)
class Extending:
    """A stream that wants more held; it is told how much more that is, or why there is none."""

    asked: Extension
    future: asyncio.Future[Decimal | NoMore]
    since: float = field(default_factory=monotonic)

    @property
    def policy(self) -> KeyPolicy:
        return self.asked.policy


INSERT_GENERATIONS = (
    "INSERT INTO proxy_generation (id, customer_id, key_id, model_id, price_id, lease_id, protocol, streamed, bound,"
    " held, created_at, session, guess, counted_on, state, usage_source, settlement_reason, finish_reason,"
    " input_tokens, output_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,"
    " native_input_tokens, native_output_tokens, units, is_flagged, failures)"
)
CONSTANTS = ", 'held', 'none', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 0"
ONE_ROW = "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s"
WRITE_GENERATION = f"{INSERT_GENERATIONS} VALUES ({ONE_ROW}{CONSTANTS})"
WRITE_GENERATIONS = (
    f"{INSERT_GENERATIONS} SELECT g.*{CONSTANTS} FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[],"
    " %s::bigint[], %s::bigint[], %s::text[], %s::bool[], %s::numeric[], %s::numeric[], %s::timestamptz[], %s::text[],"
    " %s::jsonb[], %s::date[]) AS g(id, customer_id, key_id, model_id, price_id, lease_id, protocol, streamed, bound,"
    " held, created_at, session, guess, counted_on)"
)
MOST_CHANGES = 64
"""Of one hold, told apart: past that a row would be written again and again, each time longer."""
EXTEND_GENERATIONS = (
    "UPDATE proxy_generation g SET held = g.held + d.more, bound = g.bound + d.bound, hold_changes ="
    f" CASE WHEN jsonb_array_length(g.hold_changes) >= {MOST_CHANGES} THEN g.hold_changes - -1"
    "  ELSE coalesce(g.hold_changes, '[]') END"
    " || jsonb_build_array(jsonb_build_array((extract(epoch FROM clock_timestamp() - g.created_at) * 1000)::bigint,"
    f"  d.why, (d.more + CASE WHEN jsonb_array_length(g.hold_changes) >= {MOST_CHANGES}"
    "   THEN (g.hold_changes -> -1 ->> 2)::numeric ELSE 0 END)::text, (g.held + d.more)::text)"
    "  || CASE WHEN d.bound <> d.more THEN jsonb_build_array(d.bound::text) ELSE '[]' END)"
    " FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[]) AS d(id, why, more, bound) WHERE g.id = d.id"
)
"""The last entry of a row that has the most of them stands for all that follow. What the bound changes by stands in it
where that is not the same, as with an input's correction, which comes first."""
FIND_GENERATIONS = "SELECT id FROM proxy_generation WHERE id = ANY(%s)"

ROUND_TRIP_SECONDS = 10.0
"""Past every limit that PostgreSQL has on queries and locks: what is silent for longer is stopped, or gone."""
CONNECTION_LOST = ("08", "57P")
"""SQLSTATE classes of a connection that broke or a server that went away."""

Grant = tuple[Waiter, Admitted]
More = tuple[Extending, Decimal]
"""A stream and what its hold grows by."""


class CommitUnknown(Exception):
    """The connection broke while COMMIT was on its way."""

    def __init__(self, grants: Sequence[Grant], more: Sequence[More]) -> None:
        self.grants = grants
        self.more = more


class Writer:
    """One connection that writes batches."""

    def __init__(self, *, lease_id: int, overrun: Overrun) -> None:
        self._pipeline: Pipeline | None = None
        self._lease_id = lease_id
        self._overrun = overrun

    async def write(
        self, waiters: Sequence[Waiter | Extending], *, wait_for_locks: bool
    ) -> tuple[list[Grant], list[More], list[Waiter | Extending]]:
        """Decide and commit; answer the refused, return what was granted, what was extended, and whose wallet is locked
        elsewhere.

        Raises psycopg errors with nothing written, or `CommitUnknown`.
        """
        pipeline = await self._connected()
        try:
            policies = [waiter.policy for waiter in waiters]
            extending = [waiter.asked.generation_id for waiter in waiters if isinstance(waiter, Extending)]
            claims = [waiter.ask.once for waiter in waiters if isinstance(waiter, Waiter) and waiter.ask.once]
            found = await read(
                pipeline, policies, extending, claims, overrun=self._overrun, wait_for_locks=wait_for_locks
            )
            locked: list[Waiter | Extending] = []
            grants: list[Grant] = []
            more: list[More] = []
            for waiter in waiters:
                if waiter.future.done():
                    continue
                wallet = found.spends_from(waiter.policy)
                if wallet is None:
                    locked.append(waiter)
                    continue
                if isinstance(waiter, Extending):
                    granted = self._extend(waiter.asked, wallet=wallet, found=found)
                    if isinstance(granted, Decimal):
                        more.append((waiter, granted))
                    else:
                        waiter.future.set_result(granted)
                    continue
                if waiter.ask.once is not None and once_rows.is_begun(waiter.ask.once, found.begun):
                    waiter.future.set_exception(Twin())
                    continue
                decided = self._decide(waiter.ask, wallet=wallet, found=found)
                if isinstance(decided, Exception):
                    waiter.future.set_exception(decided)
                    continue
                decision, day = decided
                number = generation_id_at(found.now, place=len(grants))
                grants.append((waiter, Admitted(number, decision, found.now, day)))
            if not (grants or more):
                await pipeline.round_trip([("ROLLBACK", ())])
                return [], [], locked
            await self._write(pipeline, grants, more, found=found)
        except BaseException:
            await self._reset()
            raise
        return grants, more, locked

    async def committed(self, grants: Sequence[Grant]) -> set[str]:
        """Which of these holds exist: locking their wallets waits for the backend that may still be committing."""
        pipeline = await self._connected()
        customers = sorted({waiter.ask.policy.customer_id for waiter, _ in grants})
        queries: list[Query] = [
            ("BEGIN", ()),
            (holds.LOCK_WALLETS, [customers]),
            (FIND_GENERATIONS, [[admitted.generation_id for _, admitted in grants]]),
            ("COMMIT", ()),
        ]
        try:
            *_, found, _committed = await pipeline.round_trip(queries)
            return {row[0] for row in found}
        except BaseException:
            await self._reset()
            raise

    def give_up_silence(self) -> None:
        """End a round trip that has lasted longer than anybody waits for it; called now and then."""
        if self._pipeline is not None:
            self._pipeline.give_up_silence(seconds=ROUND_TRIP_SECONDS)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()

    async def _connected(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.closed:
            self._pipeline = await Pipeline.open()
        return self._pipeline

    async def _reset(self) -> None:
        """Leave no transaction open: roll back, or give the connection up."""
        pipeline = self._pipeline
        if pipeline is None or pipeline.closed:
            return
        try:
            async with asyncio.timeout(1):
                await pipeline.round_trip([("ROLLBACK", ())])
        except (psycopg.Error, TimeoutError):
            pipeline.close()

    @staticmethod
    def _decide(ask: Ask, *, wallet: WalletCounter, found: Locked) -> tuple[Decision, date] | Exception:
        """What is held, and the day on which it counts."""
        policy = ask.policy
        key, customer, now = found.keys.get(policy.key_id), found.customers.get(policy.customer_id), found.now
        if key is None or customer is None:
            return invalid_key()
        if (key.version, customer.version) != (policy.version, policy.customer_version):
            return PolicyChanged()
        decision = decide(ask, wallet=wallet, key=key, customer=customer, now=now)
        if not isinstance(decision, Decision):
            return decision
        wallet.hold(decision)
        slot = slot_of(now)
        day = key.hold(policy, slot=slot, today=limits.today_of(policy, now), held=decision.hold)
        if policy.customer_rpm:
            customer.rate.count(slot)
        if ask.model_rpm:
            customer.model(ask.model).count(slot)
        return decision, day

    @staticmethod
    def _extend(asked: Extension, *, wallet: WalletCounter, found: Locked) -> Decimal | NoMore:
        key = found.keys.get(asked.policy.key_id)
        has_ended = asked.policy.purse and asked.policy.purse not in found.purses
        if has_ended:
            return TooLittle.BUDGET
        if key is None or asked.generation_id not in found.open_ones:
            return TooLittle.ENDED
        found.open_ones.discard(asked.generation_id)  # a request is extended once in a batch
        granted = extend(asked, wallet=wallet, key=key)
        if isinstance(granted, Decimal):
            wallet.hold_more(granted, exposing=asked.exposing)
            key.hold_more(asked.policy, counted_on=asked.day, held=granted)
        return granted

    async def _write(self, pipeline: Pipeline, grants: Sequence[Grant], more: Sequence[More], *, found: Locked) -> None:
        """Everything in one query, each part on rows of its own, and the COMMIT behind it."""
        rows = [self._row(waiter.ask, admitted) for waiter, admitted in grants]
        purse_of = {admitted.generation_id: waiter.policy.purse for waiter, admitted in grants if waiter.policy.purse}
        parts = [
            *_generations(rows),
            *_extensions(more),
            *_holds([row for row in rows if row[9]], purse_of),  # a zero estimate takes no hold
            *_purses({key: purse.held for key, purse in found.purses.items() if purse.held}),
            *_wallets({number: wallet for number, wallet in found.wallets.items() if wallet.held or wallet.exposed}),
            *limits.writes(found.keys.values(), found.customers.values(), now=found.now),
            *once_rows.write_of([(waiter.ask.once, admitted.generation_id) for waiter, admitted in grants]),
        ]
        together = _together(*[sql for sql, _ in parts])
        parameters = list(chain.from_iterable(given for _, given in parts))
        try:
            await pipeline.round_trip([(together, parameters), ("COMMIT", ())], meanwhile=lambda: _prepare(grants))
        except psycopg.OperationalError as error:
            if error.sqlstate is None or error.sqlstate.startswith(CONNECTION_LOST):
                raise CommitUnknown(grants, more) from error
            raise

    def _row(self, ask: Ask, admitted: Admitted) -> list[Any]:
        decision = admitted.decision
        return [
            admitted.generation_id,
            ask.policy.customer_id,
            ask.policy.key_id,
            ask.model_id,
            ask.price_id,
            self._lease_id,
            ask.protocol,
            ask.streamed,
            decision.bound,
            decision.hold,
            admitted.created_at,
            ask.session,
            ask.guess,
            admitted.counted_on,
        ]


def _prepare(grants: Sequence[Grant]) -> None:
    for waiter, admitted in grants:
        waiter.prepared = None  # made for a hold of another id, which was undone
        try:
            waiter.prepared = waiter.prepare(admitted)
        except Exception:
            log.exception("what follows a hold could not be prepared")  # it is tried again where it can be answered


@lru_cache
def _together(*parts: str) -> str:
    """One query of several that write."""
    return f"WITH {', '.join(f'part{number} AS ({sql})' for number, sql in enumerate(parts))} SELECT"


def _generations(rows: Sequence[Sequence[Any]]) -> list[Query]:
    if len(rows) == 1:
        return [(WRITE_GENERATION, rows[0])]
    return [(WRITE_GENERATIONS, columns(rows))] if rows else []


def _extensions(more: Sequence[More]) -> list[Query]:
    if not more:
        return []
    rows = [(one.asked.generation_id, one.asked.why, granted, granted + one.asked.exposing) for one, granted in more]
    ids, why, amounts, bounds = columns(rows)
    return [(EXTEND_GENERATIONS, (ids, why, amounts, bounds)), (holds.EXTEND_HOLDS, (ids, amounts, bounds))]


def _holds(rows: Sequence[Sequence[Any]], purse_of: Mapping[str, str]) -> list[Query]:
    """`purse_of` names the budget's hold of those that are inside one; they are written apart."""
    chosen = [(row[0], row[1], row[9], row[8], row[10]) for row in rows]
    queries: list[Query] = []
    if purse_of and (inside := [(*row, purse_of[row[0]]) for row in chosen if row[0] in purse_of]):
        queries = [(holds.PLACE_HOLDS_INSIDE, columns(inside))]
        chosen = [row for row in chosen if row[0] not in purse_of]
    if len(chosen) == 1:
        return [(holds.PLACE_ONE_HOLD, chosen[0]), *queries]
    return [(holds.PLACE_HOLDS, columns(chosen)), *queries] if chosen else queries


def _purses(taken: Mapping[str, Decimal]) -> list[Query]:
    return [(holds.TAKE_FROM_PURSES, columns(list(taken.items())))] if taken else []


def _wallets(touched: Mapping[int, WalletCounter]) -> list[Query]:
    rows = [(customer_id, wallet.held, wallet.exposed) for customer_id, wallet in touched.items()]
    if len(rows) == 1:
        [(customer_id, held, exposed)] = rows
        return [(holds.ADD_HELD_TO_ONE, (held, exposed, customer_id))]
    return [(holds.ADD_HELD, columns(rows))] if rows else []
