"""A catalog, and requests in whatever state a page is to show: fixtures for the tests of the three faces."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys.issuing import IssuedKey
from accounts.models import Customer
from billing.books import holds
from billing.models import Hold
from proxy.ids import new_generation_id
from proxy.models import Generation, Model
from proxy.prices.loading import load_catalog
from proxy.prices.sums import cost_of
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.settlement.settle import settle_all

CATALOG = {
    "upstreams": [
        {"name": "main", "protocol": "openai", "base_url": "https://api.example.com/v1", "api_key": "sk-top-secret"}
    ],
    "models": [
        {
            "id": "anthropic/claude-sonnet-4-6",
            "upstreams": ["main"],
            "description": "For long work",
            "price": {
                "billing": "per_token",
                "input": "3.00",
                "output": "15.00",
                "cache_read": "0.30",
                "tiers": [{"above": 200000, "rates": {"input": "6", "output": "22.5"}}],
            },
        },
        {"id": "openai/gpt-4.1-nano", "upstreams": ["main"], "price": {"input": "0.10", "output": "0.40"}},
        {"id": "openai/whisper-1", "upstreams": ["main"], "price": {"billing": "per_second", "second": "0.0001"}},
    ],
}


@pytest.fixture
def catalog(db: None, settings: Any) -> None:
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    load_catalog(CATALOG)


@pytest.fixture
def make_request(catalog: None, customer: Customer, key: IssuedKey, now: datetime) -> Callable[..., Generation]:
    """A function: a request that was held, and by default metered and settled through the real functions."""

    def make(
        *,
        state: str = "settled",
        model: str = "anthropic/claude-sonnet-4-6",
        usage: Usage | None = None,
        bound: str = "0.06457500",
        at: datetime = now,
        of: IssuedKey = key,
        **fields: Any,
    ) -> Generation:
        row = Model.objects.get(slug=model)
        price = row.prices.get()
        generation_id = new_generation_id(int(at.timestamp() * 1e9))
        amount = Decimal(bound)
        customer_id = of.key.customer_id
        holds.place(customer_id=customer_id, key=generation_id, kind=Hold.Kind.REQUEST, amount=amount, now=at)
        values: dict[str, Any] = {"state": "held"}
        if state != "held":
            usage = usage or Usage(input_tokens=2000, output_tokens=500)
            cost = cost_of(PriceVersion.from_row(price), usage)
            values = {
                "state": "metered",
                "metered_at": at + timedelta(seconds=2.45),
                "usage_source": "upstream",
                "settlement_reason": "completed",
                "finish_reason": "stop",
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_tokens": usage.cached_tokens,
                "units": usage.units,
                "upstream_cost": cost.upstream,
                "cost": min(cost.charged, amount),
                "latency_ms": 620,
                "generation_time_ms": 2450,
            }
        generation = Generation.objects.create(
            pk=generation_id,
            customer_id=customer_id,
            key=of.key,
            model=row,
            price=price,
            protocol="openai",
            streamed=True,
            bound=amount,
            held=fields.pop("held", amount),
            created_at=at,
            **{**values, **fields},
        )
        if state == "settled":
            settle_all(now=at + timedelta(seconds=3.35))
            generation.refresh_from_db()
        return generation

    return make
