"""A gateway whose one model is for the path of `kin`."""

from typing import Any

import pytest

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, catalog
from tests.proxy.protocols.kin.table import EMBEDDINGS, Kin
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
    return gateway.client.post(kin.path, json={**kin.sent, **more})
