"""A key never makes one that may do more than itself: no scope, model, address, cap, rate or expiry is wider."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings

from accounts.keys.wildcards import covers
from accounts.models import ApiKey
from accounts.models.caps import CAPS
from accounts.roles import DEFAULT_SCOPES

NO_RATE = 2**31
"""Where 0 stands for no limit at all."""
FIELDS = ("scopes", "allowed_models", "allowed_ips", *CAPS, "rpm_limit", "concurrency_limit", "expires_at")


def widened(key: ApiKey, wanted: Mapping[str, Any]) -> str:
    """The first field in which `wanted` is wider than `key` itself; "" where none is.

    `wanted` holds values as `ApiKey` keeps them; a field that is left out has its usual value of a new key.
    """
    return next((field for field in FIELDS if _is_wider(field, wanted.get(field), key)), "")


def _is_wider(field: str, value: Any, key: ApiKey) -> bool:
    own: Any = ends_of(key) if field == "expires_at" else getattr(key, field)
    match field:
        case "scopes":
            return not set(DEFAULT_SCOPES if value is None else value) <= set(own)
        case "allowed_models":
            return bool(own) and not (value and all(covers(own, name) for name in value))
        case "allowed_ips":
            return bool(own) and not (value and all(_lies_within(own, text) for text in value))
        case "rpm_limit":
            return _rate(value) > _rate(own)
    return own is not None and (value is None or value > own)


def ends_of(key: ApiKey) -> datetime | None:
    """When a key that `issuing.find` found works no longer under the text that it was found by; None for never."""
    ends = [end for end in (key.expires_at, getattr(key, "text_ends", None)) if end is not None]
    return min(ends, default=None)


def _lies_within(own: list[str], text: str) -> bool:
    inner = ip_network(text, strict=False)
    return any(_contains(ip_network(outer, strict=False), inner) for outer in own)


def _contains(outer: IPv4Network | IPv6Network, inner: IPv4Network | IPv6Network) -> bool:
    if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def _rate(value: int | None) -> int:
    """Requests per minute, as a number that compares; unset is the default."""
    return (settings.DEFAULT_KEY_RPM if value is None else value) or NO_RATE
