"""One request's story, from its key to its answer.

Raw ASGI, because a Django view costs twenty times as much (docs/decisions/0002-raw-asgi.md); what Django would have
supplied is in `proxy.exchange`. Which protocol is spoken the endpoint knows.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from django.conf import settings

from accounts.limits.policy import KeyPolicy
from core.records import value
from core.web import cors
from core.web.errors import FINAL, compressed
from proxy.admission.queue import Admitted, Ask, PolicyChanged
from proxy.admission.rule import Short
from proxy.batches.batcher import QueueFull
from proxy.batches.connections import AWAY
from proxy.errors import Refusal, unavailable
from proxy.exchange import LARGE_BODY, ClientGone, Exchange, Receive, Scope, Send
from proxy.gateway.closer import Asking
from proxy.gateway.pinned import before_answer, known_here, pinned, refuse_unreachable
from proxy.gateway.rights import Rights, no_model, policy_refusal
from proxy.gateway.routes import Route
from proxy.learning.outcome import Outcome
from proxy.once.claims import NAME, Claim, claim_of, mark_of
from proxy.once.joining import Repeat
from proxy.once.rows import Twin
from proxy.prices.catalog import Destination, Entry
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.endpoint import Asked, Endpoint
from proxy.protocols.headers import SESSION, session_of
from proxy.relay import left_out
from proxy.relay.answers.free import pass_on
from proxy.relay.choosing.affinity import ways_of
from proxy.relay.relay import Relay
from proxy.relay.window import Window
from proxy.uploads.heads import is_form
from proxy.watch import metrics

log = logging.getLogger(__name__)

STALE_METERING_SECONDS = 2.0
CATALOG_LOOK_SECONDS = 0.05
BODY = b"x-chuizi-body"


def _is_plain(exchange: Exchange) -> bool:
    """Whether the answer is to have nothing of ours in it; raises `BadRequest`."""
    if exchange.header(BODY) != "plain" or exchange.repeats(BODY):
        raise BadRequest("The header X-Chuizi-Body may be plain.", param="X-Chuizi-Body")
    return True


@value
class Request:
    """One of a key, read and not yet admitted; `started` by `monotonic`, when its head had come."""

    exchange: Exchange
    endpoint: Endpoint[Any]
    call: Call
    entry: Entry
    started: float
    sha256: str
    policy: KeyPolicy
    address: str


class Gateway(Rights):
    """Takes requests, admits them and sends them on their way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        """Answer one request to a path of that route; whatever goes wrong has an answer in the protocol's shape.

        What every request passes stands here: each further coroutine between it and the sockets is run through again
        with every piece that comes or goes.
        """
        exchange = Exchange(scope, receive, send, more=cors.RAW_HEADERS)
        model, endpoint, relay = "", route.endpoints.get(scope["method"]), None
        spoken = endpoint or route.any
        exchange.id_header = spoken.id_header
        task = asyncio.current_task()
        if task is not None:
            self._in_flight.add(task)
        try:
            try:
                started = monotonic()
                if endpoint is None:
                    words = f"This path takes {route.methods}."
                    raise Refusal(405, "method_not_allowed", words, headers={"Allow": route.methods})
                self._refuse_unready(exchange)
                sha256, policy, address = await self._authenticate(exchange)
                if endpoint.holds and exchange.may_be_large:
                    await self._refuse_penniless(policy, exchange)
                call = await self._read(exchange, endpoint, route.place, policy)
                entry = await self._find_model(call) if call.model or endpoint.holds else None
                model = entry.slug if entry is not None else ""
                if entry is None or not endpoint.holds:
                    await self._pass_on(exchange, endpoint, call, entry, sha256, policy, address)
                    return
                asked = Request(exchange, endpoint, call, entry, started, sha256, policy, address)
                if exchange.claim is None:
                    relay = await self._admitted(asked)
                    await relay.run()
                else:
                    await self._answer_once(asked, exchange.claim)
            except BadRequest as bad:
                await self._refuse(exchange, spoken, Refusal(400, "validation_error", str(bad), param=bad.param))
            except Refusal as refusal:
                await self._refuse(exchange, spoken, refusal, None if relay is None else relay.headers)
            except ClientGone:
                pass
            except (*AWAY, QueueFull):
                away = unavailable("The gateway's database does not answer. Nothing was charged.")
                await self._refuse(exchange, spoken, away)
            except Exception:
                log.exception("request %s failed", exchange.request_id)
                failed = Refusal(500, "internal_error", "Something went wrong on our side.")
                await self._refuse(exchange, spoken, failed)
            finally:
                metrics.count(metrics.requests(metrics.model_label(model), str(exchange.status or 499)))
        except asyncio.CancelledError:
            if not self.draining:
                raise
            log.warning("request %s was cut: this gateway stops", exchange.request_id)
        finally:
            self._budget.give_back(exchange.taken)
            if exchange.upload is not None:
                exchange.upload.close()
            if exchange.recording is not None:
                self._once.close_one(exchange.recording)
            if task is not None:
                self._in_flight.discard(task)

    async def _answer(self, asked: Request) -> None:
        """Raises `Twin` where another request was this one before."""
        exchange = asked.exchange
        relay = await self._admitted(asked)
        if exchange.recording is not None:
            self._once.admitted(exchange.recording, relay.admitted.generation_id)
        try:
            await relay.run()
        except Refusal as refusal:
            await self._refuse(exchange, asked.endpoint, refusal, relay.headers)

    async def _answer_once(self, asked: Request, claim: Claim) -> None:
        """As another request is answered, or was, if it was this one before."""
        exchange = asked.exchange
        if not claim.is_looked_up:
            exchange.recording = self._once.begin(claim)
            return await self._answer(asked)
        check = partial(self._check_again, asked)
        repeat = Repeat(self._once, exchange, asked.endpoint, asked.call, check=check)
        if await repeat.is_joined():
            return
        exchange.recording = self._once.begin(repeat.claim)
        try:
            while True:
                try:
                    return await self._answer(asked)
                except Twin:
                    if await repeat.is_replayed():
                        return
        except Refusal as refusal:
            await repeat.end(refusal)
        finally:
            repeat.close()

    async def _check_again(self, asked: Request) -> None:
        """Before an answer is shown that was paid for already; it counts as what is free does."""
        policy = await self._count_free(asked.sha256, asked.policy, asked.address)
        await self._check_model(asked.sha256, policy, asked.entry, asked.call.model)

    @staticmethod
    async def _refuse(
        exchange: Exchange,
        endpoint: Endpoint[Any],
        refusal: Refusal,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        if exchange.started:
            return
        more = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        if refusal.status in FINAL and not any(name == b"x-should-retry" for name, _ in more):
            more.append((b"x-should-retry", b"false"))
        try:
            await exchange.answer(
                refusal.status, endpoint.error(refusal, exchange.request_id), [*more, *(headers or [])]
            )
        except ClientGone:
            return

    def _refuse_unready(self, exchange: Exchange) -> None:
        if encoding := compressed(exchange.header(b"content-encoding")):
            raise Refusal(415, "unsupported_media_type", encoding)
        if self.draining:
            raise unavailable("This gateway is being restarted.")
        if self._metering.oldest_age > STALE_METERING_SECONDS:
            raise unavailable("The gateway's database is slow; requests are not taken for a moment.", retry_after=2)

    async def _read(
        self, exchange: Exchange, endpoint: Endpoint[Any], place: Mapping[str, str], policy: KeyPolicy
    ) -> Call:
        """A large body is read in a thread, one at a time: it stops nobody else, and takes its memory once."""
        if exchange.repeats(SESSION):
            raise BadRequest("The request names two different sessions.", param="X-Session-Id")
        session = session_of(exchange.headers, endpoint.session_headers)
        is_plain = BODY in exchange.headers and _is_plain(exchange)
        mark = mark_of(exchange.headers, is_repeated=exchange.repeats(NAME)) if endpoint.holds else None
        if endpoint.takes_forms and is_form(exchange.header(b"content-type")):
            exchange.upload = upload = await self._uploads.receive(exchange, policy.customer_id)
            raw, form = b"", upload.form
        else:
            raw, form = await exchange.body(most=settings.MAX_BODY_BYTES, budget=self._budget), None
        if mark is not None:
            claim = partial(
                claim_of,
                mark,
                exchange.scope,
                raw if form is None else form,
                customer_id=policy.customer_id,
                key_id=policy.key_id,
                is_plain=is_plain,
            )
            if form is None and len(raw) <= LARGE_BODY:
                exchange.claim = claim()
            else:
                exchange.claim = await asyncio.get_running_loop().run_in_executor(self._measurer, claim)
        asked = Asked(raw, place, exchange.headers, exchange.scope["query_string"], form)
        if len(raw) <= LARGE_BODY:
            call: Call = endpoint.read(asked)
        else:
            call = await asyncio.get_running_loop().run_in_executor(self._reader, endpoint.read, asked)
        return call if session is None and not is_plain else replace(call, session=session, is_plain=is_plain)

    async def _fitting(self, exchange: Exchange, endpoint: Endpoint[Any], call: Call, entry: Entry) -> Call:
        """The request as this model takes it. Of a large one parts may be written anew, in a thread as it was read."""
        if exchange.taken > LARGE_BODY:
            return await asyncio.get_running_loop().run_in_executor(self._reader, endpoint.check, call, entry)
        fitting: Call = endpoint.check(call, entry)
        return fitting

    async def _measured(self, asked: Request) -> Call:
        """Not for a model that the key may not use, nor for one that is not served here."""
        await self._check_model(asked.sha256, asked.policy, asked.entry, asked.call.model)
        asked.endpoint.check_spoken(asked.entry)
        return await asyncio.get_running_loop().run_in_executor(self._measurer, asked.endpoint.measure, asked.call)

    async def _find_model(self, call: Call) -> Entry:
        entry = self._catalog.find(call.model)
        if entry is None and monotonic() - self._catalog_looked > CATALOG_LOOK_SECONDS:
            await self._look_at_catalog()
            entry = self._catalog.find(call.model)
        if entry is None:
            raise no_model(call.model)
        return entry

    async def _admitted(self, asked: Request) -> Relay:
        """The way on with a committed hold; a key that changed since it was read is read again."""

        def relay_of(admitted: Admitted) -> Relay:
            return Relay(
                exchange=exchange,
                endpoint=endpoint,
                call=fitting,
                entry=entry.at(policy.factor),
                destinations=ways_of(endpoint, fitting, entry, customer_id=policy.customer_id, key_id=policy.key_id),
                admitted=admitted,
                started=asked.started,
                client=self._client,
                metering=self._metering,
                release=self._release,
                drains=self._drains,
                attempts=self._attempts,
                window=self._window(asking.ask, admitted, endpoint, fitting),
                outcome=Outcome(asking.ask, asking.prompt),
            )

        exchange, endpoint, call, entry, policy = asked.exchange, asked.endpoint, asked.call, asked.entry, asked.policy
        if exchange.upload is not None:
            call = await self._measured(asked)
        call = endpoint.naming(call, entry)
        if call.references:
            call, _ = await pinned(call, customer_id=policy.customer_id)
        while True:
            policy = await self._check_model(asked.sha256, policy, entry, call.model)
            if call.account:
                self._refuse_unreachable(endpoint, call, endpoint.among(entry.destinations, account=call.account))
            fitting = await self._fitting(exchange, endpoint, call, entry)  # it tells of the model
            asking = Asking(self._memory, self._counts, endpoint, fitting, entry, policy, once=exchange.claim)
            closer = None
            if asking.prompt is not None:
                closer = asking.look_closer
                if self._counter is not None and (vocabulary := asking.counted_by()):
                    await asking.count(self._counter, vocabulary)
            try:
                size, has_left = exchange.taken, exchange.has_left
                return await self._admission.admit(asking.ask, relay_of, closer=closer, size=size, has_left=has_left)
            except Short as short:
                if (full := short.full) is not None:
                    self._refused_caps.note(full, customer_id=policy.customer_id)
                raise
            except PolicyChanged:
                policy = await self._read_again(asked.sha256, partial(policy_refusal, address=asked.address))

    def _refuse_unreachable(self, endpoint: Endpoint[Any], call: Call, destinations: Sequence[Destination]) -> None:
        cooldown = self._client.cooldown
        refuse_unreachable(call, destinations, path=endpoint.path, catalog=self._catalog, cooldown=cooldown)

    def _window(self, ask: Ask, admitted: Admitted, endpoint: Endpoint[Any], call: Call) -> Window | None:
        """For a stream that is not held for whole."""
        if admitted.decision.covered >= admitted.decision.output_limit:
            return None
        return Window(
            ask,
            admitted,
            choices=call.choices,
            adds_input=endpoint.adds_input(call),
            extend=self._admission.extend,
            refused=partial(self._refused_caps.note, customer_id=ask.policy.customer_id),
        )

    async def _pass_on(
        self,
        exchange: Exchange,
        endpoint: Endpoint[Any],
        call: Call,
        entry: Entry | None,
        sha256: str,
        policy: KeyPolicy,
        address: str,
    ) -> None:
        """What is free, or about something that one account alone knows: nothing is held."""
        policy = await self._count_free(sha256, policy, address)
        before, known_as = None, ""
        if entry is not None:
            call = endpoint.naming(call, entry)
        if call.references:
            call, found = await pinned(call, customer_id=policy.customer_id)
        if entry is None:
            destinations = endpoint.among(self._catalog.at_account(call.account))
        else:
            await self._check_model(sha256, policy, entry, call.model)
            call = await self._fitting(exchange, endpoint, call, entry)
            destinations = ways_of(endpoint, call, entry, customer_id=policy.customer_id, key_id=policy.key_id)
            if not destinations and entry.spoken and (counted := endpoint.own_answer(call)) is not None:
                await exchange.answer(200, counted, left_out.headers(call.removed))
                return
        if call.account:
            self._refuse_unreachable(endpoint, call, destinations)
        if entry is None and call.references:
            before = await before_answer(endpoint, call, found, customer_id=policy.customer_id, client=self._client)
            known_as = await known_here(found, self._catalog)
        await pass_on(exchange, endpoint, call, destinations, client=self._client, before=before, model=known_as)
