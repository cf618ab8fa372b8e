"""One connection that admits batches: read and lock, decide, write and commit, in two round trips."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

import orjson
import psycopg

from accounts import limits
from accounts.limits import CustomerCounter, KeyCounter
from billing import holds
from proxy import database
from proxy.deciding import Ask, Decision, WalletCounter, decide
from proxy.errors import invalid_key
from proxy.ids import new_generation_id


class PolicyChanged(Exception):
    """The key or its customer has changed since its policy was read."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A committed hold."""

    generation_id: str
    decision: Decision
    created_at: datetime


@dataclass(eq=False, slots=True)
class Waiter:
    ask: Ask
    future: asyncio.Future[Admitted]
    since: float = field(default_factory=monotonic)


INSERT_GENERATIONS = (
    "INSERT INTO proxy_generation (id, customer_id, key_id, model_id, price_id, lease_id, protocol, streamed, bound,"
    " held, created_at, state, usage_source, settlement_reason, finish_reason, input_tokens, output_tokens,"
    " cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, native_input_tokens,"
    " native_output_tokens, units, is_flagged, failures)"
)
CONSTANTS = ", 'held', 'none', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 0"
WRITE_GENERATION = f"{INSERT_GENERATIONS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s{CONSTANTS})"
WRITE_GENERATIONS = (
    f"{INSERT_GENERATIONS} SELECT g.*{CONSTANTS} FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[],"
    " %s::bigint[], %s::bigint[], %s::text[], %s::bool[], %s::numeric[], %s::numeric[], %s::timestamptz[])"
    " AS g(id, customer_id, key_id, model_id, price_id, lease_id, protocol, streamed, bound, held, created_at)"
)
FIND_GENERATIONS = "SELECT id FROM proxy_generation WHERE id = ANY(%s)"

CONNECTION_LOST = ("08", "57P")
"""SQLSTATE classes of a connection that broke or a server that went away."""

Grant = tuple[Waiter, Admitted]


