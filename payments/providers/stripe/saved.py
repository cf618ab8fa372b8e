"""Cards that Stripe keeps: Checkout in setup mode, and payment intents while the holder is away. Facts: stripe 16.1.0.

A card that says no, or whose bank wants its holder, raises `CardError` with status 402; the intent in it stays, and the
same idempotency key gets the same error again. A card that is detached is never taken again, by an error 400.
"""

from collections.abc import Mapping
from typing import Any, cast

import stripe

from billing.books.money import minor
from payments.providers.asking import asking
from payments.providers.base import Checkout, Outcome, PaymentFact, ProviderError, ProviderRefused
from payments.providers.keeping import ChargeFact, ChargeOrder, KeepOrder, Kept, KeptFact, No
from payments.providers.reading import NotReadable, inside, mapping, needed, text, whole, words
from payments.providers.stripe.calling import Caller
from payments.providers.stripe.facts import MOST_OWN, fingerprint_of, intent_fact

WAITING = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")
"""States of an intent that somebody could still make a payment of."""
WANTS_HOLDER = "authentication_required"


def is_charge(reference: str) -> bool:
    """Whether it names a payment intent of ours, not a session."""
    return reference.startswith("pi_")


class SavedCards(Caller):
    """See `base.KeepingProvider`. The page's reference is a session's id, the card's a payment method's."""

    def start_keeping(self, order: KeepOrder) -> Checkout:
        params: dict[str, Any] = {
            "mode": "setup",
            "currency": order.currency.lower(),
            "allowed_payment_method_types": ["card"],
            "payment_method_options": {"card": {"request_three_d_secure": "any"}},
            "client_reference_id": order.number,
            "setup_intent_data": {"metadata": {"card": order.number}},
            "success_url": order.return_url,
            "cancel_url": order.return_url,
            "expires_at": int(order.expires_at.timestamp()),
            "locale": "zh" if order.locale.startswith("zh") else "en",
        }
        if order.payer:
            params["customer"] = order.payer
        else:
            params["customer_creation"] = "always"
            if order.email:
                params["customer_email"] = order.email
        with asking("stripe"):
            session = self._call(
                lambda: self._client.v1.checkout.sessions.create(
                    cast(Any, params), {"idempotency_key": f"keep-{order.number}"}
                )
            ).to_dict()
            return Checkout(reference=needed(session, "id"), checkout_url=needed(session, "url", most=2000))

    def fetch_kept(self, reference: str) -> KeptFact:
        expand: Any = {"expand": ["setup_intent.payment_method"]}
        try:
            with asking("stripe"):
                session = self._call(lambda: self._client.v1.checkout.sessions.retrieve(reference, expand)).to_dict()
                status, intent = needed(session, "status"), inside(session, "setup_intent")
                if status == "complete" and text(intent, "status") == "succeeded":
                    method = mapping(intent.get("payment_method"), "the card")
                    return KeptFact(Outcome.OK, _kept(method, payer=needed(session, "customer")))
                return KeptFact(Outcome.REJECTED if status == "expired" else Outcome.PENDING, detail=words(status))
        except ProviderError as error:
            return KeptFact(Outcome.UNKNOWN, detail=str(error))

    def stop_keeping(self, reference: str) -> None:
        try:
            with asking("stripe"):
                needed(self._call(lambda: self._client.v1.checkout.sessions.expire(reference)).to_dict(), "id")
        except ProviderRefused:
            return

    def charge(self, order: ChargeOrder) -> ChargeFact:
        params: dict[str, Any] = {
            "amount": minor(order.amount),
            "currency": order.currency.lower(),
            "customer": order.payer,
            "payment_method": order.reference,
            "allowed_payment_method_types": ["card"],
            "off_session": True,
            "confirm": True,
            "description": order.subject,
            "metadata": {"order": order.number},
        }
        try:
            with asking("stripe"):
                intent = self._call(lambda: self._create(params, key=f"charge-{order.number}"))
                return intent if isinstance(intent, ChargeFact) else _charge_fact(intent.to_dict())
        except ProviderRefused as error:
            return _no(No.REFUSED, str(error))
        except ProviderError as error:
            return ChargeFact(PaymentFact(Outcome.UNKNOWN, detail=str(error)))

    def _create(self, params: dict[str, Any], *, key: str) -> Any:
        try:
            return self._client.v1.payment_intents.create(cast(Any, params), {"idempotency_key": key})
        except stripe.CardError as error:
            return _declined(error)
        except stripe.InvalidRequestError as error:
            if error.param != "payment_method" or not isinstance(error.json_body, Mapping):
                raise
            return _no(No.CARD_GONE, words(error.code or error.param))
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise NotReadable(f"stripe: {type(error).__name__}") from None  # our key is wrong, not the card

    def find_charge(self, order: ChargeOrder) -> ChargeFact:
        try:
            with asking("stripe"):
                intents = self._listed(self._client.v1.payment_intents, {"customer": order.payer, "limit": 100})
                for intent in intents:
                    if text(inside(intent, "metadata"), "order", most=MOST_OWN) == order.number:
                        return _charge_fact(intent)
        except ProviderError as error:
            return ChargeFact(PaymentFact(Outcome.UNKNOWN, detail=str(error)))
        return ChargeFact(PaymentFact(Outcome.PENDING, detail="no such payment"), is_missing=True)

    def call_off(self, payment_id: str) -> ChargeFact:
        intents = self._client.v1.payment_intents
        try:
            with asking("stripe"):
                try:
                    return _charge_fact(self._call(lambda: intents.cancel(payment_id)).to_dict())
                except ProviderRefused:  # it is over already, one way or the other
                    return _charge_fact(self._call(lambda: intents.retrieve(payment_id)).to_dict())
        except ProviderError as error:
            return ChargeFact(PaymentFact(Outcome.UNKNOWN, detail=str(error)))

    def forget(self, reference: str) -> None:
        try:
            with asking("stripe"):
                needed(self._call(lambda: self._client.v1.payment_methods.detach(reference)).to_dict(), "id")
        except ProviderRefused:
            method = self._attached(reference)
            if method:
                raise

    def _attached(self, reference: str) -> bool:
        try:
            with asking("stripe"):
                method = self._call(lambda: self._client.v1.payment_methods.retrieve(reference)).to_dict()
                return bool(method.get("customer"))
        except ProviderRefused:
            return False


