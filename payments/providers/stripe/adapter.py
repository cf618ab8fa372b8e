"""Stripe Checkout by card, through the real SDK. Facts about it: stripe 16.1.0."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

import stripe

from billing.books.money import minor
from payments.providers.asking import asking
from payments.providers.base import (
    Bill,
    Checkout,
    CheckoutOrder,
    DisputeFact,
    Happened,
    Notice,
    Outcome,
    PaymentFact,
    ProviderError,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    RefundFact,
    RefundOrder,
    RefundOutcome,
    WarningFact,
)
from payments.providers.reading import inside, mapping, needed, text
from payments.providers.stripe import notices
from payments.providers.stripe.facts import (
    card_of,
    dispute_fact,
    intent_fact,
    part_of,
    payment_fact,
    provider_refund,
    refund_fact,
)
from payments.providers.stripe.saved import SavedCards, is_charge
from payments.providers.stripe.setup import API_VERSION
from payments.providers.stripe.statement import read_transactions

TIMEOUT_SECONDS = 15
NO_FUNDS = "balance_insufficient"


class StripeProvider(SavedCards):
    """See `base.Provider`. Orders are Checkout Sessions, or payment intents of saved cards; `reference` is that id."""

    def __init__(self, *, secret_key: str, webhook_secret: str, api_base: str = "") -> None:
        self._webhook_secret = webhook_secret
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base} if api_base else {},
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
            max_network_retries=1,
            stripe_version=API_VERSION,
        )

    def start_checkout(self, order: CheckoutOrder) -> Checkout:
        """The same order gives the same session: the number is the idempotency key, and nothing in it changes."""
        product: dict[str, Any] = {"name": order.subject}
        price = {"currency": order.currency.lower(), "unit_amount": minor(order.amount), "product_data": product}
        params: dict[str, Any] = {
            "mode": "payment",
            "allowed_payment_method_types": ["card"],
            "adaptive_pricing": {"enabled": False},
            "line_items": [{"quantity": 1, "price_data": price}],
            "client_reference_id": order.number,
            "metadata": {"order": order.number},
            "payment_intent_data": {"metadata": {"order": order.number}},
            "success_url": order.return_url,
            "cancel_url": order.return_url,
            "expires_at": int(order.expires_at.timestamp()),
            "locale": "zh" if order.locale.startswith("zh") else "en",
        }
        if order.three_d_secure:
            params["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
        if order.email:
            params["customer_email"] = order.email
        with asking("stripe"):
            session = self._call(
                lambda: self._client.v1.checkout.sessions.create(
                    cast(Any, params), {"idempotency_key": f"checkout-{order.number}"}
                )
            ).to_dict()
            return Checkout(reference=needed(session, "id"), checkout_url=needed(session, "url", most=2000))

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        if not reference:  # a session that nobody was led to cannot have been paid
            return PaymentFact(Outcome.PENDING, order_number=number, detail="no session yet")
        expand: Any = {"expand": ["payment_intent.latest_charge"]}
        try:
            with asking("stripe"):
                if is_charge(reference):
                    intents = self._client.v1.payment_intents
                    return intent_fact(self._call(lambda: intents.retrieve(reference)).to_dict())
                session = self._call(lambda: self._client.v1.checkout.sessions.retrieve(reference, expand))
                return payment_fact(session.to_dict(), number=number)
        except ProviderError as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))

    def close(self, *, number: str, reference: str) -> None:
        """Expire the session; one that is over already is left as it is."""
        if not reference or is_charge(reference):
            return
        try:
            with asking("stripe"):
                needed(self._call(lambda: self._client.v1.checkout.sessions.expire(reference)).to_dict(), "id")
        except ProviderRefused:
            return

    def send_refund(self, order: RefundOrder) -> RefundFact:
        """Stripe forgets an idempotency key after a day: who asks again after no answer looks first."""
        params: dict[str, Any] = {
            "payment_intent": order.transaction_id,
            "amount": minor(order.amount),
            "reason": "requested_by_customer",
            "metadata": {"order": order.order_number, "part": order.key},
        }
        try:
            with asking("stripe"):
                made = self._call(
                    lambda: self._client.v1.refunds.create(
                        cast(Any, params), {"idempotency_key": f"refund-{order.key}"}
                    )
                )
                return refund_fact(made.to_dict())
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        except ProviderRefused as error:
            is_short = NO_FUNDS in str(error)
            return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=str(error))

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        try:
            with asking("stripe"):
                if order.refund_id:
                    found = self._call(lambda: self._client.v1.refunds.retrieve(order.refund_id))
                    return refund_fact(found.to_dict())
                for refund in self._refunds_of(order.transaction_id):
                    if part_of(refund) == order.key:
                        return refund_fact(refund)
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        return RefundFact(RefundOutcome.MISSING)

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        with asking("stripe"):
            return [provider_refund(refund) for refund in self._refunds_of(transaction_id)]

    def _refunds_of(self, payment_id: str) -> list[dict[str, Any]]:
        return self._listed(self._client.v1.refunds, {"payment_intent": payment_id, "limit": 100})

    def fetch_dispute(self, dispute_id: str) -> DisputeFact:
        with asking("stripe"):
            read: Any = {"expand": ["charge"]}
            return dispute_fact(self._call(lambda: self._client.v1.disputes.retrieve(dispute_id, read)).to_dict())

    def fetch_warning(self, warning_id: str) -> WarningFact:
        with asking("stripe"):
            read: Any = {"expand": ["charge"]}
            warnings = self._client.v1.radar.early_fraud_warnings
            warning = self._call(lambda: warnings.retrieve(warning_id, read)).to_dict()
            charge = inside(warning, "charge")
            return WarningFact(
                warning_id=needed(warning, "id"),
                payment_id=text(warning, "payment_intent") or text(charge, "payment_intent"),
                kind=needed(warning, "fraud_type"),
                card=card_of(charge),
            )

    def find_payment(self, payment_id: str) -> PaymentFact:
        """By the number of a payment intent (`pi_`), or of one of its charges (`ch_`, `py_`)."""
        kinds, none = self._client.v1, PaymentFact(Outcome.REJECTED, detail="no such payment")
        is_charge = payment_id.startswith(("ch_", "py_"))
        try:
            with asking("stripe"):
                if is_charge:
                    charge = self._call(lambda: kinds.charges.retrieve(payment_id)).to_dict()
                    if not (payment_id := text(charge, "payment_intent")):
                        return none
                return intent_fact(self._call(lambda: kinds.payment_intents.retrieve(payment_id)).to_dict())
        except ProviderRefused:
            return none

    def happened(self, *, since: datetime) -> Happened:
        """Three lists, to the end of each."""
        lately = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        lists = self._client.v1
        with asking("stripe"):
            disputes, warnings, refunds = (
                self._listed(kind, lately) for kind in (lists.disputes, lists.radar.early_fraud_warnings, lists.refunds)
            )
            return Happened(
                disputes=tuple(needed(dispute, "id") for dispute in disputes),
                warnings=tuple(needed(warning, "id") for warning in warnings),
                refunds=tuple((text(refund, "payment_intent"), provider_refund(refund)) for refund in refunds),
            )

    def fetch_statement(self, day: date) -> Bill:
        """The balance transactions of a day in UTC; raises `ProviderError`."""
        start = datetime.combine(day, time.min, tzinfo=UTC)
        params = {
            "created": {"gte": int(start.timestamp()), "lt": int((start + timedelta(days=1)).timestamp())},
            "expand": ["data.source"],
            "limit": 100,
        }
        with asking("stripe"):
            return read_transactions(self._listed(self._client.v1.balance_transactions, params))

    def settles_in(self) -> tuple[str, ...]:
        """Its balance names each currency of the account, those without money too."""
        with asking("stripe"):
            balance = self._call(lambda: self._client.v1.balance.retrieve()).to_dict()
            sums = [mapping(row, "a sum") for name in ("available", "pending") for row in balance[name]]
            return tuple(sorted({needed(row, "currency").upper() for row in sums}))

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        return notices.read(body, headers, secret=self._webhook_secret)
