"""Cards kept for later: customers, Checkout in setup mode, and payments while their holder is away."""

from typing import Any

from sandbox.store import Order
from sandbox.stripe import payments, sessions
from sandbox.stripe.acts import VISA, Acts
from sandbox.stripe.payments import Card
from sandbox.stripe.wire import StripeError, whole
from sandbox.world import NotPossible

DECLINED_LATER, WANTS_ITS_HOLDER = "4000000000000341", "4000002760003184"
"""Cards that can be saved: charged later, one is declined, and one's bank wants its holder each time."""
INTENT_NAMES = (
    "allowed_payment_method_types amount automatic_payment_methods capture_method confirm currency customer description"
    " error_on_requires_action expand mandate metadata off_session payment_method payment_method_options receipt_email"
    " return_url setup_future_usage statement_descriptor_suffix"
)
CUSTOMER_NAMES = "address description email expand metadata name phone preferred_locales"
WAITING = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")
LONG = 10 * 365 * payments.DAY


class Keeping(Acts):
    """The part of the provider that keeps cards; knows no HTTP, as all acts."""

    # --- the merchant's

    def create_customer(self, params: dict[str, Any]) -> dict[str, Any]:
        _check_names(params, CUSTOMER_NAMES)
        known = {name: params.get(name) for name in ("description", "email", "name")}
        return self.objects.new("cus", "customer", **known, metadata=dict(params.get("metadata", {})))

    def create_setup(self, params: dict[str, Any]) -> dict[str, Any]:
        """A session in setup mode: nothing is paid, and a card is kept for a customer."""
        sessions.check_setup(params)
        if number := params.get("customer"):
            self.objects.get(str(number), kind="customer", param="customer")
        asked = params.get("setup_intent_data", {})
        three_d_secure = params.get("payment_method_options", {}).get("card", {}).get("request_three_d_secure")
        intent = self.objects.new(
            "seti",
            "setup_intent",
            customer=params.get("customer"),
            last_setup_error=None,
            metadata=dict(asked.get("metadata", {})),
            payment_method=None,
            payment_method_options={"card": {"request_three_d_secure": three_d_secure or "automatic"}},
            payment_method_types=["card"],
            status="requires_payment_method",
            usage="off_session",
        )
        session = self.objects.new(
            "cs_test",
            "checkout.session",
            amount_total=None,
            cancel_url=params.get("cancel_url"),
            client_reference_id=params.get("client_reference_id"),
            currency=params.get("currency"),
            customer=params.get("customer"),
            customer_email=params.get("customer_email"),
            expires_at=int(sessions.expiry(self.world, params.get("expires_at"))),
            locale=params.get("locale"),
            metadata=dict(params.get("metadata", {})),
            mode="setup",
            payment_intent=None,
            payment_method_types=["card"],
            payment_status="no_payment_required",
            setup_intent=intent["id"],
            status="open",
            success_url=params.get("success_url"),
            ui_mode="hosted_page",
        )
        session["url"] = f"{self.world.config.base_url}/stripe/save/{session['id']}"
        self.objects.save(session)
        return session

    def close_setup(self, session: dict[str, Any]) -> dict[str, Any]:
        session |= {"status": "expired", "url": None}
        self.objects.save(session)
        self._send("checkout.session.expired", session, session["id"], str(session["client_reference_id"] or ""))
        return session

    def attach(self, number: str, params: dict[str, Any]) -> dict[str, Any]:
        method = self.objects.get(number, kind="payment_method")
        if method["sandbox_is_used_up"]:
            raise StripeError(
                "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
                "Customer, and may not be used again."
            )
        method["customer"] = self.objects.get(str(params.get("customer", "")), kind="customer", param="customer")["id"]
        self.objects.save(method)
        return method

    def detach(self, number: str) -> dict[str, Any]:
        """It never comes back to any customer."""
        method = self.objects.get(number, kind="payment_method")
        if not method["customer"]:
            raise StripeError(
                "The payment method you provided is not attached to a customer so detachment is impossible."
            )
        method |= {"customer": None, "sandbox_is_used_up": True}
        self.objects.save(method)
        self._send("payment_method.detached", method)
        return method

    def methods_of(self, number: str, query: dict[str, Any]) -> dict[str, Any]:
        self.objects.get(number, kind="customer", param="customer")
        found = [method for method in self.objects.all("payment_method") if method["customer"] == number]
        return self.objects.listed(found, query, url=f"/v1/customers/{number}/payment_methods", filters=("type",))

    def create_intent(self, params: dict[str, Any]) -> dict[str, Any]:
        """A payment by a kept card, confirmed at once; a card that says no raises, and the intent stays."""
        _check_names(params, INTENT_NAMES)
        for name in ("amount", "currency", "customer", "payment_method"):
            if not params.get(name):
                raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
        if (params.get("off_session"), params.get("confirm")) != ("true", "true"):
            raise StripeError("The sandbox knows payments with off_session and confirm alone.", param="off_session")
        amount = whole(params["amount"], param="amount")
        if amount < sessions.MINIMUM.get(params["currency"], 1):
            raise StripeError("Amount must be at least $0.50 usd", code="amount_too_small", param="amount")
        customer = self.objects.get(str(params["customer"]), kind="customer", param="customer")
        method = self.objects.get(str(params["payment_method"]), kind="payment_method", param="payment_method")
        if method["customer"] != customer["id"]:
            raise StripeError(
                f"The payment method {method['id']} is not attached to the customer {customer['id']}, and may not be"
                " used with it.",
                param="payment_method",
            )
        intent, order = self._intent(params, amount=amount, card=method)
        self._send("payment_intent.created", intent, order.number, order.alias)
        return self._confirm(intent, order, Card(method["sandbox_card"]))

    def cancel_intent(self, number: str) -> dict[str, Any]:
        intent = self.objects.get(number, kind="payment_intent")
        if intent["status"] not in WAITING:
            message = (
                f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a"
                f" PaymentIntent with one of the following statuses may be canceled: {', '.join(WAITING)}, processing."
            )
            raise StripeError(message, code="payment_intent_unexpected_state")
        intent |= {"status": "canceled", "canceled_at": int(self.world.now()), "cancellation_reason": None}
        self.objects.save(intent)
        order = self.world.store.orders.get(f"stripe:{number}")
        if order is not None:
            order.state, order.closed_at = "closed", self.world.now()
            self.world.store.save_order(order)
        self._send("payment_intent.canceled", intent, number)
        return intent

    # --- the holder's

    def keep(self, session: dict[str, Any], card: Card = VISA) -> dict[str, Any]:
        """The holder has entered a card, and the bank has confirmed it."""
        if session["status"] != "open" or self.world.now() >= session["expires_at"]:
            raise NotPossible("This session is no longer open. 此会话已失效。")
        customer = session["customer"] or self.create_customer({})["id"]
        method = self.objects.new(
            "pm",
            "payment_method",
            billing_details={"email": session["customer_email"] or "payer@example.com", "name": "Sandbox Payer"},
            card={
                "brand": card.brand,
                "country": "US",
                "exp_month": 12,
                "exp_year": 2034,
                "fingerprint": card.fingerprint,
                "funding": "credit",
                "last4": card.number[-4:],
                "three_d_secure_usage": {"supported": True},
            },
            customer=customer,
            metadata={},
            sandbox_card=card.number,
            sandbox_is_used_up=False,
            type="card",
        )
        intent = self.objects.get(session["setup_intent"], kind="setup_intent")
        intent |= {"status": "succeeded", "payment_method": method["id"], "customer": customer}
        self.objects.save(intent)
        session |= {"status": "complete", "customer": customer, "url": None}
        self.objects.save(session)
        for kind, thing in (
            ("payment_method.attached", method),
            ("setup_intent.succeeded", intent),
            ("checkout.session.completed", session),
        ):
            self._send(kind, thing, session["id"], str(session["client_reference_id"] or ""))
        return session

    def tick(self, now: float) -> None:
        super().tick(now)
        for session in self.objects.all("checkout.session"):
            if session["status"] == "open" and session["expires_at"] <= now:
                self.close_setup(session)

    def _intent(self, params: dict[str, Any], *, amount: int, card: dict[str, Any]) -> tuple[dict[str, Any], Order]:
        metadata = dict(params.get("metadata", {}))
        intent = self.objects.new(
            "pi",
            "payment_intent",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            capture_method="automatic_async",
            currency=str(params["currency"]).lower(),
            customer=card["customer"],
            description=params.get("description"),
            last_payment_error=None,
            latest_charge=None,
            metadata=metadata,
            payment_method=card["id"],
            payment_method_types=["card"],
            receipt_email=params.get("receipt_email"),
            status="requires_confirmation",
        )
        order = Order(
            provider=self.code,
            number=intent["id"],
            token=intent["id"],
            alias=str(metadata.get("order", "")),
            amount=amount,
            currency=str(params["currency"]).upper(),
            description=str(params.get("description") or ""),
            created=self.world.now(),
            expires=self.world.now() + LONG,
            transaction=intent["id"],
            request={"payment_intent_data": {"metadata": metadata}},
        )
        self.world.store.save_order(order)
        return intent, order

    def _confirm(self, intent: dict[str, Any], order: Order, card: Card) -> dict[str, Any]:
        if self.world.faults.take("card_wants_holder", provider=self.code, orders=(order.number, order.alias)) or (
            card.number == WANTS_ITS_HOLDER
        ):
            code, decline, message = (
                "authentication_required",
                "authentication_required",
                "Your card was declined. This transaction requires authentication.",
            )
        elif self.world.faults.take("card_declined", provider=self.code, orders=(order.number, order.alias)) or (
            card.number == DECLINED_LATER
        ):
            code, decline, message = "card_declined", "generic_decline", "Your card was declined."
        elif card.number in payments.DECLINES:
            decline, message = payments.DECLINES[card.number]
            code = "card_declined"
        else:
            paid, charge = payments.capture(self.objects, order, card)
            order.state, order.paid_at = "paid", self.world.now()
            self.world.store.save_order(order)
            self._send("charge.succeeded", charge, order.number, order.alias)
            self._send("payment_intent.succeeded", paid, order.number, order.alias)
            if card.number == payments.DISPUTED:
                self.dispute(order, step="open")
                self.dispute(order, step="withdraw")
            if card.number == payments.WARNED:
                self.warn(order)
            return paid
        failed = payments.decline(self.objects, order, card, code=decline, message=message)
        failed["last_payment_error"]["code"] = code
        failed |= {"status": "requires_payment_method", "payment_method": None}
        self.objects.save(failed)
        self._send("payment_intent.payment_failed", failed, order.number, order.alias)
        raise StripeError(
            message,
            status=402,
            code=code,
            kind="card_error",
            more={"charge": failed["latest_charge"], "decline_code": decline, "payment_intent": failed},
        )


def _check_names(params: dict[str, Any], known: str) -> None:
    for name in params:
        if name not in known.split():
            raise StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
