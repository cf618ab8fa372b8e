"""Which providers are on, made from the settings; a half-configured one stops the start with a sentence."""

import ipaddress
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.providers.base import Provider

REQUIRED = {
    "stripe": ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"),
    "alipay": ("ALIPAY_APP_ID", "ALIPAY_SELLER_ID", "ALIPAY_APP_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY"),
    "wechat": (
        "WECHATPAY_MCHID",
        "WECHATPAY_APPID",
        "WECHATPAY_PRIVATE_KEY",
        "WECHATPAY_CERT_SERIAL",
        "WECHATPAY_APIV3_KEY",
        "WECHATPAY_PUBLIC_KEY",
        "WECHATPAY_PUBLIC_KEY_ID",
    ),
}
ADDRESS = {"stripe": "STRIPE_API_BASE", "alipay": "ALIPAY_GATEWAY", "wechat": "WECHATPAY_API_BASE"}


def providers() -> dict[str, Provider]:
    """The providers that are on, by code; raises `ImproperlyConfigured`."""
    return _made(tuple(sorted(settings.PAYMENT_VARIABLES.items())), settings.DEBUG)


def get(code: str) -> Provider:
    """A provider that is on; raises `LookupError`."""
    return providers()[code]


def check() -> None:
    """Raise `ImproperlyConfigured` for what is half or wrongly set; loads no SDK, which a gateway does without."""
    _accounts(tuple(sorted(settings.PAYMENT_VARIABLES.items())), settings.DEBUG)


@cache
def _made(variables: tuple[tuple[str, str], ...], debug: bool) -> dict[str, Provider]:
    return {code: _provider(code, account) for code, account in _accounts(variables, debug).items()}


@cache
def _accounts(variables: tuple[tuple[str, str], ...], debug: bool) -> dict[str, dict[str, str]]:
    """What each provider that is on is made with, checked."""
    values = dict(variables)
    return {code: ACCOUNTS[code](values) for code in REQUIRED if _is_on(code, values, debug=debug)}


def _provider(code: str, account: dict[str, str]) -> Provider:
    if code == "stripe":
        from payments.providers.stripe import StripeProvider

        return StripeProvider(**account)
    if code == "alipay":
        from payments.providers.alipay import AlipayProvider

        return AlipayProvider(**account)
    from payments.providers.wechat import WechatProvider

    return WechatProvider(**account)


def _is_on(code: str, values: Mapping[str, str], *, debug: bool) -> bool:
    missing = [name for name in REQUIRED[code] if not values[name]]
    if len(missing) == len(REQUIRED[code]):
        return False
    if missing:
        raise ImproperlyConfigured(f"{missing[0]} is not set, but other variables of {code} are. Set all or none.")
    if address := values[ADDRESS[code]]:
        _check_address(ADDRESS[code], address, debug=debug)
        is_live = code == "stripe" and not values["STRIPE_SECRET_KEY"].startswith(("sk_test_", "rk_test_"))
        if is_live and _is_local(address):
            raise ImproperlyConfigured("STRIPE_SECRET_KEY is a live key, but STRIPE_API_BASE is a sandbox.")
    return True


def _check_address(name: str, address: str, *, debug: bool) -> None:
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise ImproperlyConfigured(f"{name} must be a URL such as https://api.example.com.")
    if _is_local(address) and not debug:
        raise ImproperlyConfigured(f"{name} is a sandbox on this machine, which needs DEBUG=True.")
    if not _is_local(address) and urlsplit(address).scheme != "https":
        raise ImproperlyConfigured(f"{name} must start with https://.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if not host:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _stripe(values: Mapping[str, str]) -> dict[str, str]:
    if not values["STRIPE_WEBHOOK_SECRET"].startswith("whsec_"):
        raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET must start with whsec_.")
    if not values["STRIPE_SECRET_KEY"].startswith(("sk_", "rk_")):
        raise ImproperlyConfigured("STRIPE_SECRET_KEY must start with sk_ or rk_.")
    return {
        "secret_key": values["STRIPE_SECRET_KEY"],
        "webhook_secret": values["STRIPE_WEBHOOK_SECRET"],
        "api_base": values["STRIPE_API_BASE"].rstrip("/"),
    }


def _alipay(values: Mapping[str, str]) -> dict[str, str]:
    return {
        "app_id": values["ALIPAY_APP_ID"],
        "seller_id": values["ALIPAY_SELLER_ID"],
        "app_private_key": _private_key(values, "ALIPAY_APP_PRIVATE_KEY"),
        "public_key": _public_key(values, "ALIPAY_PUBLIC_KEY"),
        "gateway": values["ALIPAY_GATEWAY"],
    }


def _wechat(values: Mapping[str, str]) -> dict[str, str]:
    if len(values["WECHATPAY_APIV3_KEY"].encode()) != 32:
        raise ImproperlyConfigured("WECHATPAY_APIV3_KEY must be 32 bytes long.")
    if not values["WECHATPAY_PUBLIC_KEY_ID"].startswith("PUB_KEY_ID_"):
        raise ImproperlyConfigured("WECHATPAY_PUBLIC_KEY_ID must start with PUB_KEY_ID_.")
    return {
        "mchid": values["WECHATPAY_MCHID"],
        "appid": values["WECHATPAY_APPID"],
        "private_key": _private_key(values, "WECHATPAY_PRIVATE_KEY", pkcs8=True),
        "cert_serial": values["WECHATPAY_CERT_SERIAL"],
        "apiv3_key": values["WECHATPAY_APIV3_KEY"],
        "public_key": _public_key(values, "WECHATPAY_PUBLIC_KEY"),
        "public_key_id": values["WECHATPAY_PUBLIC_KEY_ID"],
        "api_base": values["WECHATPAY_API_BASE"],
    }


ACCOUNTS: dict[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
    "stripe": _stripe,
    "alipay": _alipay,
    "wechat": _wechat,
}


def pem_of(name: str) -> str:
    """The PEM that one of the variables holds or names; raises `ImproperlyConfigured`."""
    return _pem(settings.PAYMENT_VARIABLES, name)


def _pem(values: Mapping[str, str], name: str) -> str:
    """The PEM itself, from the variable or from the file it names, with plain line ends."""
    text = values[name]
    if "-----BEGIN" not in text:
        try:
            text = Path(text).read_text(encoding="ascii")
        except (OSError, ValueError):
            raise ImproperlyConfigured(f"{name} is neither a PEM (-----BEGIN ...) nor a file with one.") from None
    return text.strip().replace("\r\n", "\n") + "\n"


def _private_key(values: Mapping[str, str], name: str, *, pkcs8: bool = False) -> str:
    pem = _pem(values, name)
    if pkcs8 and "BEGIN PRIVATE KEY" not in pem:
        raise ImproperlyConfigured(f"{name} must be in PKCS#8 (-----BEGIN PRIVATE KEY-----).")
    try:
        load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ImproperlyConfigured(f"{name} is not a private key in PEM form.") from None
    return pem


def _public_key(values: Mapping[str, str], name: str) -> str:
    pem = _pem(values, name)
    try:
        load_pem_public_key(pem.encode())
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a public key in PEM form.") from None
    return pem
