"""Stripe's addresses: the key checked, idempotency kept, errors in Stripe's shape."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.stripe import page, setup_page, wire
from sandbox.stripe.objects import public
from sandbox.stripe.saved import Keeping
from sandbox.stripe.wire import StripeError
from sandbox.world import with_faults

Act = Callable[[web.Request, dict[str, Any]], dict[str, Any]]
KEPT_SECONDS = 86400
LISTS = {
    "customers": ("customer", ("email",)),
    "payment_methods": ("payment_method", ("customer", "type")),
    "payment_intents": ("payment_intent", ("customer",)),
    "setup_intents": ("setup_intent", ("customer", "payment_method")),
    "charges": ("charge", ("payment_intent", "customer")),
    "refunds": ("refund", ("charge", "payment_intent")),
    "balance_transactions": ("balance_transaction", ("type", "source", "currency")),
    "disputes": ("dispute", ("charge", "payment_intent")),
    "events": ("event", ("type",)),
    "radar/early_fraud_warnings": ("radar.early_fraud_warning", ("charge", "payment_intent")),
}


class Stripe(Keeping):
    """See `sandbox.world.Provider`."""

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        objects = self.objects
        table: list[tuple[str, str, str, Act]] = [
            ("POST", "checkout/sessions", "create", lambda _, body: self._create_session(body)),
            ("GET", "checkout/sessions", "query", lambda _, query: self.list_sessions(query)),
            ("GET", "checkout/sessions/{id}", "query", lambda r, query: objects.session(r.match_info["id"])),
            ("GET", "checkout/sessions/{id}/line_items", "query", lambda r, _: objects.line_items(r.match_info["id"])),
            ("POST", "checkout/sessions/{id}/expire", "close", lambda r, _: self._expire_session(r.match_info["id"])),
            ("POST", "customers", "customer", lambda _, body: self.create_customer(body)),
            (
                "GET",
                "customers/{id}/payment_methods",
                "query",
                lambda r, query: self.methods_of(r.match_info["id"], query),
            ),
            ("POST", "payment_methods/{id}/attach", "attach", lambda r, body: self.attach(r.match_info["id"], body)),
            ("POST", "payment_methods/{id}/detach", "detach", lambda r, _: self.detach(r.match_info["id"])),
            ("POST", "payment_intents", "charge", lambda _, body: self.create_intent(body)),
            ("POST", "payment_intents/{id}/cancel", "cancel", lambda r, _: self.cancel_intent(r.match_info["id"])),
            ("POST", "refunds", "refund", lambda _, body: self.create_refund(body)),
            ("GET", "account", "account", lambda _, __: ACCOUNT),
            ("GET", "balance", "account", lambda _, __: self.balance()),
        ]
        for path, (kind, filters) in LISTS.items():
            operation = "refund_query" if path == "refunds" else "bill" if kind == "balance_transaction" else "query"
            table.append(("GET", path, operation, self._lister(path, kind, filters)))
            table.append(("GET", path + "/{id}", operation, self._getter(kind)))
        return [
            *(web.route(method, f"/stripe/v1/{path}", self._guarded(name, act)) for method, path, name, act in table),
            web.route("*", "/stripe/v1/{rest:.*}", self.unknown),
            *page.routes(),
            *setup_page.routes(),
        ]

    def _create_session(self, params: dict[str, Any]) -> dict[str, Any]:
        return self.create_setup(params) if params.get("mode") == "setup" else self.create_session(params)

    def _expire_session(self, number: str) -> dict[str, Any]:
        session = self.objects.session(number)
        if session.get("mode") != "setup" or session["status"] != "open":
            return self.expire_session(number)  # which refuses one that is over
        return self.close_setup(session)

    async def unknown(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/stripe")
        error = StripeError(f"Unrecognized request URL ({request.method}: {path}).", status=404)
        return wire.answer(error.body, status=404)

    def _lister(self, path: str, kind: str, filters: tuple[str, ...]) -> Act:
        def act(_request: web.Request, query: dict[str, Any]) -> dict[str, Any]:
            things = self.objects.all(kind)
            if kind == "balance_transaction":
                things = self.statement(things, query)
            return self.objects.listed(things, query, url=f"/v1/{path}", filters=filters)

        return act

    def _getter(self, kind: str) -> Act:
        return lambda request, _query: self.objects.get(request.match_info["id"], kind=kind)

    def _guarded(self, operation: str, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            world = self.world
            text = await request.text() if request.method == "POST" else request.query_string
            key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
            try:
                wire.check_key(request.headers.get("Authorization", ""), world.config.keys.stripe_secret_key)
                pairs = parse_qsl(text, keep_blank_values=True)
                params = wire.nested(pairs)
            except StripeError as error:
                return wire.answer(error.body, status=error.status)
            print_of_it = hashlib.sha256(f"{request.path}\n{sorted(pairs)}".encode()).hexdigest()

            def do() -> web.Response:
                try:
                    if known := self._known_answer(key, print_of_it):
                        status = int(known.pop("sandbox_status", 200))
                        replayed = {"Idempotency_Key": key, "Idempotent_Replayed": "true"}
                        return wire.answer(public(known), status=status, **replayed)
                    expand = params.pop("expand", [])
                    is_list = request.method == "GET" and isinstance(expand, list)
                    content = act(request, {**params, "expand": expand} if is_list else params)
                    if content.get("object") != "list":
                        content = self.objects.expanded(content, expand)
                except StripeError as error:
                    if key and error.status == 402:  # it was begun: a repeat gets the same no, and charges nothing
                        self._keep_answer(key, print_of_it, {**error.body, "sandbox_status": 402})
                    return wire.answer(public(error.body), status=error.status, Idempotency_Key=key)
                if key:
                    self._keep_answer(key, print_of_it, content)
                if fault := world.faults.take("answer_altered", provider=self.code, operation=operation):
                    content = fault.altered(content)
                version = request.headers.get("Stripe-Version", wire.API_VERSION)
                return wire.answer(content, Idempotency_Key=key, Stripe_Version=version)

            numbers = tuple(str(n) for n in (request.match_info.get("id"), *self.names_in(params)) if n)
            answer = await with_faults(world, provider=self.code, operation=operation, orders=numbers, act=do)
            down = StripeError("Stripe is down; try again later.", status=503, kind="api_error")
            return answer or wire.answer(down.body, status=503)

        return handle

    def _known_answer(self, key: str, print_of_it: str) -> dict[str, Any] | None:
        """What was answered under this idempotency key; raise `StripeError` if something else was asked."""
        kept = self.world.store.answers.get(key) if key else None
        if kept is None or kept["at"] < self.world.now() - KEPT_SECONDS:
            return None
        if kept["print"] != print_of_it:
            raise StripeError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return dict(kept["content"])

    def _keep_answer(self, key: str, print_of_it: str, content: dict[str, Any]) -> None:
        kept = {"at": self.world.now(), "print": print_of_it, "content": content}
        self.world.store.answers.put(key, kept)


ACCOUNT = {
    "id": "acct_sandbox0000000000",
    "object": "account",
    "business_profile": {"name": "Chuizi"},
    "charges_enabled": True,
    "country": "US",
    "default_currency": "usd",
    "payouts_enabled": True,
    "type": "standard",
}
