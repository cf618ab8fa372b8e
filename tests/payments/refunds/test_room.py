"""A refund begun at the provider, while a part of ours that cannot arrive takes its room."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from payments import refunds as refunding
from payments.inbox import notifications
from payments.models import Notification
from payments.refunds import external
from tests.payments.conftest import process_inbox, provider_number
from tests.payments.dispute_steps import drifts
from tests.payments.refund_steps import approved, pay_by, red, send, settle, staff, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return staff("clerk")


def test_it_is_red_and_names_the_part_that_waits_for_staff_and_fits_once_that_is_given_back(sandbox, customer, clerk):
    topup = pay_by(sandbox, customer, "wechat")
    sandbox.fault("refund_no_funds", provider="wechat")
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    assert part.state == "parked"
    sandbox.control("POST", f"/orders/wechat/{provider_number(topup)}/refund", amount=4272)
    sandbox.wait_until_delivered(order=provider_number(topup), event="REFUND.")
    process_inbox()
    told = Notification.objects.get(kind__startswith="REFUND.")
    assert told.outcome == "mismatch"
    assert told.detail.endswith(f"of 42.72 CNY, begun at the provider; part {part} waits for staff")
    assert red()["Refunds and disputes told of that do not fit"] == "1"
    refunding.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    told = notifications.process(notification_id=told.pk, now=timezone.now())
    topup.refresh_from_db()
    assert (told.outcome, topup.refunded, topup.refunded_charge) == ("booked", 6, Decimal("42.72"))
    assert red() == {}
    assert drifts() == []


def test_a_part_of_ours_that_failed_there_leaves_its_room_at_once(sandbox, customer, clerk):
    """Stripe lists the newest first: theirs, then ours."""
    topup = pay_by(sandbox, customer, "stripe")
    sandbox.fault("refund_pending", provider="stripe")
    refund = send(approved(customer, clerk, "20.00"))
    settle(sandbox, refund.parts.get(), "failed")
    sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/refund", amount=500)
    [made] = external.settle_refunds(topup_id=topup.pk, key="", now=timezone.now())
    assert (made.amount, states(refund)) == (5, ["failed"])
    assert drifts() == []
