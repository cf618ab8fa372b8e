"""What is planned for a refund: once an approval, and given up with it."""

import importlib
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.audit.run import audit
from billing.models import RefundRequest, Wallet
from payments import refunds as refunding
from payments.models import RefundPart
from payments.refunds import sending
from payments.refunds.plan import plan
from tests.payments.dispute_steps import drifts
from tests.payments.refund_steps import MINUTE, approve, approved, pay_by, send, settle, staff, states, workers_round

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return staff("clerk")


@pytest.fixture
def half_sent(sandbox, customer, clerk, monkeypatch) -> RefundRequest:
    """20 USD by card have arrived, 10 of Alipay's are planned and have not left."""
    pay_by(sandbox, customer, "alipay")
    pay_by(sandbox, customer, "stripe")
    refund = approved(customer, clerk, "30.00")
    monkeypatch.setattr(
        sending, "waits_for_credit_note", lambda part, topup, now: "waits" if topup.method == "alipay" else ""
    )
    send(refund)
    monkeypatch.undo()
    assert states(refund) == ["done", "planned"]
    return refund


def bounce(sandbox, refund: RefundRequest) -> None:
    part = refund.parts.get(number=1)
    settle(sandbox, part, "failed")
    refunding.look(part_id=part.pk, now=timezone.now())
    refund.refresh_from_db()


def test_a_part_that_was_planned_when_another_came_back_is_given_up_with_the_return(sandbox, customer, half_sent):
    bounce(sandbox, half_sent)
    assert half_sent.state == RefundRequest.State.RETURNED
    assert states(half_sent) == ["failed", "failed"]
    assert half_sent.parts.get(number=2).detail == "the request is sent no longer"
    assert drifts() == []


@pytest.mark.parametrize("end", ["deny", "approve"])
def test_what_was_planned_when_its_request_was_denied_takes_no_room_of_its_top_up(
    sandbox, customer, clerk, half_sent, end
):
    bounce(sandbox, half_sent)
    if end == "deny":
        refunds.deny(refund_id=half_sent.pk, words="no", by=clerk, now=timezone.now())
        half_sent = refunds.ask(customer=customer, amount="40.00", reason="all of it", now=timezone.now())
    shares = plan(customer_id=customer.pk, amount=Decimal("40.00"), now=timezone.now())
    assert [(share.amount, share.by_bank) for share in shares] == [(20, False), (20, False)]
    most = "40.00" if end == "deny" else "30.00"
    again = send(approve(half_sent, clerk, most))
    assert (again.state, again.returned) == (RefundRequest.State.DONE, Decimal(most))
    assert drifts() == []


@pytest.mark.parametrize("act", ["deny", "cancel", "return"])
def test_denying_cancelling_and_returning_drop_what_is_planned_in_their_transaction(sandbox, customer, clerk, act):
    topup = pay_by(sandbox, customer, "stripe")
    refund = refunds.ask(customer=customer, amount="20.00", reason="not needed", now=timezone.now())
    if act == "return":
        RefundRequest.objects.filter(pk=refund.pk).update(state="sending", approved=20)
    RefundPart.objects.create(refund=refund, number=1, topup=topup, amount=20, key="part_stray")
    if act == "deny":
        refunds.deny(refund_id=refund.pk, words="no", by=clerk, now=timezone.now())
    elif act == "cancel":
        refunds.cancel(refund_id=refund.pk, now=timezone.now())
    else:
        refunds.return_to_desk(refund_id=refund.pk, problem="test", now=timezone.now())
    assert states(refund) == ["failed"]
    assert drifts() == []


def test_the_audit_tells_of_parts_planned_for_a_request_that_is_closed_and_the_migration_drops_them(
    sandbox, customer, clerk
):
    topup = pay_by(sandbox, customer, "stripe")
    refund = refunds.ask(customer=customer, amount="20.00", reason="not needed", now=timezone.now())
    refunds.deny(refund_id=refund.pk, words="no", by=clerk, now=timezone.now())
    RefundPart.objects.create(refund=refund, number=1, topup=topup, amount=20, key="part_stray")
    told = f"customer {customer.pk}: {refund.number} part 1 is planned, and the request is denied"
    assert audit().drifts == [told]
    assert audit(customer_ids=[customer.pk]).drifts == [told]
    migration = importlib.import_module("payments.migrations.0002_squashed_second_era")
    with connection.cursor() as cursor:
        cursor.execute(migration.DROP_PLANNED_PARTS)
    assert states(refund) == ["failed"]
    assert audit().drifts == []


def test_a_part_that_fails_while_a_sibling_is_pending_is_planned_again_by_staff_alone(sandbox, customer, clerk):
    pay_by(sandbox, customer, "stripe")
    pay_by(sandbox, customer, "wechat")
    sandbox.fault("refund_pending", provider="wechat")
    sandbox.fault("refund_fails", provider="stripe", times=0, seconds=0)
    start = timezone.now()
    refund = send(approved(customer, clerk, "40.00"), now=start)
    for minute in range(2, 62, 2):
        workers_round(now=start + minute * MINUTE)
    assert states(refund) == ["sending", "failed"]
    assert len(sandbox.control("GET", "/refunds?provider=stripe")["refunds"]) == 1
    settle(sandbox, refund.parts.get(number=1), "done")
    workers_round(now=start + 2 * 60 * MINUTE)
    refund.refresh_from_db()
    assert (refund.state, refund.returned) == (RefundRequest.State.RETURNED, 20)
    assert refund.problem.startswith("part 2 failed: ")
    sandbox.clear_faults()
    again = send(approve(refund, clerk, "20.00"))
    assert (again.state, states(again)) == (RefundRequest.State.DONE, ["done", "failed", "done"])
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


def test_a_request_that_began_before_it_was_planned_is_back_at_the_desk(sandbox, customer, clerk):
    """An older version began in one transaction and planned in another; a worker may have died between them."""
    pay_by(sandbox, customer, "stripe")
    refund = approved(customer, clerk, "20.00")
    refunds.begin_sending(refund_id=refund.pk, now=timezone.now())
    send(refund)
    assert (refund.state, refund.problem) == (RefundRequest.State.RETURNED, "nothing of it is on its way")
    assert send(approve(refund, clerk, "20.00")).state == RefundRequest.State.DONE
    assert drifts() == []
