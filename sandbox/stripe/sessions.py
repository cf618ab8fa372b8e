"""Checkout Sessions: reading what the merchant asks for, and showing a session."""

import time
from typing import Any

from sandbox import crypto
from sandbox.store import Order
from sandbox.stripe.wire import StripeError, whole
from sandbox.world import World

SHORTEST, LONGEST = 1800 - 60, 86400  # seconds to expiry that Stripe takes, with a minute's grace
MINIMUM = {"usd": 50}
# What Stripe 2026-10-28 takes for a session.
PARAMETER_NAMES = (
    "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types automatic_tax "
    "billing_address_collection branding_settings cancel_url client_reference_id consent_collection currency "
    "custom_fields custom_text customer customer_account customer_creation customer_email customer_update discounts "
    "excluded_payment_method_types expand expires_at integration_identifier invoice_creation line_items locale "
    "managed_payments metadata mode name_collection optional_items origin_context payment_intent_data "
    "payment_method_collection payment_method_configuration payment_method_data payment_method_options "
    "permissions phone_number_collection redirect_on_completion return_url "
    "saved_payment_method_options setup_intent_data shipping_address_collection shipping_options submit_type "
    "subscription_data success_url tax_id_collection ui_mode wallet_options crypto_wallet_options"
)
PARAMETERS = frozenset(PARAMETER_NAMES.split())


def check_setup(params: dict[str, Any]) -> None:
    """Raise `StripeError` for whatever Stripe would not take of a session in setup mode."""
    _check_parameters(params)
    if not params.get("success_url"):
        raise StripeError("Missing required param: success_url.", code="parameter_missing", param="success_url")
    if not params.get("currency") and not params.get("allowed_payment_method_types"):
        raise StripeError("Missing required param: currency.", code="parameter_missing", param="currency")
    for name in ("line_items", "payment_intent_data", "submit_type"):
        if name in params:
            raise StripeError(f"You can not pass `{name}` in `setup` mode.", param=name)
    if params.get("customer") and params.get("customer_creation"):
        raise StripeError("You may only specify one of these parameters: customer, customer_creation.")
    if params.get("customer") and params.get("customer_email"):
        raise StripeError("You may only specify one of these parameters: customer, customer_email.")


def create(world: World, params: dict[str, Any]) -> Order:
    """Raise `StripeError` for whatever Stripe would not take of a session in payment mode."""
    _check_parameters(params)
    for name in ("mode", "line_items", "success_url"):
        if not params.get(name):
            raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if params["mode"] != "payment":
        raise StripeError(f"Invalid mode: the sandbox knows payment and setup, not {params['mode']}", param="mode")
    amount, currency, name = _sum(params["line_items"])
    if amount < MINIMUM.get(currency, 1):
        message = f"The Checkout Session's total amount must convert to at least 50 cents. {amount} {currency} is less."
        raise StripeError(message, code="amount_too_small", param="line_items")
    if amount > 99_999_999:
        raise StripeError("Amount must be no more than $999,999.99", code="amount_too_large", param="line_items")
    metadata = params.get("metadata", {})
    if not isinstance(metadata, dict) or len(metadata) > 50:
        raise StripeError("Invalid metadata", param="metadata")
    number = f"cs_test_{crypto.letters(58)}"
    order = Order(
        provider="stripe",
        number=number,
        token=number,
        alias=str(params.get("client_reference_id", "")),
        amount=amount,
        currency=currency.upper(),
        description=name,
        created=world.now(),
        expires=expiry(world, params.get("expires_at")),
        request=params,
    )
    world.store.save_order(order)
    return order


