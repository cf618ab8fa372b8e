"""What webhooks post, in the schema: each event with its payload and an example, as OpenAPI 3.1 has webhooks."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.utils import translation

from billing.outbox.kinds import EVENTS as FACTS
from billing.outbox.kinds import Shown
from webhooks.kinds import EVENTS, TEST

OBJECTS: Mapping[Shown, str] = {
    Shown.TOPUP: "TopUp",
    Shown.REFUND: "Refund",
    Shown.INVOICE: "Invoice",
    Shown.CREDITS: "Credits",
    Shown.AUTO_TOPUP: "AutoTopUp",
    Shown.STATEMENT: "Statement",
    Shown.KEY: "Key",
    Shown.BUDGET: "SpentShare",
    Shown.DISPUTE: "OpenedDispute",
    Shown.ACCOUNT: "SuspendedAccount",
}
"""The schema of each object. The last three have no GET, and stand in `payloads.yaml`."""
HEADERS = {
    "webhook-id": "The event's: the same at each attempt and replay. Deduplicate by it.",
    "webhook-timestamp": "When this attempt was signed, in seconds since 1970.",
    "webhook-signature": "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; two of them for a day after a"
    " rotation, with a space between.",
}
ANSWERS = {
    "2XX": "Delivered. Answer within 10 seconds, and work afterwards.",
    "410": "The address is gone for good: the endpoint is switched off.",
    "default": "A failed attempt, redirects among it. Others follow, ten in three days.",
}


@cache
def _payloads() -> Mapping[str, Any]:
    """`schemas` by name, and `examples` of `data` by event."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("payloads.yaml").read_text("utf-8"))
    return found


def schemas() -> dict[str, Any]:
    """Of the objects that have no GET."""
    return dict(_payloads()["schemas"])


def events() -> dict[str, Any]:
    """By event, as OpenAPI has webhooks. Raises `LookupError` for one without an example."""
    objects = {event: OBJECTS[what] for event, what in FACTS.values()}
    with translation.override("en"):
        told = {event: str(words) for event, words in EVENTS.items()} | {TEST: "you asked for a test"}
    return {event: {"post": _operation(event, words, objects.get(event, "TestPost"))} for event, words in told.items()}


def _operation(event: str, words: str, name: str) -> dict[str, Any]:
    data = _payloads()["examples"][event]
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "const": event},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it became true."},
            "data": {"$ref": f"#/components/schemas/{name}"},
        },
    }
    example = {"type": event, "timestamp": "2026-11-23T12:00:00Z", "data": data}
    return {
        "operationId": f"on_{event.replace('.', '_')}",
        "summary": f"{event}: {words}",
        "tags": ["webhooks"],
        "parameters": [
            {"name": header, "in": "header", "required": True, "schema": {"type": "string"}, "description": said}
            for header, said in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        },
        "responses": {status: {"description": said} for status, said in ANSWERS.items()},
    }
