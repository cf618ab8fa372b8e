"""Upstreams' accounts in the books: finance books their bills, and what is paid beforehand, against them."""

from collections.abc import Iterator

from billing.books.chart import upstream_expense, upstream_payable
from proxy.models import Currency, Upstream


def of_upstreams() -> Iterator[str]:
    """Names of each upstream's accounts, in USD, which list prices are in, and in its own currency."""
    for name, currency in Upstream.objects.values_list("name", "currency"):
        for each in {Currency.USD.value, currency}:
            yield upstream_expense(name, each)
            yield upstream_payable(name, each)
