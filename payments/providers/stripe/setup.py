"""Is Stripe set up right: its variables, a test event, and what belongs in its console."""

import hashlib
import hmac
import json
import time

from django.core.exceptions import ImproperlyConfigured

from payments.providers.spec import Letter, Values
from payments.providers.variables import is_local

API_VERSION = "2026-10-28.endive"
EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
)


def account(values: Values) -> dict[str, str]:
    """Raises `ImproperlyConfigured`."""
    is_live = not values["STRIPE_SECRET_KEY"].startswith(("sk_test_", "rk_test_"))
    if is_live and is_local(values["STRIPE_API_BASE"]):
        raise ImproperlyConfigured("STRIPE_SECRET_KEY is a live key, but STRIPE_API_BASE is a sandbox.")
    if not values["STRIPE_WEBHOOK_SECRET"].startswith("whsec_"):
        raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET must start with whsec_.")
    if not values["STRIPE_SECRET_KEY"].startswith(("sk_", "rk_")):
        raise ImproperlyConfigured("STRIPE_SECRET_KEY must start with sk_ or rk_.")
    return {
        "secret_key": values["STRIPE_SECRET_KEY"],
        "webhook_secret": values["STRIPE_WEBHOOK_SECRET"],
        "api_base": values["STRIPE_API_BASE"].rstrip("/"),
    }


def letter(values: Values) -> Letter:
    """Signed as Stripe signs; of a kind that nothing is done about."""
    event = {
        "id": "evt_chuizi_check",
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "type": "chuizi.check",
        "data": {"object": {"object": "check"}},
    }
    body = json.dumps(event).encode()
    stamp = int(time.time())
    secret = values["STRIPE_WEBHOOK_SECRET"]
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={stamp},v1={signature}"}
    return Letter(body, headers, signed_with="STRIPE_WEBHOOK_SECRET")


def console(values: Values, notify_url: str, refund_notify_url: str) -> list[str]:
    return [
        "Developers > Webhooks > Add destination:",
        f"  Endpoint URL: {notify_url}",
        f"  API version: {API_VERSION}",
        f"  Events: {', '.join(EVENTS)}",
        "  Signing secret: goes into STRIPE_WEBHOOK_SECRET",
    ]
