"""Events: kept, and posted to the webhook with Stripe's signature."""

import copy
import json
from typing import Any

from sandbox import crypto
from sandbox.delivery import Letter, Notification, Signing
from sandbox.stripe.objects import Objects, public
from sandbox.stripe.wire import API_VERSION
from sandbox.world import World

# What a merchant credits or takes back on; the others come beside them.
MAIN = ("checkout.session.", "refund.", "charge.dispute.", "radar.")


def send(
    world: World, objects: Objects, kind: str, thing: dict[str, Any], *, orders: tuple[str, ...]
) -> dict[str, Any]:
    """Post `thing`, as it is now, under this type."""
    event = objects.new(
        "evt",
        "event",
        api_version=API_VERSION,
        data={"object": public(copy.deepcopy(thing))},
        pending_webhooks=1,
        request={"id": None, "idempotency_key": None},
        type=kind,
    )
    secret = world.config.keys.stripe_webhook_secret
    world.delivery.send(
        Notification(
            provider="stripe",
            event=kind,
            orders=orders,
            url=f"{world.config.site_url}/payments/stripe/webhook",
            write=lambda signing, now: letter(secret, event, signing=signing, now=now),
            is_accepted=lambda status, _body: 200 <= status < 300,
            is_main=kind.startswith(MAIN),
        )
    )
    return event


def letter(secret: str, event: dict[str, Any], *, signing: Signing, now: float) -> Letter:
    body = json.dumps(event, ensure_ascii=False, indent=2).encode()
    signed = body + b" " if signing in (Signing.BAD, Signing.PROBE) else body
    signature = crypto.stripe_signature(secret, timestamp=int(now), body=signed)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": f"t={int(now)},v1={signature}",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return Letter(headers, body)
