"""Settings' values from the environment; a `.env` file works. A wrong one stops the start with a sentence naming it."""

from datetime import date
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()
environ.Env.read_env(Path(__file__).resolve().parent.parent / ".env")


def decimal(name: str, default: str, *, least: str = "0", most: str = "", places: int | None = None) -> Decimal:
    """A number from `least` to `most`, of at most so many decimal places; raises `ImproperlyConfigured`."""
    text = env.str(name, default)
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ImproperlyConfigured(f"{name} must be a decimal number such as {default}, not {text!r}.") from None
    if not value.is_finite() or value < Decimal(least):
        raise ImproperlyConfigured(f"{name} must be at least {least}, not {text!r}.")
    if most and value > Decimal(most):
        raise ImproperlyConfigured(f"{name} must be at most {most}, not {text!r}.")
    if places is not None and value != round(value, places):
        raise ImproperlyConfigured(f"{name} must have at most {places} decimal places, not {text!r}.")
    return value


def yuan_a_dollar(name: str) -> Decimal:
    """An exchange rate, 0 where none is set; raises `ImproperlyConfigured`, as for the dollars that a yuan costs."""
    rate = decimal(name, "0", most="100", places=6)
    if 0 < rate < 1:
        raise ImproperlyConfigured(f"{name} is what a dollar costs in yuan, such as 7.12, not {rate}.")
    return rate


def count(name: str, default: int, *, least: int = 0) -> int:
    text = env.str(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {least}, not {text!r}.")
    return int(text)


def zone(name: str, default: str) -> ZoneInfo:
    text = env.str(name, default)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ImproperlyConfigured(f"{name} must be a time zone such as {default}, not {text!r}.") from None


def days(name: str) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(day.strip()) for day in env.list(name, default=[]))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be days such as 2027-01-01,2027-02-06.") from None


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        found = tuple(ip_network(text.strip(), strict=False) for text in env.list(name, default=[]))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be networks such as 10.0.0.0/8,192.0.2.7.") from None
    if any(network.prefixlen == 0 for network in found):
        raise ImproperlyConfigured(f"{name} names everybody; name the networks that your proxies are in.")
    return found
