import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing.audit import run as audit
from billing.books.ledger import Posting, house_account, post
from billing.models import Wallet
from tests.conftest import NOW


@pytest.fixture(autouse=True)
def _billing_alone(monkeypatch):
    """Here balances are posted and held without the top-ups and requests that the other apps' checks look for."""
    monkeypatch.setattr(audit, "_checks", {})


def topup(wallet: Wallet, amount: str, key: str = "topup:1") -> None:
    clearing = house_account("clearing:stripe:USD")
    post([Posting(key, "topup", clearing, wallet.paid_account, Decimal(amount))], now=NOW)


def balances(wallet: Wallet) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """(paid, bonus, held, exposure) as the database has them now."""
    return Wallet.objects.values_list("paid", "bonus", "held", "exposure").get(pk=wallet.pk)


def in_threads(*acts: Callable[[], Any]) -> list[Any]:
    """Run at once, each with a connection of its own; their results or exceptions."""
    results: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(timeout=20)
            results[index] = acts[index]()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def failures(results: list[Any]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]
