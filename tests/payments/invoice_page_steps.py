"""What the tests of invoices as pages start from: a paid top-up, a series, staff, a program's key."""

import json
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import User
from billing.models import InvoiceSeries
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders
from tests.conftest import NOW

USCC = "91110000600037341L"
BUYER = {"company_name": "Example GmbH", "tax_id": "DE 136 695 976", "country": "DE", "email": "books@example.com"}


def paid_topup(customer, number="1", *, method="stripe", amount="20.00", charge="20.00"):
    cny = method != "stripe"
    topup = TopUp.objects.create(
        customer=customer,
        number=f"topup_{number}",
        method=method,
        amount=Decimal(amount),
        charge_amount=Decimal(charge),
        charge_currency="CNY" if cny else "USD",
        fx_rate=Decimal("7.12") if cny else None,
        expires_at=timezone.now(),
    )
    fact = PaymentFact(
        Outcome.OK, topup.number, f"tx_{number}", topup.charge_amount, topup.charge_currency, is_ours=True
    )
    orders.credit(topup_id=topup.pk, fact=fact, now=timezone.now())
    return topup


@pytest.fixture
def paid(customer):
    return paid_topup(customer)


@pytest.fixture
def series():
    return InvoiceSeries.objects.create(
        prefix="CZ2026-", tax_rate=Decimal("0.06"), seller_name_en="Chuizi Ltd", seller_address_en="1 Main St"
    )


@pytest.fixture
def staff():
    return User.objects.create_superuser("finance@example.org", "a rather long one")


@pytest.fixture
def api(customer):
    key = issuing.issue(customer=customer, name="k", now=NOW)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def ask(api, headers=None, **body):
    body = {"amount": "5.00", "delivery": "email"} | BUYER | body
    return api.post("/v1/invoice-requests", json.dumps(body), content_type="application/json", headers=headers or {})
