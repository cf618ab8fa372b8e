"""Of the acts on an object its page offers those that can be done now, and an act's page says what it is about."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer
from billing.books import adjustments
from billing.models import AdjustmentProposal, Mail, Wallet
from payments.models import Discrepancy, Dispute, ExchangeRate, Statement, TopUp
from tests.staffing import at_desk, in_role


@pytest.fixture
def desk(db) -> Client:
    return at_desk(in_role("finance"))


def page(answer) -> str:
    return " ".join(answer.content.decode().split())


def offered(desk, obj, *acts: str) -> list[str]:
    opts = obj._meta
    text = page(desk.get(reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[obj.pk])))
    links = {act: reverse(f"admin:{opts.app_label}_{opts.model_name}_{act}", args=[obj.pk]) for act in acts}
    return [act for act in acts if f'href="{links[act]}"' in text]


def test_mail_that_has_left_is_not_sent_again(desk):
    mail = Mail.objects.create(to="a@example.org", about="x", subject="x", body="")
    acts = ("send_again", "put_aside")
    assert offered(desk, mail, *acts) == ["send_again", "put_aside"]
    Mail.objects.update(put_aside_at=timezone.now())
    assert offered(desk, mail, *acts) == ["send_again"]
    Mail.objects.update(put_aside_at=None, sent_at=timezone.now())
    assert offered(desk, mail, *acts) == []


def test_a_customer_is_suspended_or_let_go_on(desk, customer):
    assert offered(desk, customer, "story", "suspend", "lift_suspension") == ["story", "suspend"]
    Customer.objects.update(suspended_at=timezone.now())
    assert offered(desk, customer, "story", "suspend", "lift_suspension") == ["story", "lift_suspension"]


def proposed(customer: Customer, now: datetime) -> AdjustmentProposal:
    by = in_role("finance", "b@x.org")
    return adjustments.propose(
        customer=customer, kind="bonus_up", amount="1", reason="outage", words="", by=by, now=now
    )


def test_what_is_decided_or_settled_is_not_decided_again(desk, customer, now):
    adjustment = proposed(customer, now)
    assert offered(desk, adjustment, "approve", "refuse") == ["approve", "refuse"]
    adjustments.refuse(proposal_id=adjustment.pk, why="no", by=in_role("finance", "c@x.org"), now=now)
    assert offered(desk, adjustment, "approve", "refuse") == []
    difference = Discrepancy.objects.create(provider="stripe", day="2026-11-23", kind="amount_differs", key="x")
    assert offered(desk, difference, "explain", "resolve") == ["explain", "resolve"]
    Discrepancy.objects.update(state="explained")
    assert offered(desk, difference, "explain", "resolve") == []
    rate = ExchangeRate.objects.create(rate=Decimal("71.2"), source="x", needs_second=True)
    assert offered(desk, rate, "confirm", "drop") == ["confirm", "drop"]
    ExchangeRate.objects.update(dropped_at=now)
    assert offered(desk, rate, "confirm", "drop") == []
    statement = Statement.objects.create(provider="stripe", day="2026-11-23", raw=b"", sha256="", lines=0)
    assert offered(desk, statement, "share") == ["share"]
    Statement.objects.update(shared_at=now, shared_by=adjustment.proposed_by)
    assert offered(desk, statement, "share") == []


def test_nothing_is_written_off_or_put_aside_where_nothing_is_wrong(desk, customer, now):
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="stripe",
        amount=20,
        charge_amount=20,
        charge_currency="USD",
        expires_at=now,
    )
    dispute = Dispute.objects.create(
        topup=topup,
        customer=customer,
        provider="stripe",
        provider_id="du_1",
        amount=20,
        currency="USD",
        status="lost",
        withdrawn=20,
    )
    acts = ("look", "propose_write_off", "confirm_write_off")
    assert offered(desk, topup, "look", "put_aside") == ["look"]
    assert offered(desk, dispute, *acts) == ["look"]
    assert offered(desk, Wallet.objects.get(), "write_off") == []
    TopUp.objects.update(problem="paid twice")
    Wallet.objects.update(paid=-20)
    assert offered(desk, topup, "look", "put_aside") == ["look", "put_aside"]
    assert offered(desk, dispute, *acts) == ["look", "propose_write_off"]


def test_who_refuses_explains_or_confirms_reads_what(desk, customer, now):
    adjustment = proposed(customer, now)
    Wallet.objects.update(paid=Decimal("-0.41"))
    text = page(desk.get(reverse("admin:billing_adjustmentproposal_refuse", args=[adjustment.pk])))
    assert "b@x.org proposed for Ada: bonus up, $1.00.<br>outage<br>The wallet now: paid -$0.4100" in text
    difference = Discrepancy.objects.create(
        provider="stripe", day="2026-11-23", kind="amount_differs", key="x", theirs=101, ours=100, currency="USD"
    )
    text = page(desk.get(reverse("admin:payments_discrepancy_explain", args=[difference.pk])))
    assert "theirs 101.00, ours 100.00 USD" in text
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="before", created_at=now)
    rate = ExchangeRate.objects.create(rate=Decimal("71.2"), source="a bank", needs_second=True)
    text = page(desk.get(reverse("admin:payments_exchangerate_confirm", args=[rate.pk])))
    assert "$20 will cost ¥1,424.00, now ¥142.40." in text
