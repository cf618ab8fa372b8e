"""A list of one's own in the place of genai-prices', and a catalog beside it."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from genai_prices import data
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
)

from accounts.models import User
from proxy.models import Model
from proxy.prices.loading import load_catalog, set_price
from tests.staffing import in_role

UPSTREAM = {"name": "main", "protocol": "openai", "base_url": "https://api.example.com/v1", "api_key": "sk-secret"}


def rates(**named: str) -> ModelPrice:
    return ModelPrice(**{f"{name}_mtok": Decimal(rate) for name, rate in named.items()})


def one(short: str = "m", *, later: tuple[date, ModelPrice] | None = None, **more: Any) -> ModelInfo:
    """A model of the list at `prices`, and `later` at others."""
    if later is not None:
        begins = ConditionalPrice(StartDateConstraint(later[0]), prices=later[1])
        more["prices"] = [ConditionalPrice(prices=more["prices"]), begins]
    return ModelInfo(id=short, match=ClauseEquals(short), **more)


def tier(name: str, **named: str) -> PriceVariant:
    return PriceVariant(when={"service_tier": name}, prices=rates(**named))


@pytest.fixture
def the_list(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function: the list has these models of the provider `a`."""

    def holds(*models: ModelInfo) -> None:
        provider = Provider(id="a", name="A", api_pattern="a", models=list(models))
        monkeypatch.setattr(data, "providers", [provider])

    return holds


@pytest.fixture
def model(db: None) -> Model:
    """`a/m` at 2 and 8 with a margin of 1.2, following the list."""
    price = {"input": "2", "output": "8", "margin": "1.2"}
    load_catalog({"upstreams": [UPSTREAM], "models": [{"id": "a/m", "upstreams": ["main"], "price": price}]})
    found = Model.objects.get()
    with transaction.atomic():
        set_price(found, price, where="a/m", listed_as="a/m")
    return found


@pytest.fixture
def finance(db: None) -> User:
    return in_role("finance", "first@staff.example.org")


@pytest.fixture
def second(finance: User) -> User:
    return in_role("finance", "second@staff.example.org")
