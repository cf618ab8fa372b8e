"""Days of which a provider gives no statement any more: finance gives them up, with a reason."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import StaffAction
from billing.audit.run import audit
from payments.models import Statement, TopUp
from payments.statements import clearing, reconcile
from tests.payments.fake_refunds import paid_in
from tests.payments.refund_steps import red
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
PATH = "admin:payments_statement_give_up"
LATE = "Statements missing or unmatched"


@pytest.fixture
def days(make_customer) -> list[date]:
    """The days since a first card top-up a week ago that are late at any hour of today, the newest first."""
    paid_in(make_customer("0"), "stripe")
    TopUp.objects.update(created_at=datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=7))
    late = reconcile.late_days_of(provider="stripe", now=timezone.now())
    assert len(late) >= 4
    return late


def given(first: date, last: date, **more: str) -> dict[str, str]:
    return {"provider": "stripe", "first": f"{first}", "last": f"{last}", "note": "Stripe has none"} | more


def test_days_that_are_given_up_are_asked_for_no_longer_and_leave_a_trail(days):
    finance = in_role("finance")
    desk, path = at_desk(finance), reverse(PATH)
    assert f"Card: {days[-1]} – {days[0]}" in desk.get(path).content.decode()
    assert red()[LATE] == str(len(days))
    desk.post(path, given(days[-1], days[1]))
    assert red()[LATE] == "1"
    assert reconcile.late_days_of(provider="stripe", now=timezone.now()) == [days[0]]
    rows = Statement.objects.order_by("day")
    assert [(row.day, row.matched_at, row.given_up_by) for row in rows] == [
        (day, None, finance) for day in reversed(days[1:])
    ]
    done = StaffAction.objects.get()
    assert (done.object_type, done.why) == ("payments.statement", "Stripe has none")
    assert done.text == f"Given up without a statement: {', '.join(str(day) for day in reversed(days[1:]))}"
    [account] = clearing.accounts()
    assert (account.untold, account.rest) == (20, 0)
    assert audit().drifts == []


def test_a_day_that_is_not_late_is_not_given_up(days):
    desk, today = at_desk(in_role("finance")), timezone.now().date()
    page = desk.post(reverse(PATH), given(today, today + timedelta(days=9))).content.decode()
    assert "None of these days is late." in page
    desk.post(reverse(PATH), given(days[-1], days[0], note=" "))
    assert not Statement.objects.exists()
    assert not StaffAction.objects.exists()


def test_another_providers_days_and_what_is_matched_stay(days):
    Statement.objects.create(provider="stripe", day=days[0], raw=b"", sha256="", lines=0, matched_at=timezone.now())
    desk = at_desk(in_role("finance"))
    desk.post(reverse(PATH), given(days[-1], days[0], provider="wechat"))
    assert not Statement.objects.filter(given_up_at__isnull=False).exists()
    desk.post(reverse(PATH), given(days[-1], days[0]))
    assert Statement.objects.get(day=days[0]).given_up_at is None
    assert Statement.objects.filter(given_up_at__isnull=False).count() == len(days) - 1


def test_a_day_that_can_be_had_after_all_is_matched(days):
    finance, now = in_role("finance"), timezone.now()
    reconcile.give_up(provider="stripe", first=days[0], last=days[0], by=finance, now=now)
    reconcile.match(provider="stripe", day=days[0], now=now)
    assert Statement.objects.get().matched_at == now


def test_support_gives_no_day_up(days):
    assert at_desk(in_role("support")).post(reverse(PATH), given(days[-1], days[0])).status_code == 403


def test_somebody_gives_a_day_up(days):
    with pytest.raises(IntegrityError, match="statement_given_up_by_somebody"), transaction.atomic():
        Statement.objects.create(
            provider="stripe", day=days[0], raw=b"", sha256="", lines=0, given_up_at=timezone.now()
        )
