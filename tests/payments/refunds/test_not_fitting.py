"""A refund or a dispute that is told of and does not fit is red on the first page until somebody has looked at it."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import StaffAction
from billing.audit.run import audit
from payments.disputes import cases
from payments.inbox import notifications
from payments.models import Notification, Statement
from payments.providers.base import DisputeFact, Movement, Outcome, PaymentFact, ProviderRefund, RefundOutcome
from payments.refunds import external
from tests.payments.fake_refunds import paid_in
from tests.payments.refund_steps import red
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
LABEL = "Refunds and disputes told of that do not fit"


@pytest.fixture
def topup(make_customer):
    return paid_in(make_customer("0"), "stripe")


def told(kind: str, reference: str) -> Notification:
    row = Notification.objects.create(
        provider="stripe", key=f"evt_{Notification.objects.count()}", kind=kind, reference=reference, body="{}"
    )
    return notifications.process(notification_id=row.pk, now=timezone.now())


@pytest.fixture
def refunds_there(monkeypatch):
    """A function: Stripe knows refunds of the payment, of these amounts."""

    def put(*amounts: str, currency: str = "USD") -> None:
        refunds = [
            ProviderRefund(f"re_{number}", "", Decimal(amount), currency, RefundOutcome.DONE)
            for number, amount in enumerate(amounts)
        ]
        stripe = SimpleNamespace(
            find_refunds=lambda **_about: refunds, find_payment=lambda _number: PaymentFact(Outcome.REJECTED)
        )
        for module in (external, cases):
            monkeypatch.setattr(module.registry, "get", lambda _code: stripe)

    return put


@pytest.mark.parametrize(("amount", "currency"), [("30", "USD"), ("5", "EUR")])
def test_a_refund_of_another_sum_or_currency_is_red_until_somebody_has_looked(topup, refunds_there, amount, currency):
    refunds_there(amount, currency=currency)
    row = told("refund.created", topup.transaction_id)
    assert (row.outcome, red()) == ("mismatch", {LABEL: "1"})
    told("charge.refunded", topup.transaction_id)
    assert red() == {LABEL: "2"}
    desk, path = at_desk(in_role("finance")), reverse("admin:payments_notification_looked_at", args=[row.pk])
    assert f"{amount} {currency}, begun at the provider" in desk.get(path).content.decode()
    desk.post(path, {"note": "taken up with Stripe"})
    assert red() == {}
    done = StaffAction.objects.get()
    assert (done.object_type, done.why) == ("payments.notification", "taken up with Stripe")
    assert "There is no problem" in desk.post(path, {"note": "again"}, follow=True).content.decode()
    assert audit().drifts == []


def test_support_does_not_put_it_aside(topup, refunds_there):
    refunds_there("30")
    row = told("refund.created", topup.transaction_id)
    path = reverse("admin:payments_notification_looked_at", args=[row.pk])
    assert at_desk(in_role("support")).post(path, {"note": "x"}).status_code == 403
    assert LABEL in red()


def test_what_fits_at_last_is_red_no_longer(topup, refunds_there):
    refunds_there("30")
    row = told("refund.created", topup.transaction_id)
    refunds_there("5")
    notifications.process(notification_id=row.pk, now=timezone.now())
    assert red() == {}


def test_one_that_does_not_fit_keeps_no_other_from_being_booked(topup, refunds_there):
    refunds_there("30", "5")
    row = told("refund.created", topup.transaction_id)
    topup.refresh_from_db()
    assert (row.outcome, red(), topup.refunded) == ("mismatch", {LABEL: "1"}, 5)
    assert audit().drifts == []


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_none_of_ours_is_red_unless_the_account_is_shared(topup, refunds_there, shared):
    refunds_there("5")
    if shared:
        finance = in_role("finance")
        Statement.objects.create(
            provider="stripe", day=timezone.now().date(), raw=b"", sha256="", lines=0, matched_at=timezone.now(),
            shared_at=timezone.now(), shared_by=finance,
        )  # fmt: skip
    assert told("refund.created", "pi_of_another").outcome == "unknown_order"
    assert red() == ({} if shared else {LABEL: "1"})


def test_a_dispute_in_another_currency_is_red(topup, monkeypatch):
    now = timezone.now()
    took = Movement("txn_1", Decimal(-18), Decimal(15), "EUR", now)
    fact = DisputeFact("du_1", topup.transaction_id, "lost", "", Decimal(18), "EUR", now, None, (took,))
    monkeypatch.setattr(cases, "provider_of", lambda _code: SimpleNamespace(fetch_dispute=lambda _number: fact))
    row = told("charge.dispute.closed", "du_1")
    assert (row.outcome, red()) == ("mismatch", {LABEL: "1"})


def test_payments_that_do_not_fit_have_a_figure_of_their_own(topup):
    Notification.objects.create(
        provider="stripe", key="e", kind="x", body="", outcome="mismatch", processed_at=topup.created_at
    )
    assert red() == {}
