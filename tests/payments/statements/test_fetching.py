"""What a statement's line, or staff, name by the provider's number is fetched there and settled."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import StaffAction, User
from billing import refunds
from billing.audit.run import audit
from billing.models import Hold, Transfer
from payments import refunds as refunding
from payments.models import Discrepancy, Dispute, RefundPart, Statement, TopUp
from payments.providers import registry
from payments.refunds.external import settle_refunds
from payments.statements import fetching, reconcile
from tests.payments.conftest import METHODS, open_topup, pay, provider_number
from tests.payments.dispute_steps import act
from tests.payments.statements.test_statements import today
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(days=3)
"""The books' day ends an hour early, and a match is made again after a day."""


@pytest.fixture(autouse=True)
def at_once(sandbox):
    sandbox.control("POST", "/settings", bills_at_once=True)


@pytest.fixture
def desk(transactional_db):
    return at_desk(in_role("finance"))


def run(method: str) -> reconcile.Result:
    return reconcile.reconcile(provider=method, day=today(method), now=timezone.now() + LATER)


def paid_unheard(sandbox, customer, method: str) -> TopUp:
    """Paid at the provider; no notification of it comes, and nobody asks."""
    topup = open_topup(customer, method=method)
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup))
    return topup


def transaction_of(sandbox, topup: TopUp) -> str:
    fact = registry.get(topup.method).fetch_payment(number=topup.number, reference=topup.reference)
    return fact.transaction_id


@pytest.mark.parametrize("method", METHODS)
def test_a_payment_that_only_a_statement_knows_is_credited(sandbox, customer, wallet, method):
    topup = paid_unheard(sandbox, customer, method)
    assert run(method).open == []
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, wallet.paid) == ("paid", Decimal(20))
    assert not Discrepancy.objects.exists()
    assert audit().drifts == []


@pytest.mark.parametrize(("method", "state"), [("stripe", "paid"), ("alipay", "expired")])
def test_a_payment_that_went_back_wholly_before_anybody_heard_of_it_leaves_no_difference(
    sandbox, customer, wallet, method, state
):
    """Alipay calls such an order closed, so it is not credited; Stripe tells of it, and both are booked."""
    topup = paid_unheard(sandbox, customer, method)
    amount = int(topup.charge_amount * 100)
    sandbox.control("POST", f"/orders/{method}/{provider_number(topup)}/refund", amount=amount)
    assert run(method).open == []
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, wallet.paid) == (state, Decimal(0))
    assert not Statement.objects.filter(held_back__gt=0).exists()
    assert audit().drifts == []


def test_a_dispute_that_only_a_statement_knows_is_booked(sandbox, customer, paid, wallet):
    sandbox.fault("drop_notification", provider="stripe", times=0)
    act(sandbox, paid, "open")
    act(sandbox, paid, "withdraw")
    assert run("stripe").open == []
    dispute = Dispute.objects.get()
    assert (dispute.topup, dispute.withdrawn) == (paid, Decimal(20))
    wallet.refresh_from_db()
    assert wallet.paid == 0
    assert audit().drifts == []


@pytest.mark.parametrize("method", ["stripe", "wechat"])
def test_a_refund_that_was_pending_over_midnight_closes_its_difference(sandbox, customer, method):
    topup = open_topup(customer, method=method)
    pay(sandbox, topup)
    sandbox.fault("refund_pending", provider=method)
    clerk = User.objects.create_superuser("clerk@example.org", "a rather long one")
    refund = refunds.ask(customer=customer, amount="5.00", reason="test", now=timezone.now())
    refunds.approve(refund_id=refund.pk, amount="5.00", by=clerk, now=timezone.now())
    refunding.send(refund_id=refund.pk, now=timezone.now())
    part, day = refund.parts.get(), today(method)
    assert part.state == "sending"
    # Stripe's statement tells of a refund when it is asked for, WeChat's when it has arrived.
    told = [(row.kind, row.detail.partition(": ")[2]) for row in run(method).open]
    assert told == ([("missing_here", f"part {refund.number}, 1 waits for staff")] if method == "stripe" else [])
    sandbox.fault("drop_notification", provider=method, times=0)
    number = part.provider_id if method == "stripe" else part.key
    sandbox.control("POST", f"/refunds/{method}/{number}/done")
    assert reconcile.reconcile(provider=method, day=day, now=timezone.now() + LATER).open == []
    part.refresh_from_db()
    assert part.state == "done"
    assert not Discrepancy.objects.filter(state="open").exists()


