"""Secrets of endpoints, and the headers by which a receiver knows that a post is ours, as Standard Webhooks has them
(https://www.standardwebhooks.com).
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from standardwebhooks import Webhook

BOTH_SIGN = timedelta(hours=24)
"""How long the secret before a rotation signs too."""


def new_secret() -> str:
    """32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(*, message_id: str, body: str, signed_with: Sequence[str], now: datetime) -> dict[str, str]:
    """A signature for each secret, the newest first. `now` is this machine's time, which the receiver's is held to."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Chuizi-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in signed_with),
    }
