"""How a provider is asked: without a database connection, and by few at a time, as one that hangs keeps threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from core.outside import outside
from payments.providers import registry
from payments.providers.base import ProviderError, ProviderUnavailable

MOST_AT_ONCE = 16
"""Calls of one provider in a process; a poller has as many threads."""
SEAT_SECONDS = 2.0

_seats = {code: BoundedSemaphore(MOST_AT_ONCE) for code in registry.SPECS}


@contextmanager
def asking(provider: str) -> Iterator[None]:
    """Around every call over the network **and** the reading of its answer.

    Whatever goes wrong in it but a `ProviderRefused` says nothing about what happened there: an SDK, a proxy between
    or an answer of another shape raise what they like, and all of it is `ProviderUnavailable`. So it is while too many
    wait for this provider's answers.
    """
    with outside():
        if not _seats[provider].acquire(timeout=SEAT_SECONDS):
            raise ProviderUnavailable(f"{provider}: too many wait for its answers")
        try:
            yield
        except ProviderError:
            raise
        except Exception as error:
            raise ProviderUnavailable(f"{provider}: {type(error).__name__}") from None
        finally:
            _seats[provider].release()