@pytest.mark.parametrize(("end", "part_is"), [("done", "done"), ("failed", "failed")])
def test_a_refund_that_stripe_keeps_until_its_customer_acts_is_a_difference_that_names_the_part(
    sandbox, customer, paid, end, part_is
):
    """Begun in the dashboard and booked as it left; its money has left the balance, and is on its way again here."""
    sandbox.fault("refund_pending", provider="stripe")
    begun = sandbox.control("POST", f"/orders/stripe/{provider_number(paid)}/refund", amount=500)
    settle_refunds(topup_id=paid.pk, key="", now=timezone.now())
    sandbox.control("POST", f"/refunds/stripe/{begun['id']}/abnormal")
    part = RefundPart.objects.get()
    refunding.look(part_id=part.pk, now=timezone.now())
    part.refresh_from_db()
    [row] = run("stripe").open
    assert (part.state, row.kind, row.theirs, row.ours) == ("parked", "missing_here", Decimal(-5), None)
    assert row.detail.endswith(f": part {part} waits for staff")
    sandbox.control("POST", f"/refunds/stripe/{begun['id']}/{end}")
    assert run("stripe").open == []
    part.refresh_from_db()
    assert part.state == part_is
    assert audit().drifts == []


def test_an_open_difference_is_settled_and_closed_the_day_after(sandbox, customer, wallet, monkeypatch):
    topup = paid_unheard(sandbox, customer, "alipay")
    with monkeypatch.context() as patch:
        patch.setattr(
            fetching, "settle_lines", lambda _lines, **kwargs: None
        )  # the provider gave no answer on that day
        [row] = run("alipay").open
    assert row.kind == "missing_here"
    Statement.objects.update(matched_at=timezone.now() - timedelta(days=2))
    reconcile.reconcile_due(now=timezone.now())
    row.refresh_from_db()
    topup.refresh_from_db()
    assert (row.state, topup.state) == ("cured", "paid")


def test_a_line_whose_settling_fails_leaves_its_difference_and_keeps_nothing_else_back(sandbox, customer, monkeypatch):
    first, second = (paid_unheard(sandbox, customer, "wechat") for _number in range(2))
    settle = fetching.settle_topup

    def fail_once(*, topup_id, now, payment_id):
        if topup_id == first.pk:
            raise KeyError("amount")
        return settle(topup_id=topup_id, now=now, payment_id=payment_id)

    monkeypatch.setattr(fetching, "settle_topup", fail_once)
    [row] = run("wechat").open
    assert first.number in row.detail
    second.refresh_from_db()
    assert second.state == "paid"


