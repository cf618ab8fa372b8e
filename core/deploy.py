"""`check --deploy`: settings that open a public installation. On this machine's own names nothing is asked."""

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

LEAST_KEY = 32
LEAST_LETTERS = 10
"""Different characters in a secret: what is typed by one finger has fewer."""
SILENT_MAIL = ("console", "filebased", "dummy", "locmem")
OFFICIAL = {
    "STRIPE_API_BASE": ("api.stripe.com",),
    "ALIPAY_GATEWAY": ("openapi.alipay.com",),
    "WECHATPAY_API_BASE": ("api.mch.weixin.qq.com", "api2.mch.weixin.qq.com"),
}
"""Where each provider's API is; anything else is a sandbox, whose money is none."""


def is_public() -> bool:
    """Whether SITE_URL names something that others reach."""
    host = urlsplit(settings.SITE_URL).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


@register(Tags.security, deploy=True)
def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not is_public():
        return []
    return [Error(text, id=f"chuizi.E{number:03}") for number, (found, text) in enumerate(FAULTS, 1) if found()]


def _is_plain() -> bool:
    return not settings.SITE_URL.startswith("https://")


def _is_weak(secret: str) -> bool:
    return len(secret) < LEAST_KEY or len(set(secret)) < LEAST_LETTERS


def _has_weak_secret() -> bool:
    return _is_weak(settings.SECRET_KEY) or _is_weak(settings.FIELD_ENCRYPTION_KEY)


def _takes_any_host() -> bool:
    return any(host.strip() in ("*", ".") for host in settings.ALLOWED_HOSTS)


def _has_sandbox() -> bool:
    given = {name: settings.PAYMENT_VARIABLES.get(name, "") for name in OFFICIAL}
    strange = any(address and urlsplit(address).hostname not in OFFICIAL[name] for name, address in given.items())
    return strange or bool(settings.SANDBOX_URL)


def _has_test_key() -> bool:
    return str(settings.PAYMENT_VARIABLES.get("STRIPE_SECRET_KEY", "")).startswith(("sk_test_", "rk_test_"))


def _is_silent() -> bool:
    return settings.EMAIL_BACKEND.split(".")[-2] in SILENT_MAIL


FAULTS: tuple[tuple[Callable[[], bool], str], ...] = (
    (_is_plain, "SITE_URL starts with http: passwords and keys would be sent in the clear. Put it behind https."),
    (lambda: settings.DEBUG, "DEBUG is on: error pages show settings and code to everybody. Leave it out."),
    (
        _has_weak_secret,
        f"SECRET_KEY or FIELD_ENCRYPTION_KEY can be guessed: make each of at least {LEAST_KEY} random characters, "
        "such as by `openssl rand -base64 48`.",
    ),
    (lambda: not settings.STAFF_SECOND_FACTOR, "STAFF_SECOND_FACTOR is off: a password alone opens /admin/."),
    (_takes_any_host, "ALLOWED_HOSTS takes any name, which lets others choose the links in mails. Name your hosts."),
    (
        _has_sandbox,
        "A payment provider is a sandbox (STRIPE_API_BASE, ALIPAY_GATEWAY, WECHATPAY_API_BASE or "
        "SANDBOX_URL): its payments are not money. Leave the addresses out.",
    ),
    (_is_silent, "EMAIL_URL sends no mail: nobody could confirm an address or hear of a refund."),
    (
        _has_test_key,
        "STRIPE_SECRET_KEY is a test key: whoever types a test card's number gets credit, and spends it at your "
        "upstreams. Put the live one there.",
    ),
)
