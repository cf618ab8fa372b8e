"""The gateway: a request's story from its key to its hold, and the life of the process that tells it.

Raw ASGI, because a Django view costs twenty times as much (see docs); what Django would have supplied is in `http`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic

import django.db
import psycopg
from django.conf import settings

from accounts.authentication import TwoKeys, key_text
from accounts.limits import KeyPolicy
from chuizi import cors
from chuizi.addresses import client_address
from chuizi.errors import FINAL, compressed
from proxy import admission, catalog, lease, metrics, settlement
from proxy.admission import Admission, Admitted, Ask, PolicyChanged
from proxy.batching import Batcher, QueueFull
from proxy.catalog import Catalog, Entry
from proxy.errors import Refusal, invalid_key, unavailable
from proxy.estimate import likely_input, likely_output, most_extra_output, most_input
from proxy.http import BodyBudget, ClientGone, Exchange, Receive, Scope, Send
from proxy.keyring import Keyring
from proxy.metering import Metering
from proxy.pricing import PER_TOKEN, ceiling, worst_rates
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.openai import chat
from proxy.relay import Relay
from proxy.threads import in_thread
from proxy.upstream import Client

log = logging.getLogger(__name__)

DEFAULT_OUTPUT_TOKENS = 4_096
"""Where neither the caller nor the catalog names a limit."""
STALE_METERING_SECONDS = 2.0
RETRY_SECONDS = 0.5
AWAY = (psycopg.OperationalError, django.db.OperationalError, django.db.InterfaceError, OSError)
CATALOG_SECONDS = 1.0
SHOW_SECONDS = 0.5
CATALOG_LOOK_SECONDS = 0.05


class Gateway:
    """One process's gateway. `start` before the first request, `stop` after the last.

    `leaving` tells balancers to look elsewhere; `draining` refuses new requests.
    """

    def __init__(self) -> None:
        self.leaving = False
        self.draining = False
        self._cut_at = 0.0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._budget = BodyBudget(settings.BODY_BUDGET_BYTES)
        self._catalog = Catalog(version=0, models={})
        self._catalog_looked = 0.0
        self._renewed = monotonic()

    async def start(self) -> None:
        self.leaving = self.draining = False
        self._lease_id = await in_thread(lease.take)(now=datetime.now(UTC))
        self._renewed = monotonic()
        self._catalog = await in_thread(catalog.load)()
        self._keyring = Keyring(
            default_rpm=settings.DEFAULT_KEY_RPM, default_customer_rpm=settings.DEFAULT_CUSTOMER_RPM
        )
        self._metering = Metering()
        self._releases: Batcher[tuple[str, str], None] = Batcher(self._release_batch, most=100)
        self._admission = Admission(
            lease_id=self._lease_id, overrun=settings.OVERRUN_LIMIT, release=self._release_abandoned
        )
        self._client = Client(allow_private=settings.ALLOW_PRIVATE_UPSTREAMS)
        self._upkeep = asyncio.create_task(self._keep_up())
        self._showing = asyncio.create_task(self._show())

    async def stop(self) -> None:
        """Wait for requests until they are cut, then let the batchers finish."""
        self.drain()
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=max(0, self._cut_at - monotonic()))
            self._cut()
            await asyncio.gather(*late, return_exceptions=True)
        await self._admission.close()
        await self._metering.close()
        await self._releases.close()
        await self._keyring.close()
        await self._client.close()
        self._upkeep.cancel()
        self._showing.cancel()
        await asyncio.gather(self._upkeep, self._showing, return_exceptions=True)
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one gateway request; whatever goes wrong has an answer in the protocol's shape."""
        exchange = Exchange(scope, receive, send, more=cors.RAW_HEADERS)
        task = asyncio.current_task()
        if task is not None:
            self._in_flight.add(task)
        try:
            await self._serve(exchange)
        except asyncio.CancelledError:
            if not self.draining:
                raise
            log.warning("request %s was cut: this gateway stops", exchange.request_id)
        finally:
            self._budget.give_back(exchange.taken)
            if task is not None:
                self._in_flight.discard(task)

    async def _serve(self, exchange: Exchange) -> None:
        model = ""
        try:
            started = monotonic()
            self._refuse_unready(exchange)
            sha256, policy, address = await self._authenticate(exchange)
            if exchange.may_be_large:
                await self._refuse_penniless(policy.customer_id)
            call = chat.read(await exchange.body(most=settings.MAX_BODY_BYTES, budget=self._budget))
            entry = await self._find_model(call)
            model = entry.slug
            admitted = await self._admit(sha256, policy, address, call, entry)
            relay = Relay(
                exchange=exchange,
                call=call,
                entry=entry,
                admitted=admitted,
                started=started,
                client=self._client,
                metering=self._metering,
                release=self._release,
                drain_seconds=settings.DISCONNECT_DRAIN_SECONDS,
            )
            try:
                await relay.run()
            except Refusal as refusal:
                await self._refuse(exchange, refusal, relay.headers)
        except BadRequest as bad:
            await self._refuse(exchange, Refusal(400, "validation_error", str(bad), param=bad.param))
        except Refusal as refusal:
            await self._refuse(exchange, refusal)
        except ClientGone:
            pass
        except (*AWAY, QueueFull):
            await self._refuse(exchange, unavailable("The gateway's database does not answer. Nothing was charged."))
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            await self._refuse(exchange, Refusal(500, "internal_error", "Something went wrong on our side."))
        finally:
            metrics.requests(metrics.model_label(model), str(exchange.status or 499)).inc()

    @staticmethod
    async def _refuse(exchange: Exchange, refusal: Refusal, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        if exchange.started:
            return
        more = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        if refusal.status in FINAL and not any(name == b"x-should-retry" for name, _ in more):
            more.append((b"x-should-retry", b"false"))
        try:
            await exchange.answer(refusal.status, chat.error(refusal), [*more, *(headers or [])])
        except ClientGone:
            return

    def _refuse_unready(self, exchange: Exchange) -> None:
        if exchange.scope["method"] != "POST":
            raise Refusal(405, "method_not_allowed", "This path takes POST.", headers={"Allow": "POST"})
        if encoding := compressed(exchange.header(b"content-encoding")):
            raise Refusal(415, "unsupported_media_type", encoding)
        if self.draining:
            raise unavailable("This gateway is being restarted.")
        if self._metering.oldest_age > STALE_METERING_SECONDS:
            raise unavailable("The gateway's database is slow; requests are not taken for a moment.", retry_after=2)

    async def _authenticate(self, exchange: Exchange) -> tuple[str, KeyPolicy, str]:
        """The key's digest, its policy, and the client's address."""
        try:
            text = key_text(
                authorization=exchange.header(b"authorization"),
                x_api_key=exchange.header(b"x-api-key"),
                x_goog_api_key=exchange.header(b"x-goog-api-key"),
            )
            if exchange.repeats(b"authorization", b"x-api-key", b"x-goog-api-key"):
                raise TwoKeys
        except TwoKeys:
            raise Refusal(401, "invalid_api_key", "The request names two different API keys.") from None
        address = client_address(peer=exchange.peer, forwarded_for=exchange.lines(b"x-forwarded-for"))
        sha256, policy = await self._keyring.find(text, address=address)
        policy = await self._checked(sha256, policy, lambda policy: self._check_policy(policy, address))
        return sha256, policy, address

    async def _checked(self, sha256: str, policy: KeyPolicy, check: Callable[[KeyPolicy], None]) -> KeyPolicy:
        """The policy, read again before it refuses: what its customer allowed since counts from the next request."""
        try:
            check(policy)
        except Refusal:
            fresh = await self._keyring.reload(sha256)
            if fresh is None:
                raise invalid_key() from None
            check(fresh)
            return fresh
        return policy

    @staticmethod
    def _check_policy(policy: KeyPolicy, address: str) -> None:
        """What can be refused without the locked rows. Active and suspended stand there too, and rule."""
        if policy.expires_at is not None and policy.expires_at <= datetime.now(UTC):
            raise invalid_key()
        if not policy.may_call:
            raise Refusal(
                403, "key_not_allowed", "This key may not call models: its scopes or its maker's role forbid it."
            )
        if not policy.allows_address(address):
            raise Refusal(403, "ip_not_allowed", "This key may not be used from this address.")

    @staticmethod
    def _check_model(policy: KeyPolicy, entry: Entry) -> None:
        if policy.allowed_models and not policy.allowed_models & {entry.slug, entry.slug.partition("/")[2]}:
            raise Refusal(403, "model_not_allowed", f"This key may not use {entry.slug}.", param="model")

    @staticmethod
    async def _refuse_penniless(customer_id: int) -> None:
        """Before a large body is read: whoever has nothing, or may not spend, sends it in vain."""
        balance, is_suspended = await in_thread(admission.standing)(customer_id)
        if is_suspended:
            raise Refusal(403, "account_suspended", "This account is suspended. Write to support.")
        if balance <= 0:
            raise Refusal(402, "insufficient_balance", f"The balance is ${balance:f}. Top up to go on.")

    async def _find_model(self, call: Call) -> Entry:
        entry = self._catalog.find(call.model)
        if entry is None and monotonic() - self._catalog_looked > CATALOG_LOOK_SECONDS:
            await self._look_at_catalog()
            entry = self._catalog.find(call.model)
        if entry is None:
            raise Refusal(404, "model_not_found", f"There is no model {call.model[:100]!r} here.", param="model")
        if entry.price.billing != PER_TOKEN:
            raise Refusal(400, "validation_error", f"{entry.slug} is not a chat model.", param="model")
        if call.material.audio and "input_audio" not in entry.price.rates:
            words = f"{entry.slug} has no price for `input_audio` here, so audio is not taken."
            raise BadRequest(words, param="messages")
        limit = entry.max_output_tokens
        if limit is not None and call.output_limit is not None and call.output_limit > limit:
            raise BadRequest(f"{entry.slug} writes at most {limit} tokens.", param="max_tokens")
        return entry

    async def _admit(self, sha256: str, policy: KeyPolicy, address: str, call: Call, entry: Entry) -> Admitted:
        """The committed hold; a key that changed since it was read is read again."""
        while True:
            policy = await self._checked(sha256, policy, lambda policy: self._check_model(policy, entry))
            try:
                return await self._admission.admit(self._ask(policy, call, entry))
            except PolicyChanged:
                fresh = await self._keyring.reload(sha256)
                if fresh is None:
                    raise invalid_key() from None
                policy = fresh
                self._check_policy(policy, address)

    @staticmethod
    def _ask(policy: KeyPolicy, call: Call, entry: Entry) -> Ask:
        most = most_input(call.material, context=entry.context_window)
        input_rate, output_rate = worst_rates(entry.price, most)
        output_rate *= call.choices
        limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
        likely = likely_input(call.material, context=entry.context_window)
        return Ask(
            policy=policy,
            model_id=entry.id,
            model=entry.slug,
            model_rpm=settings.DEFAULT_MODEL_RPM,
            price_id=entry.price.id,
            protocol=chat.name,
            streamed=call.stream,
            input_most=input_rate * most + output_rate * most_extra_output(call.material),
            output_rate=output_rate,
            output_limit=limit,
            may_shrink=call.output_limit is None,
            estimate=ceiling(input_rate * likely + output_rate * likely_output(limit)),
        )

    # --- Giving holds back -----------------------------------------------------------------------------------------

    def _release(self, generation_id: str, reason: str) -> None:
        metrics.RELEASED.labels(reason).inc()
        self._releases.put((generation_id, reason))

    def _release_abandoned(self, generation_id: str) -> None:
        self._release(generation_id, "client_disconnected")

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
            await in_thread(settlement.release)(ids, reason=reason, now=datetime.now(UTC))
        except AWAY:
            log.warning("%s holds wait for the database to be given back", len(ids))
            return False
        return True

    async def _show(self) -> None:
        """Set the gauges of what waits, whatever the database does: other processes of the port read them too."""
        while True:
            metrics.IN_FLIGHT.set(len(self._in_flight))
            metrics.ADMISSION_QUEUE.set(self._admission.waiting)
            metrics.RELEASE_QUEUE.set(len(self._releases))
            metrics.UNWRITTEN.set(self._metering.unwritten)
            metrics.UNWRITTEN_AGE.set(self._metering.oldest_age)
            await asyncio.sleep(SHOW_SECONDS)

    # --- Upkeep ----------------------------------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        """Renew the lease and look at the catalog; a process that cannot renew gives its requests up."""
        while True:
            await asyncio.sleep(CATALOG_SECONDS)
            try:
                await self._look_at_catalog()
                if monotonic() - self._renewed >= lease.RENEW_SECONDS:
                    await in_thread(lease.renew)(self._lease_id, now=datetime.now(UTC))
                    self._renewed = monotonic()
            except Exception as error:
                log.warning("upkeep cannot reach the database: %s", type(error).__name__)
                if monotonic() - self._renewed > lease.LOST_AFTER_SECONDS:
                    log.error("the lease is lost; %s requests are given up", len(self._in_flight))
                    self._cut()

    async def _look_at_catalog(self) -> None:
        self._catalog_looked = monotonic()
        if await in_thread(catalog.read_version)() != self._catalog.version:
            self._catalog = await in_thread(catalog.load)()
