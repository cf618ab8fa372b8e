"""Requests that were answered by an upstream, as settlement leaves them to the purchase task."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from accounts.models import Customer
from billing.books import holds
from billing.models import Hold, LedgerAccount, Transfer
from proxy.ids import new_generation_id
from proxy.models import Generation, Model, Price, Upstream
from proxy.prices import loading
from proxy.prices.sums import cost_of
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.settlement.settle import settle_all
from tests.conftest import NOW

TOKENS = Usage(input_tokens=2000, output_tokens=500)
LIST, CHARGED = Decimal("0.01350000"), Decimal("0.01417500")
"""Of `TOKENS` at 3 and 15 USD a million, before and after the margin."""


def place(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "openai", "base_url": "http://127.0.0.1:1/v1", **fields}


def load(*, main: Any = None, domestic: Any = None, at: datetime = NOW - timedelta(hours=1)) -> None:
    """A model at `main`, paid in USD, and `domestic`, paid in yuan, for these costs, which are set `at`."""
    costs = {"main": main, "domestic": domestic}
    named = [{"name": name, **({} if cost is None else {"cost": cost})} for name, cost in costs.items()]
    price = {"input": "3", "output": "15"}
    model = {"id": "anthropic/m", "upstreams": named, "price": price, "context_window": 100_000}
    with patch.object(loading, "database_now", return_value=at):
        loading.load_catalog({"upstreams": [place("main"), place("domestic", currency="CNY")], "models": [model]})


@pytest.fixture
def answered(customer: Customer, key: Any) -> Callable[..., Generation]:
    """A function: a request that `upstream` answered, metered and, unless told otherwise, settled."""
    numbers = itertools.count()

    def make(
        *, upstream: str = "main", usage: Usage = TOKENS, at: datetime = NOW, is_settled: bool = True, **fields: Any
    ) -> Generation:
        price, bound = Price.objects.latest("version"), Decimal(1)
        cost = cost_of(PriceVersion.from_row(price), usage)
        generation_id = new_generation_id(int(at.timestamp() * 10**9) + next(numbers) * 10**6)
        holds.place(customer_id=customer.pk, key=generation_id, kind=Hold.Kind.REQUEST, amount=bound, now=at)
        known = {
            "state": "metered",
            "metered_at": at,
            "usage_source": "upstream",
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "upstream_cost": cost.upstream,
            "cost": min(cost.charged, bound),
        }
        generation = Generation.objects.create(
            pk=generation_id,
            customer=customer,
            key=key.key,
            model=Model.objects.get(),
            price=price,
            upstream=Upstream.objects.get(name=upstream),
            protocol="openai",
            streamed=False,
            bound=bound,
            held=bound,
            created_at=at,
            **{**known, **fields},
        )
        if is_settled:
            settle_all(now=at)
            generation.refresh_from_db()
        return generation

    return make


def owed() -> dict[str, Decimal]:
    """What stands on the accounts of what upstreams are owed, by account."""
    accounts = LedgerAccount.objects.filter(name__startswith="payable:upstream:")
    return {account.name: sum((t.amount for t in account.credits.all()), Decimal(0)) for account in accounts}


def purchases() -> list[tuple[str, str, str, Decimal]]:
    found = Transfer.objects.filter(kind="purchase").order_by("id")
    return [(t.debit.name, t.credit.name, t.currency, t.amount) for t in found]
