"""Prices as a catalog writes them, without a database."""

from decimal import Decimal
from typing import Any

from proxy.prices.versions import PriceVersion
from proxy.prices.written import price_columns


class Row:
    """A version's columns."""

    pk = 1

    def __init__(self, **columns: Any) -> None:
        self.__dict__.update(columns)


def priced(price: dict[str, Any], *, margin: str = "1") -> PriceVersion:
    """The version that a catalog's price becomes."""
    return PriceVersion.from_row(Row(**price_columns(price, where="m", margin=Decimal(margin))))  # type: ignore[arg-type]
