"""Payments that a test says were made, and the steps of an invoice, for tests of billing alone."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Customer, User
from billing import invoices
from billing.invoices import sources
from billing.models import Document, InvoiceRequest, InvoiceSeries
from tests.conftest import NOW

CREDIT_CODE = "91110000600037341L"
"""A unified social credit code whose check digit is right."""


@dataclass
class Payments:
    """What payments would tell of: by customer, changed as the test goes on."""

    by_customer: dict[int, list[invoices.Source]]

    def add(self, customer: Customer, amount: str = "20.00", *, currency: str = "USD", days_ago: int = 3) -> int:
        number = sum(len(rows) for rows in self.by_customer.values()) + 1
        self.by_customer.setdefault(customer.pk, []).append(
            invoices.Source(
                source_id=number,
                label=f"topup_{number:04d}",
                method="stripe" if currency == "USD" else "alipay",
                method_name="Card" if currency == "USD" else "Alipay",
                paid_at=NOW - timedelta(days=days_ago) + timedelta(seconds=number),
                currency=currency,
                charged=Decimal(amount),
                refunded=Decimal("0.00"),
                frozen=Decimal("0.00"),
                disputed=Decimal("0.00"),
            )
        )
        return number

    def change(self, customer: Customer, source_id: int, **values: str) -> None:
        rows = self.by_customer[customer.pk]
        changed = {name: Decimal(value) for name, value in values.items()}
        self.by_customer[customer.pk] = [replace(r, **changed) if r.source_id == source_id else r for r in rows]

    def tell(self, customer_id: int, now: datetime, spared: frozenset[int]) -> list[invoices.Source]:
        return list(self.by_customer.get(customer_id, []))


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch) -> Payments:
    made = Payments({})
    monkeypatch.setattr(sources, "_tellers", [made.tell])
    return made


@pytest.fixture
def clerk(db: None) -> User:
    return User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)


@pytest.fixture
def series(db: None) -> InvoiceSeries:
    return make_series()


def make_series(prefix: str = "CZ2026-", **values: Any) -> InvoiceSeries:
    return InvoiceSeries.objects.create(
        **{
            "prefix": prefix,
            "tax_rate": Decimal("0.0600"),
            "tax_note_en": "Simplified taxation.",
            "tax_note_zh": "简易计税",
            "seller_name_en": "Chuizi Cloud Ltd",
            "seller_name_zh": "锤子云计算有限公司",
            "seller_address_en": "100 Century Avenue, Shanghai",
            "seller_address_zh": "上海市世纪大道 100 号",
            "seller_tax_id": CREDIT_CODE,
            "seller_contact": "billing@chuizi.example",
            **values,
        }
    )


def ask(customer: Customer, amount: object = "20.00", **values: Any) -> InvoiceRequest:
    details = {"company_name": "Ada GmbH", "tax_id": CREDIT_CODE, "email": "books@ada.example", **values}
    return invoices.ask(customer=customer, amount=amount, now=NOW, **details)


def issue(request: InvoiceRequest, by: User) -> Document:
    return invoices.issue(request_id=request.pk, by=by, now=NOW)