def test_a_fee_is_booked_on_the_day_its_statement_tells(sandbox, customer):
    paid_unheard(sandbox, customer, "stripe")
    run("stripe")
    fee = Transfer.objects.get(kind="fee")
    assert fee.booked_on == today("stripe")
    assert fee.created_at > timezone.now() + LATER - timedelta(minutes=5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by", ["our number", "the provider's"])
def test_staff_fetch_a_payment_by_number(sandbox, customer, wallet, desk, method, by):
    topup = paid_unheard(sandbox, customer, method)
    number = topup.number if by == "our number" else transaction_of(sandbox, topup)
    path = reverse("admin:payments_topup_fetch")
    page = desk.post(path, {"provider": method, "number": f" {number} "}, follow=True).content.decode()
    assert "It is paid, and credited now." in page
    wallet.refresh_from_db()
    assert wallet.paid == Decimal(20)
    done = StaffAction.objects.get()
    assert (done.action, done.object_type, done.object_id) == ("fetch", "payments.topup", str(topup.pk))
    again = desk.post(path, {"provider": method, "number": number}, follow=True).content.decode()
    assert "It is paid, and was credited before." in again
    assert Transfer.objects.filter(kind="topup").count() == 1


@pytest.mark.parametrize("method", METHODS)
def test_staff_ask_the_provider_about_an_order(sandbox, customer, wallet, desk, method):
    topup = paid_unheard(sandbox, customer, method)
    path = reverse("admin:payments_topup_look", args=[topup.pk])
    assert "It is paid, and credited now." in desk.post(path, follow=True).content.decode()
    wallet.refresh_from_db()
    assert wallet.paid == Decimal(20)
    assert StaffAction.objects.get().object_id == str(topup.pk)
    assert "It is paid, and was credited before." in desk.post(path, follow=True).content.decode()
    assert Transfer.objects.filter(kind="topup").count() == 1


def test_a_card_payment_is_fetched_by_its_charge_too_with_the_refund_begun_there(sandbox, customer, wallet, desk):
    topup = paid_unheard(sandbox, customer, "stripe")
    client = registry.get("stripe")._client
    intent = transaction_of(sandbox, topup)
    charge = client.v1.payment_intents.retrieve(intent)["latest_charge"]
    sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/refund", amount=500)
    desk.post(reverse("admin:payments_topup_fetch"), {"provider": "stripe", "number": charge})
    wallet.refresh_from_db()
    topup.refresh_from_db()
    assert (wallet.paid, topup.refunded) == (Decimal(15), Decimal(5))
    assert audit().drifts == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", ["pi_none", "4200000000000000000000000000", "topup_none", "../../v3/x", "a?b", "%"])
def test_a_number_that_is_none_of_ours_is_said(sandbox, desk, method, number):
    page = desk.post(reverse("admin:payments_topup_fetch"), {"provider": method, "number": number}).content.decode()
    assert "It knows no such payment." in page or "letters and digits alone" in page
    assert not StaffAction.objects.exists()


def test_a_payment_for_anothers_order_credits_nothing_and_is_named(sandbox, customer, wallet, desk):
    topup = paid_unheard(sandbox, customer, "alipay")
    number = transaction_of(sandbox, topup)
    TopUp.objects.update(number="topup_other")
    page = desk.post(reverse("admin:payments_topup_fetch"), {"provider": "alipay", "number": number}).content.decode()
    assert f"It belongs to order {topup.number}, which is none of ours." in page
    wallet.refresh_from_db()
    assert wallet.paid == 0


def test_staff_fetch_a_dispute_by_number(sandbox, customer, paid, desk):
    sandbox.fault("drop_notification", provider="stripe", times=0)
    dispute = act(sandbox, paid, "open")
    path = reverse("admin:payments_dispute_fetch")
    assert "The provider knows no such dispute." in desk.post(path, {"number": "du_none"}).content.decode()
    page = desk.post(path, {"number": dispute["id"]}, follow=True).content.decode()
    assert "The provider says: needs_response." in page
    assert Hold.objects.get(kind="dispute").amount == Decimal(20)
    assert StaffAction.objects.get().action == "fetch"


def test_a_provider_that_is_off_or_silent_is_said(sandbox, customer, paid, desk, settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    given = {"provider": "wechat", "number": "4200000000"}
    assert "No answer" in desk.post(reverse("admin:payments_topup_fetch"), given).content.decode()
    assert "No answer" in desk.post(reverse("admin:payments_dispute_fetch"), {"number": "du_1"}).content.decode()


def test_others_fetch_no_payment(sandbox, customer):
    topup = paid_unheard(sandbox, customer, "alipay")
    for role in ("support", "operator"):
        page = at_desk(in_role(role)).post(
            reverse("admin:payments_topup_fetch"), {"provider": "alipay", "number": topup.number}
        )
        assert page.status_code == 403
    topup.refresh_from_db()
    assert topup.state == "open"


def test_the_provider_is_asked_outside_of_any_transaction(sandbox, customer, desk, monkeypatch):
    asked = []

    def settle_payment(**kwargs):
        asked.append(connection.in_atomic_block)
        raise fetching.NotOurs("x")

    monkeypatch.setattr(fetching, "settle_payment", settle_payment)
    desk.post(reverse("admin:payments_topup_fetch"), {"provider": "stripe", "number": "pi_1"})
    assert asked == [False]