def _check_parameters(params: dict[str, Any]) -> None:
    if "payment_method_types" in params:  # gone since 2026-09-30
        raise StripeError(
            "payment_method_types is no longer supported. Use allowed_payment_method_types.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    for name in params:
        if name not in PARAMETERS:
            raise StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    for name in ("success_url", "cancel_url"):
        if params.get(name) and not str(params[name]).startswith(("http://", "https://")):
            raise StripeError("Not a valid URL", code="url_invalid", param=name)
    methods = params.get("allowed_payment_method_types", ["card"])
    if not isinstance(methods, list) or methods != ["card"]:
        raise StripeError(
            f"The payment method types provided ({methods}) are not active.", param="allowed_payment_method_types"
        )


def shown(world: World, order: Order) -> dict[str, Any]:
    status = {"open": "open", "paid": "complete", "failed": "complete", "closed": "expired"}[order.state]
    asked = order.request
    said = {"amount": order.amount, "currency": order.currency, "payment_status": "unpaid", **order.reported}
    if order.state == "paid":
        said = {**said, "payment_status": "paid", **order.reported}
    email = asked.get("customer_email")
    details = {"email": email or "payer@example.com", "name": "Sandbox Payer", "phone": None, "tax_exempt": "none"}
    return {
        "id": order.number,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": str(asked.get("adaptive_pricing", {}).get("enabled", "true")) == "true"},
        "amount_subtotal": said["amount"],
        "amount_total": said["amount"],
        "cancel_url": asked.get("cancel_url"),
        "client_reference_id": asked.get("client_reference_id"),
        "created": int(order.created),
        "currency": str(said["currency"]).lower(),
        "customer": None,
        "customer_details": details if order.state == "paid" else None,
        "customer_email": email,
        "expires_at": int(order.expires),
        "livemode": False,
        "locale": asked.get("locale"),
        "metadata": dict(asked.get("metadata", {})),
        "mode": "payment",
        "payment_intent": order.transaction or None,
        "payment_method_types": ["card"],
        "payment_status": said["payment_status"],
        "status": status,
        "success_url": asked.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": asked.get("ui_mode", "hosted_page"),
        "url": f"{world.config.base_url}/stripe/pay/{order.token}" if order.state == "open" else None,
    }


def _sum(items: Any) -> tuple[int, str, str]:
    """The whole amount in cents, its currency in small letters, the first thing's name."""
    if not isinstance(items, list):
        raise StripeError("Invalid array", param="line_items")
    total, currencies, names = 0, [], []
    for index, item in enumerate(items):
        param = f"line_items[{index}]"
        price = item.get("price_data") if isinstance(item, dict) else None
        if not isinstance(price, dict):
            raise StripeError("Specify price_data.", code="parameter_missing", param=f"{param}[price_data]")
        if not price.get("currency"):
            raise StripeError(
                "Missing required param: currency.", code="parameter_missing", param=f"{param}[price_data]"
            )
        product = price.get("product_data")
        if not isinstance(product, dict) or not product.get("name"):
            raise StripeError("Missing required param: product_data.", code="parameter_missing", param=param)
        unit = whole(price.get("unit_amount", ""), param=f"{param}[price_data][unit_amount]")
        quantity = whole(item.get("quantity", ""), param=f"{param}[quantity]")
        if unit < 0 or quantity < 1:
            raise StripeError("Amounts and quantities must be positive.", param=param)
        total += unit * quantity
        currencies.append(str(price["currency"]).lower())
        names.append(str(product["name"]))
    if len(set(currencies)) != 1:
        raise StripeError("All line items must have the same currency.", param="line_items")
    return total, currencies[0], names[0]


def expiry(world: World, given: Any) -> float:
    """When a session ends, unix seconds; raise `StripeError`."""
    now = time.time()
    if given is None:
        return world.now() + LONGEST
    at = whole(given, param="expires_at")
    if not SHORTEST <= at - now <= LONGEST + 60:
        message = (
            "The `expires_at` timestamp must be at least 30 minutes"
            if at - now < SHORTEST
            else "The `expires_at` timestamp must be less than 24 hours"
        )
        raise StripeError(f"{message} from Checkout Session creation.", param="expires_at")
    return at + world.offset
