"""Stripe: cards, by a page of theirs (Checkout)."""

from collections.abc import Mapping
from datetime import UTC, timedelta

from core.web.errors import error_body
from payments.providers.base import Provider
from payments.providers.spec import Answer, ProviderSpec
from payments.providers.stripe import setup

NOT_SIGNED = error_body(message="This is not an event signed by Stripe.", status=400, code="validation_error")


def adapter(account: Mapping[str, str]) -> Provider:
    from payments.providers.stripe.adapter import StripeProvider

    return StripeProvider(**account)


STRIPE = ProviderSpec(
    code="stripe",
    currency="USD",
    is_card=True,
    variable_prefix="STRIPE",
    required=("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"),
    address="STRIPE_API_BASE",
    account=setup.account,
    adapter=adapter,
    loggers=("stripe",),
    # It takes no session that ends within 30 minutes; the rest is time to ask again when it does not answer.
    order_life=timedelta(hours=1),
    checkout_origin="https://checkout.stripe.com",
    refund_window_days=180,
    dispute_page="https://dashboard.stripe.com/disputes/{}",
    statement_zone=UTC,
    notify_path="/payments/stripe/webhook",
    refund_notify_path="/payments/stripe/webhook",
    accepted=Answer(200, "ok"),
    refused=Answer(400, NOT_SIGNED),
    signature_header="Stripe-Signature",
    payment_number=r"(?:pi|ch|py)_\w{6,80}",
    letter=setup.letter,
    console=setup.console,
    unknown_reference="cs_test_chuizicheck",
)