class CommitUnknown(Exception):
    """The connection broke while COMMIT was on its way."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self.grants = grants


class Lane:
    """One connection that writes batches."""

    def __init__(self, *, lease_id: int, overrun: Decimal) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lease_id = lease_id
        self._overrun = overrun

    async def write(self, waiters: Sequence[Waiter], *, wait_for_locks: bool) -> tuple[list[Grant], list[Waiter]]:
        """Decide and commit; answer the refused, return what was granted and whose wallet is locked elsewhere.

        Raises psycopg errors with nothing written, or `CommitUnknown`.
        """
        connection = await self._connected()
        asks = [waiter.ask for waiter in waiters]
        try:
            wallets, keys, customers = await self._read(connection, asks, wait_for_locks=wait_for_locks)
            now = datetime.now(UTC)
            locked, grants = [], []
            for waiter in waiters:
                if waiter.future.done():
                    continue
                wallet = wallets.get(waiter.ask.policy.customer_id)
                if wallet is None:
                    locked.append(waiter)
                    continue
                decision = self._decide(waiter.ask, wallet=wallet, keys=keys, customers=customers, now=now)
                if isinstance(decision, Exception):
                    waiter.future.set_exception(decision)
                    continue
                grants.append((waiter, Admitted(new_generation_id(), decision, now)))
            if not grants:
                await connection.execute("ROLLBACK")
                return [], locked
            await self._write(connection, grants, wallets=wallets, keys=keys, customers=customers, now=now)
        except BaseException:
            await self._reset()
            raise
        return grants, locked

    async def committed(self, grants: Sequence[Grant]) -> set[str]:
        """Which of these holds exist: locking their wallets waits for the backend that may still be committing."""
        connection = await self._connected()
        customers = sorted({waiter.ask.policy.customer_id for waiter, _ in grants})
        try:
            async with connection.transaction():
                await connection.execute(holds.LOCK_WALLETS, [customers])
                found = await connection.execute(FIND_GENERATIONS, [[a.generation_id for _, a in grants]])
                return {row[0] for row in await found.fetchall()}
        except BaseException:
            await self._reset()
            raise

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await database.connect()
        return self._connection

    async def _reset(self) -> None:
        """Leave no transaction open: roll back, or give the connection up."""
        connection = self._connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(1):
                await connection.execute("ROLLBACK")
        except (psycopg.Error, TimeoutError):
            self._connection = None
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    @staticmethod
    async def _read(
        connection: psycopg.AsyncConnection[Any], asks: Sequence[Ask], *, wait_for_locks: bool
    ) -> tuple[dict[int, WalletCounter], dict[int, KeyCounter], dict[int, CustomerCounter]]:
        customer_ids = sorted({ask.policy.customer_id for ask in asks})
        key_ids = list({ask.policy.key_id for ask in asks})
        lock = holds.LOCK_WALLETS if wait_for_locks else holds.LOCK_FREE_WALLETS
        async with connection.pipeline():
            await connection.execute("BEGIN")
            if wait_for_locks:
                await connection.execute("SET LOCAL lock_timeout = 250")
            # Meters are read by statements of their own, after the locks: a snapshot taken before would be stale.
            wallets = await connection.execute(lock, [customer_ids])
            keys = await connection.execute(limits.READ_KEY_METERS, [key_ids])
            customers = await connection.execute(limits.READ_CUSTOMER_METERS, [customer_ids])
        return (
            {row[0]: WalletCounter(row[1], row[2], row[3]) for row in await wallets.fetchall()},
            {row[0]: KeyCounter(row) for row in await keys.fetchall()},
            {row[0]: CustomerCounter(row) for row in await customers.fetchall()},
        )

    def _decide(
        self,
        ask: Ask,
        *,
        wallet: WalletCounter,
        keys: dict[int, KeyCounter],
        customers: dict[int, CustomerCounter],
        now: datetime,
    ) -> Decision | Exception:
        policy = ask.policy
        key, customer = keys.get(policy.key_id), customers.get(policy.customer_id)
        if key is None or customer is None:
            return invalid_key()
        if (key.version, customer.version) != (policy.version, policy.customer_version):
            return PolicyChanged()
        decision = decide(ask, wallet=wallet, key=key, customer=customer, overrun=self._overrun, now=now)
        if isinstance(decision, Decision):
            wallet.hold(decision)
            slot = limits.slot_of(now)
            key.count(slot=slot, day=now.date(), held=decision.hold)
            if policy.customer_rpm:
                customer.rate.count(slot)
            if ask.model_rpm:
                customer.model(ask.model).count(slot)
        return decision

    async def _write(
        self,
        connection: psycopg.AsyncConnection[Any],
        grants: Sequence[Grant],
        *,
        wallets: dict[int, WalletCounter],
        keys: dict[int, KeyCounter],
        customers: dict[int, CustomerCounter],
        now: datetime,
    ) -> None:
        rows = [self._row(waiter.ask, admitted) for waiter, admitted in grants]
        held_rows = [row for row in rows if row[9]]  # a zero estimate takes no hold
        touched = {customer_id: wallet for customer_id, wallet in wallets.items() if wallet.held or wallet.exposed}
        slot = limits.slot_of(now)
        try:
            await self._send(connection, rows, held_rows, touched, keys=keys, customers=customers, slot=slot, now=now)
        except psycopg.OperationalError as error:
            if error.sqlstate is None or error.sqlstate.startswith(CONNECTION_LOST):
                raise CommitUnknown(grants) from error
            raise

    async def _send(
        self,
        connection: psycopg.AsyncConnection[Any],
        rows: Sequence[list[Any]],
        held_rows: Sequence[list[Any]],
        touched: dict[int, WalletCounter],
        *,
        keys: dict[int, KeyCounter],
        customers: dict[int, CustomerCounter],
        slot: int,
        now: datetime,
    ) -> None:
        async with connection.pipeline():
            if len(rows) == 1:
                await connection.execute(WRITE_GENERATION, rows[0])
            else:
                await connection.execute(WRITE_GENERATIONS, [list(column) for column in zip(*rows, strict=True)])
            if len(held_rows) == 1:
                row = held_rows[0]
                await connection.execute(holds.PLACE_ONE_HOLD, [row[0], row[1], row[9], row[8], row[10]])
            elif held_rows:
                columns = [list(column) for column in zip(*held_rows, strict=True)]
                await connection.execute(
                    holds.PLACE_HOLDS, [columns[0], columns[1], columns[9], columns[8], columns[10]]
                )
            if len(touched) == 1:
                [(customer_id, wallet)] = touched.items()
                await connection.execute(holds.ADD_HELD_TO_ONE, [wallet.held, wallet.exposed, customer_id])
            elif touched:
                await connection.execute(
                    holds.ADD_HELD,
                    [list(touched), [w.held for w in touched.values()], [w.exposed for w in touched.values()]],
                )
            await self._write_meters(connection, keys=keys, customers=customers, slot=slot, now=now)
            await connection.execute("COMMIT")

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
        ]

    @staticmethod
    async def _write_meters(
        connection: psycopg.AsyncConnection[Any],
        *,
        keys: dict[int, KeyCounter],
        customers: dict[int, CustomerCounter],
        slot: int,
        now: datetime,
    ) -> None:
        counted = [key for key in keys.values() if key.rate.changed]
        if counted:
            await connection.execute(
                limits.WRITE_KEY_METERS,
                [
                    now,
                    [key.key_id for key in counted],
                    [key.rate.slot for key in counted],
                    [str(key.rate.slots).replace("[", "{").replace("]", "}") for key in counted],
                    [key.day for key in counted],
                    [key.day_spent for key in counted],
                    [key.total_spent for key in counted],
                ],
            )
        changed = [customer for customer in customers.values() if customer.changed]
        if changed:
            await connection.execute(
                limits.WRITE_CUSTOMER_METERS,
                [
                    [customer.customer_id for customer in changed],
                    [customer.rate.slot for customer in changed],
                    [str(customer.rate.slots).replace("[", "{").replace("]", "}") for customer in changed],
                    [orjson.dumps(customer.models_at(slot)).decode() for customer in changed],
                ],
            )
