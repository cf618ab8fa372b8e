"""How a provider is asked: without a database connection, and by few at a time, as one that hangs keeps threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from chuizi.outside import outside
from payments.providers.base import ProviderUnavailable

MOST_AT_ONCE = 16
"""Calls of one provider in a process; a poller has as many threads."""
SEAT_SECONDS = 2.0

_seats = {code: BoundedSemaphore(MOST_AT_ONCE) for code in ("stripe", "alipay", "wechat")}


@contextmanager
def asking(provider: str) -> Iterator[None]:
    """Around every call over the network; raises `ProviderUnavailable` while too many wait for its answers."""
    with outside():
        if not _seats[provider].acquire(timeout=SEAT_SECONDS):
            raise ProviderUnavailable(f"{provider}: too many wait for its answers")
        try:
            yield
        finally:
            _seats[provider].release()
