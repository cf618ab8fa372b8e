"""Which providers there are, and which of them are on; a half-configured one stops the start with a sentence."""

from collections.abc import Mapping
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.providers.alipay.spec import ALIPAY
from payments.providers.base import Provider
from payments.providers.spec import ProviderSpec
from payments.providers.stripe.spec import STRIPE
from payments.providers.variables import check_address
from payments.providers.wechat.spec import WECHAT

SPECS: Mapping[str, ProviderSpec] = {spec.code: spec for spec in (STRIPE, ALIPAY, WECHAT)}
"""Every provider, by code."""


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
    return {code: SPECS[code].adapter(account) for code, account in _accounts(variables, debug).items()}


@cache
def _accounts(variables: tuple[tuple[str, str], ...], debug: bool) -> dict[str, dict[str, str]]:
    """What each provider that is on is made with, checked."""
    values = dict(variables)
    return {code: spec.account(values) for code, spec in SPECS.items() if _is_on(spec, values, debug=debug)}


def _is_on(spec: ProviderSpec, values: Mapping[str, str], *, debug: bool) -> bool:
    missing = [name for name in spec.required if not values[name]]
    if len(missing) == len(spec.required):
        return False
    if missing:
        raise ImproperlyConfigured(f"{missing[0]} is not set, but other variables of {spec.code} are. Set all or none.")
    if address := values[spec.address]:
        check_address(spec.address, address, debug=debug)
    return True
