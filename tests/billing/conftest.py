import os
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import TextChoices

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


def table_is_written(page: Path, head: str, kinds: type[TextChoices]) -> None:
    """Whether the table under `head` lists every kind with its sentence; with `UPDATE=1` it is written anew."""
    before, _head, rest = page.read_text(encoding="utf-8").partition(head)
    after = rest[rest.index("\n## ") :]
    new = before + head + "".join(f"| `{kind}` | {kind.label} |\n" for kind in kinds) + after
    if os.environ.get("UPDATE"):
        page.write_text(new, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == new, "stale: run this test again with UPDATE=1"
