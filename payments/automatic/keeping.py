"""Which provider keeps cards here. Nobody but this asks for one."""

from payments.providers import registry
from payments.providers.base import KeepingProvider
from payments.topups.quotes import methods


def keeper() -> str | None:
    """The code of the provider that is on and can keep a means of payment; None where there is none."""
    return next((code for code in methods() if isinstance(registry.get(code), KeepingProvider)), None)


def provider_of(code: str) -> KeepingProvider:
    """Raises `LookupError` for one that is off, or keeps nothing."""
    provider = registry.get(code)
    if not isinstance(provider, KeepingProvider):
        raise LookupError(f"{code} keeps no cards")
    return provider
