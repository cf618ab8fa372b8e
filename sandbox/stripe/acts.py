"""What happens to a session and its payment, whoever asks: the API, the payer's page, the control API or the clock."""

from typing import Any

from sandbox import crypto
from sandbox.store import Order
from sandbox.stripe import disputes, events, payments, refunds, sessions
from sandbox.stripe.objects import Objects
from sandbox.stripe.payments import Card
from sandbox.stripe.wire import StripeError
from sandbox.world import NotPossible, World

VISA = Card("4242424242424242")
MESSAGES = {"done": "succeeded", "failed": "failed", "abnormal": "requires_action"}


class Acts:
    """The part of the provider that knows no HTTP."""

    code = "stripe"

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = Objects(world, sessions=lambda order: sessions.shown(world, order))
        self._waiting = {refund["id"] for refund in self.objects.all("refund") if refund["sandbox_due"]}

    # --- the merchant's

    def create_session(self, params: dict[str, Any]) -> dict[str, Any]:
        return sessions.shown(self.world, sessions.create(self.world, params))

    def list_sessions(self, query: dict[str, Any]) -> dict[str, Any]:
        orders = [order for order in self.world.store.orders if order.provider == self.code]
        found = [sessions.shown(self.world, order) for order in orders if order.number.startswith("cs_")]
        found += self.objects.all("checkout.session")
        return self.objects.listed(found, query, url="/v1/checkout/sessions", filters=("payment_intent", "status"))

    def expire_session(self, number: str) -> dict[str, Any]:
        session = self.objects.session(number)
        if session["status"] != "open":
            message = (
                f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
            )
            raise StripeError(message)
        order = self._order(number)
        self._expire(order)
        return sessions.shown(self.world, order)

    def create_refund(self, params: dict[str, Any]) -> dict[str, Any]:
        charge = refunds.charge_of(self.objects, params)
        refund = refunds.create(self.world, self.objects, charge, params)
        if refund["sandbox_due"]:
            self._waiting.add(refund["id"])
        self._tell_refund(refund, "refund.created")
        self._send("charge.refunded", self.objects.get(charge["id"], kind="charge"), charge["payment_intent"])
        return refund

    def held(self) -> int:
        return sum(row["net"] for row in self.objects.all("balance_transaction"))

    def pay_out(self, *, amount: int | None = None) -> dict[str, Any]:
        """All that is held, or `amount` of it, goes to the merchant's bank."""
        total = self.held() if amount is None else amount
        payout = self.objects.new("po", "payout", amount=total, currency=self.objects.settles_in, status="paid")
        return payments.movement(self.objects, source=payout["id"], kind="payout", amount=-total)

    def balance(self) -> dict[str, Any]:
        total = self.held()
        sums = [{"amount": total, "currency": self.objects.settles_in, "source_types": {"card": total}}]
        return {"object": "balance", "available": sums, "livemode": False, "pending": []}

    def statement(self, rows: list[dict[str, Any]], query: dict[str, Any]) -> list[dict[str, Any]]:
        """The balance's rows, bent by faults; only a first page has a row added."""
        kept = []
        for row in rows:
            names = (row["source"], *self._names_of(row["source"]))
            if self.world.statement_fault("drop", self.code, names):
                continue
            if fault := self.world.statement_fault("alter", self.code, names):
                more = int(fault.options.get("amount", 100))
                row = {**row, "amount": row["amount"] + more, "net": row["net"] + more}
            kept.append(row)
        if "starting_after" not in query and (fault := self.world.statement_fault("add", self.code)):
            amount, number = int(fault.options.get("amount", 100)), f"txn_{crypto.letters(24)}"
            now = int(self.world.now())
            kept.append(
                {
                    "id": number,
                    "object": "balance_transaction",
                    "amount": amount,
                    "available_on": now,
                    "created": now,
                    "currency": "usd",
                    "description": "Unknown",
                    "fee": 0,
                    "fee_details": [],
                    "net": amount,
                    "reporting_category": "charge",
                    "source": f"ch_{crypto.letters(24)}",
                    "status": "available",
                    "type": "charge",
                }
            )
        return kept

    def names_in(self, params: dict[str, Any]) -> list[str]:
        """The numbers by which a fault may mean this call."""
        names = ("client_reference_id", "payment_intent", "charge")
        metadata = params.get("metadata")
        named = [metadata.get("order")] if isinstance(metadata, dict) else []
        return [str(name) for name in (*(params.get(name) for name in names), *named) if name]

    # --- the payer's

    def pay(self, order: Order, *, late: bool = False, card: Card = VISA) -> None:
        if order.state == "paid":
            raise NotPossible("This session is paid already. 已支付。")
        is_over = order.state != "open" or self.world.now() >= order.expires
        if is_over and not late:
            raise NotPossible("This session is no longer open. 此会话已失效。")
        is_new = not order.transaction
        intent, charge = payments.capture(self.objects, order, card)
        order.state, order.paid_at, order.note = "paid", self.world.now(), ""
        self.world.store.save_order(order)
        if is_new:
            self._send("payment_intent.created", intent, order.number, order.alias)
        self._send("charge.succeeded", charge, order.number, order.alias)
        self._send("payment_intent.succeeded", intent, order.number, order.alias)
        self._send("checkout.session.completed", sessions.shown(self.world, order), order.number, order.alias)
        if card.number == payments.DISPUTED:
            self.dispute(order, step="open")
            self.dispute(order, step="withdraw")
        if card.number == payments.WARNED:
            self.warn(order)

    def decline(self, order: Order, *, card: Card, code: str, message: str) -> None:
        if order.state != "open":
            raise NotPossible("This session is no longer open. 此会话已失效。")
        intent = payments.decline(self.objects, order, card, code=code, message=message)
        order.note = message
        self.world.store.save_order(order)
        self._send("payment_intent.payment_failed", intent, order.number, order.alias)

    def fail(self, order: Order, *, final: bool = False) -> None:
        """A declined card leaves the session open; `final` is a payment that fails after the session is complete."""
        self.decline(order, card=Card("4000000000000002"), code="generic_decline", message="Your card was declined.")
        if final:
            order.state, order.closed_at = "failed", self.world.now()
            self.world.store.save_order(order)
            shown = sessions.shown(self.world, order)
            self._send("checkout.session.async_payment_failed", shown, order.number, order.alias)

    def close(self, order: Order) -> None:
        if order.state != "open":
            raise NotPossible("This session is no longer open. 此会话已失效。")
        self._expire(order)

    # --- begun at Stripe

    def refund(self, order: Order, *, amount: int) -> dict[str, Any]:
        charge = self.charge(order)
        try:
            return self.create_refund({"charge": charge["id"], "amount": str(amount)})
        except StripeError as error:
            raise NotPossible(str(error)) from error

    def settle_refund(self, number: str, *, outcome: str) -> dict[str, Any]:
        try:
            refund = self.objects.get(number, kind="refund")
        except StripeError as error:
            raise NotPossible(str(error)) from error
        self._settle(refund, status=MESSAGES.get(outcome, "failed"))
        return _shown_refund(refund)

    def refunds(self) -> list[dict[str, Any]]:
        return [_shown_refund(refund) for refund in self.objects.all("refund")]

    def dispute(self, order: Order, *, step: str, amount: int | None = None) -> dict[str, Any]:
        """One of `disputes.STEPS`; raise `NotPossible`."""
        if step not in disputes.STEPS:
            raise NotPossible(f"No such step: {step}. There are {', '.join(disputes.STEPS)}.")
        dispute, kinds = disputes.step(self.objects, self.charge(order), name=step, amount=amount)
        for kind in kinds:
            self._send(kind, dispute, order.number, order.alias)
        return dispute

    def warn(self, order: Order) -> dict[str, Any]:
        """An early fraud warning."""
        warning = disputes.warn(self.objects, self.charge(order))
        self._send("radar.early_fraud_warning.created", warning, order.number, order.alias)
        return warning

    def charge(self, order: Order) -> dict[str, Any]:
        if order.state != "paid":
            raise NotPossible("This session is not paid.")
        intent = self.objects.get(order.transaction, kind="payment_intent")
        return self.objects.get(intent["latest_charge"], kind="charge")

    def tick(self, now: float) -> None:
        for order in self.world.store.expired_orders(self.code, now=now):
            self._expire(order)
        for number in list(self._waiting):
            refund = self.world.store.objects.get(number)
            if refund is None or refund["sandbox_due"] <= now:
                self._waiting.discard(number)
            if refund is not None and 0 < refund["sandbox_due"] <= now:
                self._settle(refund, status=refund["sandbox_outcome"])

    def _settle(self, refund: dict[str, Any], *, status: str) -> None:
        refunds.settle(self.objects, refund, status=status)
        self._tell_refund(refund, "refund.updated")
        if refund["status"] == "failed":
            self._tell_refund(refund, "refund.failed")

    def _expire(self, order: Order) -> None:
        order.state, order.closed_at = "closed", self.world.now()
        self.world.store.save_order(order)
        self._send("checkout.session.expired", sessions.shown(self.world, order), order.number, order.alias)

    def _tell_refund(self, refund: dict[str, Any], kind: str) -> None:
        self._send(kind, refund, refund["id"], refund["payment_intent"], *self._names_of(refund["charge"]))

    def _names_of(self, number: str) -> list[str]:
        """The session and the merchant's number behind a charge, refund or dispute."""
        thing = self.world.store.objects.get(number) or {}
        order = self.world.store.order_of_transaction(self.code, str(thing.get("payment_intent", "")))
        return [order.number, order.alias] if order else []

    def _send(self, kind: str, thing: dict[str, Any], *orders: str) -> None:
        events.send(self.world, self.objects, kind, thing, orders=tuple(name for name in orders if name))

    def _order(self, number: str) -> Order:
        order = self.world.store.orders.get(f"stripe:{number}")
        if order is None:
            raise NotPossible(f"No session {number}.")
        return order


def _shown_refund(refund: dict[str, Any]) -> dict[str, Any]:
    states = {"succeeded": "done", "pending": "pending", "failed": "failed", "requires_action": "abnormal"}
    return {
        "provider": "stripe",
        "number": refund["id"],
        "id": refund["id"],
        "order": refund["payment_intent"],
        "amount": refund["amount"],
        "state": states[refund["status"]],
        "reason": refund["reason"],
        "created": refund["created"],
    }