def _kept(method: Mapping[str, Any], *, payer: str) -> Kept:
    card = mapping(method.get("card"), "card")
    return Kept(
        payer=payer,
        reference=needed(method, "id"),
        brand=needed(card, "brand", most=30),
        last4=needed(card, "last4", most=4),
        exp_month=whole(card, "exp_month"),
        exp_year=whole(card, "exp_year"),
        fingerprint=fingerprint_of(card),
    )


def _charge_fact(intent: Mapping[str, Any]) -> ChargeFact:
    fact, code = intent_fact(intent), text(inside(intent, "last_payment_error"), "code")
    why = No.AUTHENTICATION if code == WANTS_HOLDER or fact.detail == "requires_action" else No.DECLINED
    if fact.detail in WAITING:
        return _no(why, code or fact.detail, payment_id=fact.transaction_id)
    if fact.outcome is Outcome.REJECTED:
        return ChargeFact(fact, why=why if code else No.REFUSED)
    return ChargeFact(fact)


def _declined(error: stripe.CardError) -> ChargeFact:
    """What a card's error tells, with the intent that stays."""
    if error.http_status != 402:
        raise error
    told = inside(mapping(error.json_body), "error")
    code = text(told, "code")
    detail = " ".join(word for word in (code, text(told, "decline_code")) if word)
    why = No.AUTHENTICATION if code == WANTS_HOLDER else No.DECLINED
    return _no(why, detail, payment_id=text(inside(told, "payment_intent"), "id"))


def _no(why: No, detail: str, *, payment_id: str = "") -> ChargeFact:
    return ChargeFact(PaymentFact(Outcome.REJECTED, detail=words(detail)), why=why, payment_id=payment_id)
