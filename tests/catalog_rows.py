"""The catalog that nearly every test of a gateway begins with, written in few statements."""

import json
from typing import Any

from django.db import transaction
from django.db.models import ForeignKey

from proxy.models import Model, Price, PurchasePrice, Route, Upstream
from proxy.prices.loading import load_catalog

TABLES = (Upstream, Model, Price, Route)
_rows: dict[str, list[Any]] = {}


def load_first(data: dict[str, Any]) -> None:
    """As `load_catalog`: what that wrote into empty tables is written again, in a fifth of the statements.

    Only the upstreams' addresses may differ from those of the first time.
    """
    if Upstream.objects.exists() or Model.objects.exists():
        load_catalog(data)
        return
    urls = {item["name"]: item["base_url"] for item in data["upstreams"]}
    known_as = json.dumps([[{**item, "base_url": ""} for item in data["upstreams"]], data["models"]])
    if known_as in _rows:
        _write(_rows[known_as], urls)
        return
    load_catalog(data)
    if not PurchasePrice.objects.exists():  # nor has any other table of the catalog rows
        _rows[known_as] = [row for table in TABLES for row in table._default_manager.order_by("pk")]


@transaction.atomic
def _write(rows: list[Any], urls: dict[str, str]) -> None:
    made: dict[tuple[type, int], int] = {}
    for table in TABLES:
        copies = {row.pk: table(**_values(row, made)) for row in rows if isinstance(row, table)}
        for copy in copies.values():
            if isinstance(copy, Upstream):
                copy.base_url = urls[copy.name]
        table._default_manager.bulk_create(copies.values())
        made |= {(table, pk): copy.pk for pk, copy in copies.items()}


def _values(row: Any, made: dict[tuple[type, int], int]) -> dict[str, Any]:
    values = {}
    for field in row._meta.concrete_fields:
        if field.primary_key:
            continue
        value = getattr(row, field.attname)
        is_ours = isinstance(field, ForeignKey) and value is not None
        values[field.attname] = made.get((field.related_model, value), value) if is_ours else value
    return values
