"""The life of a gateway process: its lease, its catalog, its batchers, and how it stops."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

from django.conf import settings

from billing.books.allowance import Overrun
from core.clock import database_now
from proxy.admission.queue import Admission
from proxy.admission.refused import RefusedCaps
from proxy.admission.settle_first import SettleFirst
from proxy.batches.batcher import Batcher
from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread
from proxy.exchange import BodyBudget
from proxy.gateway.drains import Drains
from proxy.gateway.keyring import Keyring
from proxy.health import rows as health
from proxy.learning.counter import TokenCounter
from proxy.learning.counting import ProviderCounts
from proxy.learning.memory import Memory
from proxy.once.table import Once
from proxy.prices import catalog
from proxy.prices.catalog import Catalog
from proxy.relay.client import Client
from proxy.settlement import lease, reversals, settle
from proxy.settlement.attempts import FLUSH_SECONDS, Attempts
from proxy.settlement.metering import Metering
from proxy.uploads.budget import UploadBudget
from proxy.uploads.receiving import Uploads
from proxy.watch import metrics

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
CATALOG_SECONDS = 1.0
SHOW_SECONDS = 0.5
MEASURED_AT_ONCE = 2
"""Uploads; each takes a process of its own meanwhile."""


class Process:
    """`start` before the first request, `stop` after the last.

    `leaving` tells balancers to look elsewhere; `draining` refuses new requests.
    """

    def __init__(self) -> None:
        self.leaving = False
        self.draining = False
        self._cut_at = 0.0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._drains = Drains()
        self._attempts = Attempts()
        self._budget = BodyBudget(settings.BODY_BUDGET_BYTES)
        self._catalog = Catalog(version=0, models={})
        self._catalog_looked = 0.0
        self._renewed = monotonic()

    async def start(self) -> None:
        self.leaving = self.draining = False
        self._lease_id = await in_thread(lease.take)()
        self._renewed = monotonic()
        self._catalog = await in_thread(catalog.load)()
        self._keyring = Keyring(
            default_rpm=settings.DEFAULT_KEY_RPM, default_customer_rpm=settings.DEFAULT_CUSTOMER_RPM
        )
        self._metering = Metering(bear=self._bear)
        self._releases: Batcher[tuple[str, str], None] = Batcher(self._release_batch, most=100)
        overrun = Overrun(settings.OVERRUN_LIMIT, timedelta(days=settings.OVERRUN_AFTER_DAYS))
        first = SettleFirst(patience=settings.HOLD_WAIT_SECONDS, body_bytes=settings.BODY_BUDGET_BYTES)
        self._admission = Admission(lease_id=self._lease_id, overrun=overrun, release=self._release, settle_first=first)
        self._refused_caps = RefusedCaps()
        self._memory = Memory()
        self._once = Once(lease_id=self._lease_id)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reading")
        budget = UploadBudget(most=settings.UPLOAD_BUDGET_BYTES, most_of_customer=settings.UPLOAD_CUSTOMER_BYTES)
        self._uploads = Uploads(most=settings.MAX_UPLOAD_BYTES, budget=budget, folder=settings.UPLOAD_FOLDER)
        self._measurer = ThreadPoolExecutor(MEASURED_AT_ONCE, thread_name_prefix="measuring")
        self._client = Client(allow_private=settings.ALLOW_PRIVATE_UPSTREAMS)
        self._counts = ProviderCounts(self._client)
        self._counter = TokenCounter() if settings.COUNT_TOKENS else None
        self._client.slots.gateways = await in_thread(lease.live)()
        self._upkeep = asyncio.create_task(self._keep_up())
        self._showing = asyncio.create_task(self._show())
        self._noting = asyncio.create_task(self._note_attempts())
        self._learning = asyncio.create_task(self._memory.keep_up())

    async def stop(self) -> None:
        """Wait for requests until they are cut, then let the batchers finish."""
        self.drain()
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=max(0, self._cut_at - monotonic()))
            self._cut()
            await asyncio.gather(*late, return_exceptions=True)
        await self._admission.close()
        await self._refused_caps.close()
        await self._once.close()
        await self._metering.close()
        await self._releases.close()
        await self._keyring.close()
        await self._client.close()
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._measurer.shutdown(wait=False, cancel_futures=True)
        self._uploads.close()
        tasks = (self._upkeep, self._showing, self._noting, self._learning)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._write_attempts()
        await self._write_health()
        self._attempts.give_up()
        await self._memory.close()
        if self._counter is not None:
            self._counter.close()
        metrics.catch_up()
        await in_thread(lease.give_back)(self._lease_id)

    def drain(self) -> None:
        """Take no new requests; those under way have DRAIN_SECONDS from the first call."""
        if not self.draining:
            self.leaving = self.draining = True
            self._cut_at = monotonic() + settings.DRAIN_SECONDS
            asyncio.get_running_loop().call_later(settings.DRAIN_SECONDS, self._cut)

    def _cut(self) -> None:
        for task in list(self._in_flight):
            task.cancel()

    # --- Giving holds back -----------------------------------------------------------------------------------------

    def _release(self, generation_id: str, reason: str) -> None:
        metrics.RELEASED.labels(reason).inc()
        self._releases.put((generation_id, reason))

    @staticmethod
    async def _bear(generation_id: str, refused: str) -> None:
        await in_thread(_bear)(generation_id, refused)

    async def _release_batch(self, items: Sequence[tuple[str, str]]) -> list[None]:
        by_reason: dict[str, list[str]] = {}
        for generation_id, reason in items:
            by_reason.setdefault(reason, []).append(generation_id)
        for reason, ids in by_reason.items():
            while not await self._released(ids, reason):
                await asyncio.sleep(RETRY_SECONDS)
        return [None] * len(items)

    @staticmethod
    async def _released(ids: list[str], reason: str) -> bool:
        """False while the database is away: no sweeper looks after a live process's holds, so this must not give up."""
        try:
            await in_thread(_release_now)(ids, reason)
        except AWAY:
            log.warning("%s holds wait for the database to be given back", len(ids))
            return False
        return True

    async def _show(self) -> None:
        """Set the gauges of what waits, whatever the database does: other processes of the port read them too."""
        while True:
            self._metering.give_up_silence()
            try:
                metrics.catch_up()
                metrics.IN_FLIGHT.set(len(self._in_flight))
                metrics.ADMISSION_QUEUE.set(self._admission.waiting)
                metrics.RELEASE_QUEUE.set(len(self._releases))
                metrics.UNWRITTEN.set(self._metering.unwritten)
                metrics.UNWRITTEN_AGE.set(self._metering.oldest_age)
                for upstream, taken in self._client.slots.taken.items():
                    metrics.AT_UPSTREAM.labels(upstream).set(taken)
            except Exception:
                log.exception("a figure cannot be shown")  # their folder may be full; METER must not suffer from it
            await asyncio.sleep(SHOW_SECONDS)

    async def _note_attempts(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._write_attempts()
            await self._write_health()

    async def _write_health(self) -> None:
        """How upstreams did; what cannot be written is lost, but for the metrics."""
        minutes, last = self._client.health.taken()
        left = self._client.cooldown.cooling(now=monotonic())
        if not minutes and not left:
            return
        ids = {one.upstream: one.upstream_id for entry in self._catalog.models.values() for one in entry.destinations}
        cooling = {ids[name]: seconds for name, seconds in left.items() if name in ids}
        try:
            await in_thread(health.write)(minutes, last, cooling=cooling)
        except Exception as error:
            log.warning("how upstreams do cannot be written: %s", type(error).__name__)

    async def _write_attempts(self) -> None:
        try:
            await self._attempts.flush()
        except Exception as error:
            log.warning("%s attempts wait for the database: %s", len(self._attempts), type(error).__name__)

    # --- Upkeep ----------------------------------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        """Renew the lease and look at the catalog; a process that cannot renew gives its requests up."""
        while True:
            await asyncio.sleep(CATALOG_SECONDS)
            try:
                await self._look_at_catalog()
                if monotonic() - self._renewed >= lease.RENEW_SECONDS:
                    await self._renew()
            except Exception as error:
                log.warning("upkeep cannot reach the database: %s", type(error).__name__)
                if monotonic() - self._renewed > lease.LOST_AFTER_SECONDS:
                    log.error("the lease is lost; %s requests are given up", len(self._in_flight))
                    self._cut()

    async def _renew(self) -> None:
        await in_thread(lease.renew)(self._lease_id)
        self._renewed = monotonic()
        self._client.slots.gateways = await in_thread(lease.live)()

    async def _look_at_catalog(self) -> None:
        self._catalog_looked = monotonic()
        if await in_thread(catalog.is_stale)(self._catalog):
            self._catalog = await in_thread(catalog.load)()


def _bear(generation_id: str, refused: str) -> None:
    reversals.bear(generation_id, refused=refused, now=database_now())


def _release_now(ids: list[str], reason: str) -> None:
    settle.release(ids, reason=reason, now=database_now())
