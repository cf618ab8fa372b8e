"""The page of a refund offers what can be done now, warns before it is done, and keeps what was typed."""

import re
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import refunds
from billing.models import RefundRequest
from payments.models import RefundPart, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.refunds import acts
from payments.topups import orders
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def refund(customer, now) -> RefundRequest:
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="wechat",
        amount=Decimal(200),
        charge_amount=Decimal(1424),
        charge_currency="CNY",
        fx_rate=Decimal("7.12"),
        expires_at=now,
    )
    fact = PaymentFact(Outcome.OK, topup.number, "42000", Decimal(1424), "CNY", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=now)
    return refunds.ask(customer=customer, amount="150.00", reason="test", now=timezone.now())


@pytest.fixture
def parked(refund) -> RefundPart:
    """All of it was sent and waits for finance, recorded as paid by bank."""
    fields = {"amount": 150, "charge_amount": 1068, "charge_currency": "CNY", "topup": TopUp.objects.get()}
    RefundRequest.objects.update(state="returned", approved=150, sent=150, problem="part 1 waits: ABNORMAL")
    recorded_by = in_role("finance", "first@staff.example.org")
    return RefundPart.objects.create(
        refund=refund, number=1, key="p1", state="parked", recorded_by=recorded_by, bank_reference="BANK-1", **fields
    )


def act(desk, refund, name, **fields) -> str:
    return page(desk.post(reverse("admin:billing_refundrequest_act", args=[refund.pk, name]), fields, follow=True))


def page(answer) -> str:
    return " ".join(answer.content.decode().split())


def shown(desk, refund) -> str:
    return page(desk.get(reverse("admin:billing_refundrequest_change", args=[refund.pk])))


def main_button(text: str) -> str:
    return re.findall(r'<button class="go"[^>]*>([^<]+)', text)[0].strip()


def test_the_main_button_is_what_this_person_may_do(refund):
    support, finance = at_desk(in_role("support")), at_desk(in_role("finance"))
    assert (main_button(shown(support, refund)), main_button(shown(finance, refund))) == ("Propose", "Propose")
    act(support, refund, "propose", amount="150.00")
    assert (main_button(shown(support, refund)), main_button(shown(finance, refund))) == ("Propose", "Approve")


def test_a_refusal_keeps_what_was_typed(refund):
    text = act(at_desk(in_role("support")), refund, "approve", amount="149.00", words="Dear Ada, with pleasure")
    assert "Above $100.00 finance approves" in text
    assert 'value="149.00"' in text
    assert "Dear Ada, with pleasure</textarea>" in text


def test_while_a_part_is_not_settled_nothing_is_offered_that_would_be_refused(refund, parked):
    text = shown(at_desk(in_role("finance")), refund)
    assert "A part of it is not settled" in text
    for name in ("approve", "deny"):
        assert reverse("admin:billing_refundrequest_act", args=[refund.pk, name]) not in text
    assert reverse("admin:billing_refundrequest_act", args=[refund.pk, "ask"]) in text


def test_who_confirms_a_transfer_sees_first_that_its_reference_is_on_another(refund, parked):
    desk = at_desk(in_role("finance"))
    assert "Look again" not in shown(desk, refund)
    other = {"refund": refund, "number": 2, "key": "p2", "amount": 1, "topup": parked.topup, "state": "done"}
    RefundPart.objects.create(**other, recorded_by=parked.recorded_by, bank_reference="bank-1")
    assert f"this reference is on another transfer too ({refund.number}, 2)" in shown(desk, refund)


def test_a_part_that_staff_settled_waits_no_longer_and_says_who(refund, parked, monkeypatch):
    monkeypatch.setattr(acts, "look", lambda **_given: None)
    monkeypatch.setattr(acts, "set_failed", lambda part, now: RefundPart.objects.update(state="failed"))
    RefundPart.objects.update(recorded_by=None, bank_reference="")
    by = in_role("finance")
    acts.give_back(part_id=parked.pk, by=by, now=timezone.now(), closed_there=True)
    refund.refresh_from_db()
    assert refund.problem == f"part 1 failed: given back by {by}: "
