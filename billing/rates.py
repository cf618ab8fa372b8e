"""What a currency is worth in USD, for figures: the app that keeps exchange rates tells it, and billing knows none.

Money is exchanged nowhere by it. A rate may be of any age: what is owed does not wait for a fresh one.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

Reader = Callable[[datetime], Decimal | None]
"""Units of the currency that a dollar costs, by the newest row; None where there is none."""
_readers: dict[str, Reader] = {}


def register(currency: str, reader: Reader) -> None:
    """`reader` knows the rate of that currency."""
    _readers[currency] = reader


def newest(currency: str, *, now: datetime) -> Decimal | None:
    """Units of the currency that a dollar costs; None where nobody knows."""
    if currency == "USD":
        return Decimal(1)
    reader = _readers.get(currency)
    return None if reader is None else reader(now)
