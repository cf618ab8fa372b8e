"""A gateway with the demo's catalog before the sandbox, as a newcomer has it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accounts.models import Customer
from tests.agents.driving import Desk
from tests.agents.outside import Outside
from tests.clients.conftest import demo, gateway, sandbox, spoken, upstream
from tests.proxy.conftest import Gateway

__all__ = ["demo", "gateway", "sandbox", "spoken", "upstream"]


@pytest.fixture
def funds() -> str:
    """The customer's balance, in USD."""
    return "5"


@pytest.fixture
def customer(transactional_db: None, make_customer: Callable[..., Customer], funds: str) -> Customer:
    return make_customer(funds)


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as proxy:
        yield proxy


@pytest.fixture
def desk(demo: Gateway, outside: Outside, tmp_path: Path) -> Desk:
    return Desk(demo, outside, tmp_path)
