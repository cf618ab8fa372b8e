"""A gateway with the demo's catalog before the sandbox, as a newcomer has it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accounts.models import Customer
from chuizi.local.demo import load_models
from tests.agents.driving import Desk
from tests.agents.outside import Outside
from tests.clients.conftest import gateway, sandbox, spoken, upstream
from tests.conftest import NOW
from tests.proxy.conftest import Gateway
from tests.sandbox_server import SandboxServer

__all__ = ["gateway", "sandbox", "spoken", "upstream"]


@pytest.fixture
def funds() -> str:
    """The customer's balance, in USD."""
    return "5"


@pytest.fixture
def customer(transactional_db: None, make_customer: Callable[..., Customer], funds: str) -> Customer:
    return make_customer(funds)


@pytest.fixture
def served(gateway: Gateway, sandbox: SandboxServer) -> Gateway:
    load_models(url=sandbox.upstream_url, now=NOW)
    gateway.look_at_catalog()
    return gateway


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as proxy:
        yield proxy


@pytest.fixture
def desk(served: Gateway, outside: Outside, tmp_path: Path) -> Desk:
    return Desk(served, outside, tmp_path)
