"""An endpoint at a machine of this test's own, facts, and a worker's turn."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Customer
from billing.models import Wallet
from billing.outbox import events
from billing.outbox.kinds import Fact
from core.clock import database_now
from tests.webhooks_receiver import Receiver, receiving
from webhooks import delivering, endpoints
from webhooks.endpoints import Made
from webhooks.kinds import EVENTS
from webhooks.models import Delivery, Endpoint


@pytest.fixture(autouse=True)
def _our_own_machines(settings: Any) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def made(customer: Customer, receiver: Receiver) -> Made:
    return add(customer, receiver)


@pytest.fixture
def endpoint(made: Made) -> Endpoint:
    return made.endpoint


def add(customer: Customer, receiver: Receiver, *, path: str = "", wanted: Any = tuple(EVENTS)) -> Made:
    made = endpoints.make(customer=customer, url=receiver.url + path, wanted=wanted, now=timezone.now())
    Endpoint.objects.filter(pk=made.endpoint.pk).update(created_at=timezone.now() - timedelta(days=365))
    return made


_numbers = count(1)


def low(customer: Customer, *, now: datetime | None = None) -> str:
    """A fact: the balance is low. Returns its key."""
    key = f"low:{next(_numbers)}"
    with transaction.atomic():
        events.record(
            Fact.BALANCE_LOW,
            key=key,
            subject="balance",
            data={},
            now=now or timezone.now(),
            customer_id=customer.pk,
            about=Wallet.objects.get(customer=customer),
        )
    return key


def work(at: datetime | None = None) -> int:
    """A worker's turn at that time of the database's; returns how many posts it made."""
    clock: Callable[[], datetime] = database_now if at is None else lambda: at
    return delivering.deliver(seconds=20, clock=clock)


def only() -> Delivery:
    return Delivery.objects.get()
