"""One reference of our bank for two transfers is told to whoever records or confirms it."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import refunds
from billing.models import RefundRequest
from payments.models import RefundPart
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
WORDS = "this reference is on another transfer too"


@pytest.fixture
def parts(customer):
    return [waiting(customer, number) for number in (1, 2)]


def waiting(customer, number: int) -> RefundPart:
    refund = RefundRequest.objects.create(
        customer=customer,
        number=f"refund_{number}",
        state=RefundRequest.State.RETURNED,
        amount=Decimal("5.00"),
        approved=Decimal("5.00"),
        due_at=timezone.now(),
    )
    return RefundPart.objects.create(
        refund=refund, number=1, by_bank=True, state="parked", amount=Decimal("5.00"), key=f"part_{number}"
    )


def record(desk: Client, part: RefundPart, reference: str) -> str:
    url = reverse("admin:billing_refundrequest_act", args=[part.refund_id, "record-transfer"])
    return desk.post(url, {"part": "1", "reference": reference}, follow=True).content.decode()


def test_one_bank_reference_that_confirms_two_transfers_is_warned_of(parts, monkeypatch):
    monkeypatch.setattr(refunds, "part_done", lambda **_kwargs: None)  # no money of this test's parts was taken
    monkeypatch.setattr(refunds, "finish", lambda **_kwargs: None)
    first, second = parts
    clerk, other = at_desk(in_role("finance")), at_desk(in_role("finance", "other@staff.example.org"))
    assert WORDS not in record(clerk, first, "BANK-1")
    assert WORDS not in record(other, first, "BANK-1")
    said = record(clerk, second, "bank-1 ")
    assert WORDS in said
    assert "refund_1, 1" in said
    assert WORDS in record(other, second, "bank-1")
    assert RefundPart.objects.filter(state="done").count() == 2  # it warns, and does not decide
