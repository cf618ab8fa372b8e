"""Stripe Checkout by card, through the real SDK. Facts about it: stripe 16.1.0."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

import stripe

from billing.money import from_minor, minor
from payments.providers.asking import asking
from payments.providers.base import (
    BadSignature,
    Bill,
    Checkout,
    CheckoutOrder,
    DisputeFact,
    Happened,
    Movement,
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
from payments.providers.bills import read_stripe

API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = 15
REFUND_OUTCOMES = {
    "succeeded": RefundOutcome.DONE,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
    "requires_action": RefundOutcome.PARKED,
}
NO_FUNDS = "balance_insufficient"


class StripeProvider:
    """See `base.Provider`. Orders are Checkout Sessions; the reference is a session's id."""

    code = "stripe"
    currency = "USD"

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
        session = self._call(
            lambda: self._client.v1.checkout.sessions.create(
                cast(Any, params), {"idempotency_key": f"checkout-{order.number}"}
            )
        )
        return Checkout(reference=session["id"], checkout_url=session["url"] or "")

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        if not reference:  # a session that nobody was led to cannot have been paid
            return PaymentFact(Outcome.PENDING, order_number=number, detail="no session yet")
        try:
            session = self._call(lambda: self._client.v1.checkout.sessions.retrieve(reference))
        except ProviderError as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))
        outcome = Outcome.PENDING
        if session["payment_status"] == "paid":
            outcome = Outcome.OK
        elif session["status"] == "expired":
            outcome = Outcome.REJECTED
        return PaymentFact(
            outcome,
            order_number=session["client_reference_id"] or "",
            transaction_id=session["payment_intent"] or "",
            amount=from_minor(session["amount_total"] or 0),
            currency=(session["currency"] or "").upper(),
            is_ours=session["client_reference_id"] == number,  # a session of another account cannot be fetched
            detail=f"{session['status']}, {session['payment_status']}",
        )

    def close(self, *, number: str, reference: str) -> None:
        """Expire the session; one that is over already is left as it is."""
        if not reference:
            return
        try:
            self._call(lambda: self._client.v1.checkout.sessions.expire(reference))
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
            refund = self._call(
                lambda: self._client.v1.refunds.create(cast(Any, params), {"idempotency_key": f"refund-{order.key}"})
            )
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        except ProviderRefused as error:
            is_short = NO_FUNDS in str(error)
            return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=str(error))
        return _refund_fact(refund)

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        try:
            if order.refund_id:
                return _refund_fact(self._call(lambda: self._client.v1.refunds.retrieve(order.refund_id)))
            made = self._call(
                lambda: list(
                    self._client.v1.refunds.list(
                        {"payment_intent": order.transaction_id, "limit": 100}
                    ).auto_paging_iter()
                )
            )
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        for refund in made:
            metadata = refund["metadata"].to_dict() if refund["metadata"] else {}
            if metadata.get("part") == order.key:
                return _refund_fact(refund)
        return RefundFact(RefundOutcome.MISSING)

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        made = self._call(
            lambda: list(
                self._client.v1.refunds.list({"payment_intent": transaction_id, "limit": 100}).auto_paging_iter()
            )
        )
        return [_provider_refund(refund) for refund in made]

    def fetch_dispute(self, dispute_id: str) -> DisputeFact:
        dispute = self._call(lambda: self._client.v1.disputes.retrieve(dispute_id)).to_dict()
        due = (dispute.get("evidence_details") or {}).get("due_by")
        return DisputeFact(
            dispute_id=dispute["id"],
            payment_id=dispute.get("payment_intent") or "",
            status=dispute["status"],
            reason=dispute.get("reason") or "",
            amount=from_minor(dispute["amount"]),
            currency=dispute["currency"].upper(),
            opened_at=_at(dispute["created"]),
            evidence_due_at=_at(due) if due else None,
            movements=tuple(
                Movement(
                    row_id=row["id"],
                    amount=from_minor(row["amount"]),
                    fee=from_minor(row["fee"]),
                    currency=row["currency"].upper(),
                    at=_at(row["created"]),
                )
                for row in dispute["balance_transactions"]
            ),
        )

    def fetch_warning(self, warning_id: str) -> WarningFact:
        warning = self._call(lambda: self._client.v1.radar.early_fraud_warnings.retrieve(warning_id)).to_dict()
        payment = warning.get("payment_intent")
        if not payment:
            payment = self._call(lambda: self._client.v1.charges.retrieve(warning["charge"]))["payment_intent"]
        return WarningFact(warning_id=warning["id"], payment_id=payment or "", kind=warning["fraud_type"])

    def order_of_payment(self, payment_id: str) -> str:
        try:
            intent = self._call(lambda: self._client.v1.payment_intents.retrieve(payment_id)).to_dict()
        except ProviderRefused:
            return ""
        return str((intent.get("metadata") or {}).get("order") or "")

    def happened(self, *, since: datetime) -> Happened:
        """Three lists, to the end of each."""
        lately: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        lists = self._client.v1
        disputes, warnings, refunds = (
            self._call(lambda kind=kind: list(kind.list(lately).auto_paging_iter()))
            for kind in (lists.disputes, lists.radar.early_fraud_warnings, lists.refunds)
        )
        return Happened(
            disputes=tuple(dispute["id"] for dispute in disputes),
            warnings=tuple(warning["id"] for warning in warnings),
            refunds=tuple((refund["payment_intent"] or "", _provider_refund(refund)) for refund in refunds),
        )

    def fetch_statement(self, day: date) -> Bill:
        """The balance transactions of a day in UTC; raises `ProviderError`."""
        start = datetime.combine(day, time.min, tzinfo=UTC)
        params: Any = {
            "created": {"gte": int(start.timestamp()), "lt": int((start + timedelta(days=1)).timestamp())},
            "expand": ["data.source"],
            "limit": 100,
        }
        rows = self._call(lambda: list(self._client.v1.balance_transactions.list(params).auto_paging_iter()))
        return read_stripe([row.to_dict() for row in rows])

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        try:
            event = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
                body, headers.get("Stripe-Signature", ""), self._webhook_secret
            ).to_dict()
            kind, key, about = str(event["type"]), str(event["id"]), event["data"]["object"]
        except (stripe.SignatureVerificationError, ValueError, LookupError, TypeError) as error:
            raise BadSignature(str(error)) from None
        number = reference = ""
        if kind.startswith("checkout.session.") and isinstance(about, dict):
            number = str(about.get("client_reference_id") or "")
        elif kind.startswith(("refund.", "charge.refund")) and isinstance(about, dict):
            # "charge.refunded" is about the charge, the others are about the refund; both name the payment.
            number = str((about.get("metadata") or {}).get("part") or "")
            reference = str(about.get("payment_intent") or "")
        elif kind.startswith(("charge.dispute.", "radar.early_fraud_warning.")) and isinstance(about, dict):
            reference = str(about.get("id") or "")
        return Notice(kind=kind, key=key, order_number=number, reference=reference)

    @staticmethod
    def _call(act: Any) -> Any:
        try:
            with asking("stripe"):
                return act()
        except (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError) as error:
            # The last one: the same order is being made by another process just now.
            raise ProviderUnavailable(f"stripe: {type(error).__name__}") from None
        except stripe.StripeError as error:
            status = error.http_status or 0
            text = f"stripe: {type(error).__name__} {error.code or ''}"
            if status >= 500 or status in (0, 409):
                raise ProviderUnavailable(text) from None
            raise ProviderRefused(text) from None


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _refund_fact(refund: Any) -> RefundFact:
    status, why = str(refund["status"]), refund.to_dict().get("failure_reason")
    return RefundFact(
        REFUND_OUTCOMES.get(status, RefundOutcome.PENDING),
        refund_id=str(refund["id"]),
        amount=from_minor(refund["amount"]),
        detail=f"{status} {why or ''}".strip(),
    )


def _provider_refund(refund: Any) -> ProviderRefund:
    fact, metadata = _refund_fact(refund), refund["metadata"].to_dict() if refund["metadata"] else {}
    return ProviderRefund(
        refund_id=fact.refund_id,
        key=str(metadata.get("part") or ""),
        amount=from_minor(refund["amount"]),
        currency=str(refund["currency"]).upper(),
        outcome=fact.outcome,
        detail=fact.detail,
    )
