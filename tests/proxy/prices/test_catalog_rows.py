"""What tests of a gateway are given is what `load_catalog` writes."""

from typing import Any

from django.db import transaction

from proxy.models import Model, Price, PurchasePrice, Route, Upstream
from tests import catalog_rows
from tests.proxy.conftest import PRICE

OWN = {"id", "model_id", "upstream_id", "created_at"}


def catalog(url: str) -> dict[str, Any]:
    first = {"name": "first", "protocol": "openai", "base_url": url, "api_key": "sk-1"}
    model = {"id": "openai/m", "upstreams": ["first"], "upstream_model": "m", "price": PRICE}
    return {"upstreams": [first], "models": [model]}


def rows() -> list[dict[str, Any]]:
    found = [upstream, model, price, route] = [table.objects.get() for table in (Upstream, Model, Price, Route)]
    assert (price.model, route.model, route.upstream) == (model, model, upstream)
    assert not PurchasePrice.objects.exists()
    return [{name: value for name, value in vars(row).items() if name not in OWN and name[0] != "_"} for row in found]


def test_a_catalog_written_again_is_as_it_was_loaded_but_for_its_address(db, monkeypatch):
    monkeypatch.setattr(catalog_rows, "_rows", {})
    with transaction.atomic():
        catalog_rows.load_first(catalog("http://127.0.0.1:2/v1"))
        loaded = rows()
        transaction.set_rollback(True)
    monkeypatch.setattr(catalog_rows, "load_catalog", None)
    catalog_rows.load_first(catalog("http://127.0.0.1:3/v1"))
    assert loaded[0].pop("base_url") == "http://127.0.0.1:2/v1"
    again = rows()
    assert again[0].pop("base_url") == "http://127.0.0.1:3/v1"
    assert again == loaded
