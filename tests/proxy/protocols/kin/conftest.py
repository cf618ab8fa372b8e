"""A gateway whose one model is for the path of `kin`."""

from typing import Any

import orjson
import pytest

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, catalog
from tests.proxy.protocols.kin.table import EMBEDDINGS, Kin
from tests.uploads import KIND, fields, form
from tests.upstream import FakeUpstream


@pytest.fixture
def kin() -> Kin:
    return EMBEDDINGS


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, kin: Kin) -> Gateway:
    upstream.json = kin.told
    load_catalog(catalog(upstream, price=kin.price))
    gateway.look_at_catalog()
    return gateway


def post(gateway: Gateway, kin: Kin, **more: Any) -> Any:
    sent = {**kin.sent, **more}
    if not kin.is_form:
        return gateway.client.post(kin.path, json=sent)
    said = {name: orjson.dumps(held).decode() if isinstance(held, dict) else held for name, held in sent.items()}
    return gateway.client.post(kin.path, content=form(*fields(**said)), headers={"Content-Type": KIND})
