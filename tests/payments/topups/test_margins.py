"""Margin by payment method after fees: what a month's transfers say, in each method's currency."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.urls import reverse

from billing import refunds
from billing.books.ledger import Posting, house_account, post
from payments import refunds as refunding
from payments.models import RefundPart, Statement, StatementLine, TopUp
from payments.providers.base import Outcome, PaymentFact, RefundFact, RefundOutcome
from payments.statements import reconcile
from payments.topups import margins, orders
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
OCTOBER = datetime(2026, 10, 20, 12, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 20, 12, tzinfo=UTC)
MONTH = date(2026, 10, 1)


@pytest.fixture
def customer(make_customer):
    return make_customer("0")


@pytest.fixture(autouse=True)
def five_percent(settings):
    settings.PRICE_MARGIN = Decimal("1.05")


def paid(customer, method: str, amount: str, *, fee: str = "0", at: datetime = OCTOBER) -> TopUp:
    """By card in dollars, else at 7 yuan a dollar."""
    number, rate = f"topup_{TopUp.objects.count()}", None if method == "stripe" else Decimal(7)
    charge = Decimal(amount) * (rate or 1) + Decimal(fee)
    topup = TopUp.objects.create(
        customer=customer,
        number=number,
        method=method,
        amount=Decimal(amount),
        charge_amount=charge,
        charge_currency="CNY" if rate else "USD",
        fee_amount=Decimal(fee),
        returns_fee=True,
        fx_rate=rate,
        expires_at=at,
        created_at=at,
    )
    fact = PaymentFact(Outcome.OK, number, f"pi_{number}", charge, topup.charge_currency, is_ours=True, paid_at=at)
    orders.credit(topup_id=topup.pk, fact=fact, now=at)
    topup.refresh_from_db()
    return topup


def told(topup: TopUp, *, fee: str, amount: str = "", currency: str = "") -> None:
    """Its provider's statement tells of the payment, perhaps in another currency."""
    day = OCTOBER.date()
    statement, _ = Statement.objects.get_or_create(
        provider=topup.method, day=day, defaults={"raw": b"", "sha256": "", "lines": 1}
    )
    StatementLine.objects.create(
        statement=statement,
        provider=topup.method,
        key=f"txn_{topup.pk}",
        kind="payment",
        amount=Decimal(amount or topup.charge_amount),
        fee=Decimal(fee),
        currency=currency or topup.charge_currency,
        charge_amount=topup.charge_amount if currency else None,
        charge_currency=topup.charge_currency if currency else "",
        transaction_id=topup.transaction_id,
        at=OCTOBER,
    )
    reconcile.match(provider=topup.method, day=day, now=OCTOBER)


def go_back(topup: TopUp, amount: str) -> None:
    """A part of it, through its provider, whose answer is yes."""
    customer, clerk = topup.customer, in_role("finance", f"clerk{topup.pk}@staff.example.org")
    refund = refunds.ask(customer=customer, amount=amount, reason="not needed", now=OCTOBER)
    refunds.approve(refund_id=refund.pk, amount=amount, by=clerk, now=OCTOBER)
    refunding.send(refund_id=refund.pk, now=OCTOBER)
    for part in RefundPart.objects.filter(refund=refund):
        refunding.book(part_id=part.pk, fact=RefundFact(RefundOutcome.DONE), now=OCTOBER)


def of(method: str) -> margins.Margin:
    return next(row for row in margins.of_month(MONTH) if row.method == method)


def test_a_card_below_sixteen_dollars_loses_and_a_larger_one_gains(customer):
    told(paid(customer, "stripe", "10.00"), fee="0.59")
    card = of("stripe")
    assert (card.payments, card.credit, card.back, card.kept) == (1, 10, 0, {"USD": Decimal("0.59")})
    assert (card.of_usage, card.after_fees) == (Decimal("0.48"), Decimal("-0.11"))
    told(paid(customer, "stripe", "100.00"), fee="3.20")
    card = of("stripe")
    assert (card.payments, card.credit) == (2, 110)
    assert (card.of_usage, card.after_fees) == (Decimal("5.24"), Decimal("1.45"))


def test_yuan_count_at_the_rate_of_the_month(customer):
    told(paid(customer, "alipay", "20.00", fee="2.10"), fee="0.85")
    row = of("alipay")
    assert (row.credit, row.charged, row.kept) == (20, {"CNY": Decimal("2.1")}, {"CNY": Decimal("0.85")})
    # 20 * 0.05 / 1.05 + (2.10 - 0.85) / 7
    assert (row.of_usage, row.after_fees) == (Decimal("0.95"), Decimal("1.13"))
    assert of("wechat") == margins.Margin("wechat")


def test_what_goes_back_takes_its_margin_and_its_share_of_the_fee_along(customer, settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    told(topup := paid(customer, "alipay", "20.00", fee="2.10"), fee="0.85")
    go_back(topup, "10.00")
    row = of("alipay")
    assert (row.credit, row.back, row.charged) == (20, 10, {"CNY": Decimal("1.05")})
    assert row.after_fees == Decimal("0.51")  # 10 * 0.05 / 1.05 + (1.05 - 0.85) / 7
    told(topup := paid(customer, "stripe", "50.00"), fee="1.75")
    go_back(topup, "40.00")
    card = of("stripe")
    assert (card.credit, card.back, card.after_fees) == (50, 40, Decimal("-1.27"))


def test_fees_in_the_currency_that_the_account_settles_in_count_at_its_own_rate(customer):
    topup = paid(customer, "stripe", "100.00")
    told(topup, fee="3.00", amount="80.00", currency="EUR")
    card = of("stripe")
    assert (card.credit, card.back, card.kept) == (100, 0, {"EUR": Decimal(3)})
    assert card.after_fees == Decimal("1.01")  # 4.76 - 3 * 100 / 80


def test_a_fee_without_a_rate_is_not_guessed(customer):
    paid(customer, "stripe", "100.00")
    fees, clearing = house_account("expense:fees:EUR"), house_account("clearing:stripe:EUR")
    post([Posting("f", "fee", fees, clearing, Decimal(2))], now=OCTOBER)
    assert of("stripe").after_fees is None


def test_payouts_and_other_months_are_no_margin(customer):
    paid(customer, "stripe", "30.00", at=SEPTEMBER)
    bank, clearing = house_account("bank:USD"), house_account("clearing:stripe:USD")
    post([Posting("p", "payout", bank, clearing, Decimal(29))], now=OCTOBER)
    assert margins.of_month(MONTH) == [margins.Margin(method) for method in ("stripe", "alipay", "wechat")]


def test_finance_sees_a_month_at_the_desk_and_support_does_not(customer):
    told(paid(customer, "stripe", "10.00"), fee="0.59")
    path = reverse("admin:payments_topup_margins")
    desk = at_desk(in_role("finance"))
    page = " ".join(desk.get(path, {"month": "2026-10"}).content.decode().split())
    assert "0.59 USD" in page
    assert 'desk-bad" data-label="After fees"><b>-$0.11</b>' in page
    assert "PRICE_MARGIN, 5 %" in page
    assert "Name a month up to this one" in desk.get(path, {"month": "2999-01"}).content.decode()
    assert "Margin by method" in desk.get(path).content.decode()
    assert at_desk(in_role("support")).get(path).status_code == 403
