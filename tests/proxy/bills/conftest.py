"""A month of requests at an upstream, and bills of it as each format writes them."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys.issuing import IssuedKey
from accounts.models import Customer
from proxy.ids import new_generation_id
from proxy.models import Generation, Model, Price, Upstream
from proxy.prices.loading import load_catalog

FIRST, LAST = datetime(2026, 10, 1, tzinfo=UTC).date(), datetime(2026, 10, 31, tzinfo=UTC).date()
MODELS = {"openai/gpt-4.1": "gpt-4.1-2025-04-14", "anthropic/claude-opus-4.6": "claude-opus-4-6-20260210"}


@pytest.fixture
def upstream(db: None) -> Upstream:
    place = {"name": "main", "protocol": "openai", "base_url": "https://api.example.com/v1", "api_key": "sk-1"}
    models = [
        {
            "id": slug,
            "upstreams": [{"name": "main", "upstream_model": name}],
            "price": {"input": "2", "output": "8", "cache_read": "0.5"},
        }
        for slug, name in MODELS.items()
    ]
    load_catalog({"upstreams": [place], "models": models})
    return Upstream.objects.get()


@pytest.fixture
def asked(upstream: Upstream, customer: Customer, key: IssuedKey) -> Callable[..., Generation]:
    """A function: a request as it stands when its purchase was posted."""
    numbers = itertools.count(1)

    def make(
        slug: str = "openai/gpt-4.1",
        *,
        at: datetime,
        cost: Decimal | str = "0.20",
        lasts: timedelta = timedelta(seconds=4),
        request_id: str | None = None,
        **fields: Any,
    ) -> Generation:
        number = next(numbers)
        model = Model.objects.get(slug=slug)
        known = {
            "input_tokens": 900,
            "cached_tokens": 400,
            "output_tokens": 100,
            "usage_source": "upstream",
            "purchase_currency": "USD",
            "purchase_usd": Decimal(cost),
        }
        return Generation.objects.create(
            pk=new_generation_id(int(at.timestamp()) * 10**9 + number),
            customer=customer,
            key=key.key,
            model=model,
            price=Price.objects.filter(model=model).latest("version"),
            upstream=upstream,
            protocol="openai",
            streamed=False,
            state="settled",
            bound=Decimal(10),
            held=Decimal(0),
            cost=Decimal(cost),
            created_at=at,
            metered_at=at + lasts,
            purchase_cost=Decimal(cost),
            purchase_batch=1,
            upstream_request_id=f"req-{number}" if request_id is None else request_id,
            **{**known, **fields},
        )

    return make


@pytest.fixture
def month(asked: Callable[..., Generation]) -> list[Generation]:
    """Three requests of one model and one of another on each day of October"""
    made = []
    for number in range(31):
        start = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=number)
        made += [asked(at=start + timedelta(hours=hour)) for hour in (1, 9, 22)]
        made.append(asked("anthropic/claude-opus-4.6", at=start + timedelta(hours=12), cost="1.70"))
    return made
