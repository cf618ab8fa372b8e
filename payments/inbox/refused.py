"""Notifications that did not verify: anybody may send them, so they are counted, and only a few are kept to look at.

The kept ones stand in the cache, one for each ten seconds and provider, the oldest overwritten by the newest: whoever
floods the addresses fills nothing.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.cache import caches
from django.db import DatabaseError
from prometheus_client import Counter

log = logging.getLogger(__name__)

KEPT = 8
"""Samples of each provider."""
EVERY_SECONDS = 10
FOR_SECONDS = 7 * 86400
MOST_BYTES = 1000
"""Of a body, and of the headers together."""
SECRET_HEADERS = frozenset({"cookie", "authorization", "proxy-authorization", "x-api-key", "x-goog-api-key"})
REFUSED = Counter("chuizi_notifications_refused_total", "Notifications that did not verify.", ["provider"])
_last_slot: dict[str, int] = {}


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they may be stored."""
    return {name: value.replace("\x00", "") for name, value in headers.items() if name.lower() not in SECRET_HEADERS}


def count(*, provider: str, reason: str, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    """Count a refusal; keep and log it if none was in these ten seconds, by this process."""
    REFUSED.labels(provider).inc()
    slot = int(now.timestamp()) // EVERY_SECONDS
    if _last_slot.get(provider) == slot:
        return
    _last_slot[provider] = slot
    log.warning("a %s notification was refused: %s", provider, reason)
    sample = {
        "at": now.isoformat(timespec="seconds"),
        "reason": reason[:200],
        "headers": str(without_secrets(headers))[:MOST_BYTES],
        "body": body[:MOST_BYTES].decode("utf-8", "replace"),
    }
    try:
        caches["pages"].set(_key(provider, slot % KEPT), sample, FOR_SECONDS)
    except DatabaseError as error:
        log.warning("a refused notification was not kept: %s", type(error).__name__)


def samples(*, provider: str) -> list[dict[str, Any]]:
    """The kept ones of the last week, the newest first: `at` (ISO 8601), `reason`, `headers`, `body`."""
    found = caches["pages"].get_many([_key(provider, slot) for slot in range(KEPT)]).values()
    return sorted(found, key=lambda sample: str(sample["at"]), reverse=True)


def _key(provider: str, slot: int) -> str:
    return f"refused:{provider}:{slot}"
