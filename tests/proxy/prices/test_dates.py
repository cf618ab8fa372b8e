"""Prices with a date: which one applies is told by PostgreSQL's clock, and a process looks again when one passes."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
from django.db import connection
from django.db.models import F

from core.clock import database_now
from proxy.models import Price
from proxy.prices import catalog
from proxy.prices.loading import load_catalog
from proxy.prices.written import InvalidCatalog

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def load(*prices: dict[str, Any]) -> str:
    upstream = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1"}
    model = {"id": "a/m", "upstreams": ["main"], "price": list(prices) if len(prices) > 1 else prices[0]}
    return load_catalog({"upstreams": [upstream], "models": [model]}).rpartition(", ")[2]


def price(rate: str, applies_from: object = None) -> dict[str, Any]:
    return {"input": rate, "output": "1", **({} if applies_from is None else {"applies_from": applies_from})}


def rate() -> Decimal | None:
    found = catalog.load().find("a/m")
    return None if found is None else found.price.rates["input"]


def pass_the_date() -> None:
    """As if the hour were over: the rows are older than they were."""
    with pgtrigger.ignore("proxy.Price:price_append_only"):
        Price.objects.update(
            applies_from=F("applies_from") - timedelta(hours=2), created_at=F("created_at") - timedelta(hours=2)
        )


def test_a_scheduled_price_applies_from_its_date_on_and_not_before():
    load(price("1"))
    at = database_now() + HOUR
    assert load(price("1"), price("2", at)) == "1 new prices"
    before = catalog.load()
    assert (rate(), before.next_price_at, catalog.is_stale(before)) == (Decimal(1), at, False)
    pass_the_date()
    assert rate() == Decimal(2)


def test_a_process_reads_the_catalog_again_when_the_date_passes():
    load(price("1"), price("2", database_now() + HOUR))
    kept = catalog.load()
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM proxy_catalog_version")
        assert cursor.fetchone() == (kept.version,)
    due = catalog.Catalog(version=kept.version, models=kept.models, next_price_at=database_now() - HOUR)
    assert not catalog.is_stale(kept)
    assert catalog.is_stale(due)


def test_loading_the_file_again_changes_nothing_before_the_date_nor_after():
    at = database_now() + HOUR
    load(price("1"), price("2", at))
    assert load(price("1"), price("2", at)) == "0 new prices"
    pass_the_date()
    assert load(price("1"), price("2", at - 2 * HOUR)) == "0 new prices"
    assert rate() == Decimal(2)


def test_a_price_made_today_does_not_undo_one_that_is_scheduled():
    load(price("1"), price("2", database_now() + HOUR))
    load(price("1.5"))
    assert rate() == Decimal("1.5")
    pass_the_date()
    assert rate() == Decimal(2)


def test_a_scheduled_price_is_corrected_by_a_later_version_for_the_same_date():
    at = database_now() + HOUR
    load(price("1"), price("2", at))
    assert load(price("1"), price("3", at)) == "1 new prices"
    pass_the_date()
    assert (rate(), Price.objects.count()) == (Decimal(3), 3)


def test_a_date_that_has_passed_means_at_once():
    load(price("1"))
    load(price("2", database_now() - HOUR))
    assert rate() == Decimal(2)


def test_a_model_whose_only_price_is_scheduled_is_not_on_offer_yet():
    load(price("1", database_now() + HOUR))
    assert rate() is None
    pass_the_date()
    assert rate() == Decimal(1)


def test_two_prices_from_the_same_moment_are_refused():
    with pytest.raises(InvalidCatalog, match="same moment"):
        load(price("1"), price("2"))
