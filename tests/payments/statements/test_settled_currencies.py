"""A Stripe account that settles in another currency than was charged: every clearing account ends at zero."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.audit.run import audit
from billing.books.money import PLACES
from billing.models import LedgerAccount
from core import panels
from payments import refunds
from payments.disputes import cases
from payments.models import Dispute, RefundPart, StatementLine
from payments.providers.base import DisputeFact
from payments.statements import reconcile
from sandbox.stripe.payments import RATES
from tests.payments.conftest import balance, provider_number
from tests.payments.dispute_steps import act, approved, settle
from tests.payments.refund_steps import pay_by

pytestmark = pytest.mark.django_db(transaction=True)
CURRENCIES = ("EUR", "HKD", "JPY", "KWD")


def account_in(sandbox, currency: str) -> None:
    sandbox.control("POST", "/settings", bills_at_once=True, settles_in=currency.lower())


def run() -> reconcile.Result:
    now = timezone.now()
    return reconcile.reconcile(provider="stripe", day=now.date(), now=now + timedelta(days=3))


def cash(amount: str, currency: str, when: int) -> Decimal:
    """Dollars at the sandbox's rate of a charge, a refund or a dispute, in the account's cash."""
    rate = Decimal(str(RATES[currency.lower()][when]))
    return (Decimal(amount) * rate).quantize(Decimal(1).scaleb(-PLACES[currency]))


@pytest.mark.parametrize("outcome", ["win", "lose"])
@pytest.mark.parametrize("currency", CURRENCIES)
def test_paid_refunded_and_disputed_in_another_currency_every_clearing_account_ends_at_zero(
    sandbox, customer, wallet, currency, outcome
):
    account_in(sandbox, currency)
    first, second = (pay_by(sandbox, customer, "stripe", amount) for amount in ("20.00", "30.00"))
    refund = approved(customer, "5.00")
    refunds.send(refund_id=refund.pk, now=timezone.now())
    part = refund.parts.get()
    disputed = second if part.topup_id == first.pk else first
    opened = act(sandbox, disputed, "open")
    act(sandbox, disputed, "withdraw")
    assert settle(opened).problem == ""
    customer.refresh_from_db()
    assert customer.is_suspended
    act(sandbox, disputed, outcome)
    settle(opened)
    sandbox.control("POST", "/payouts/stripe")
    result = run()
    assert (result.open, result.lines) == ([], 6 if outcome == "win" else 5)
    wallet.refresh_from_db()
    assert wallet.paid == 45 - (disputed.amount if outcome == "lose" else 0)

    assert balance("clearing:stripe:USD") == balance(f"clearing:stripe:{currency}") == 0
    lines = StatementLine.objects.all()
    charged = [cash("20", currency, 0), cash("30", currency, 0), -cash("5", currency, 1)]
    taken = cash(str(disputed.amount), currency, 2)
    charged += [-taken, taken] if outcome == "win" else [-taken]
    assert sorted(line.amount for line in lines if line.kind != "payout") == sorted(charged)
    fees = sum((line.fee for line in lines), Decimal(0))
    assert balance(f"expense:fees:{currency}") == fees > 0
    assert balance(f"bank:{currency}") == sum(charged) - fees
    # The result of the exchange: what is settled stands against the dollars that it was charged for.
    assert balance(f"fx:{currency}") == -sum(charged)
    assert balance("fx:USD") == 45 - (disputed.amount if outcome == "lose" else 0)
    assert (balance("expense:fees:USD"), balance("bank:USD")) == (0, 0)
    assert audit().drifts == []
    before = LedgerAccount.objects.count()
    assert (run().open, LedgerAccount.objects.count()) == ([], before)


@pytest.mark.parametrize("currency", CURRENCIES)
def test_a_refund_that_bounces_in_another_currency_leaves_no_account_open(sandbox, customer, wallet, currency):
    account_in(sandbox, currency)
    pay_by(sandbox, customer, "stripe")
    sandbox.fault("refund_bounces", provider="stripe", seconds=0.05)
    refund = approved(customer, "5.00")
    refunds.send(refund_id=refund.pk, now=timezone.now())
    part = refund.parts.get()
    sandbox.wait_until_delivered(order=part.provider_id, event="refund.failed")
    refunds.look(part_id=part.pk, now=timezone.now())
    sandbox.control("POST", "/payouts/stripe")
    assert run().open == []
    assert balance("clearing:stripe:USD") == balance(f"clearing:stripe:{currency}") == 0
    assert audit().drifts == []


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_refund_that_comes_back_at_another_days_rate_leaves_no_account_open(
    sandbox, customer, wallet, monkeypatch, is_ours
):
    """Asked for here, or begun and failed at the provider before it was booked here."""
    account_in(sandbox, "EUR")
    topup = pay_by(sandbox, customer, "stripe")
    sandbox.fault("drop_notification", provider="stripe", times=0)
    if is_ours:
        refunds.send(refund_id=approved(customer, "5.00").pk, now=timezone.now())
    else:
        sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/refund", amount=500)
    [refund] = sandbox.control("GET", "/refunds")["refunds"]
    sandbox.control("POST", f"/refunds/stripe/{refund['number']}/done")
    for part in RefundPart.objects.all():
        refunds.look(part_id=part.pk, now=timezone.now())
    monkeypatch.setitem(RATES, "eur", (0.92, 0.97, 0.95))
    sandbox.control("POST", f"/refunds/stripe/{refund['number']}/failed")
    sandbox.control("POST", "/payouts/stripe")
    assert run().open == []
    assert balance("clearing:stripe:USD") == balance("clearing:stripe:EUR") == 0
    assert (balance("fx:USD"), balance("fx:EUR")) == (20, Decimal("-18.60"))  # 18.40, and 0.20 by the rates
    assert audit().drifts == []


def test_a_dispute_protects_before_it_can_be_booked(sandbox, customer, wallet, monkeypatch):
    topup = pay_by(sandbox, customer, "stripe")
    dispute = act(sandbox, topup, "open")
    provider = cases.provider_of("stripe")
    fetch = provider.fetch_dispute

    def in_euro(dispute_id: str) -> DisputeFact:
        fact = fetch(dispute_id)
        names = {name: getattr(fact, name) for name in fact.__slots__}
        return DisputeFact(**{**names, "currency": "EUR", "amount": Decimal("18.40")})

    with monkeypatch.context() as patch:
        patch.setattr(provider, "fetch_dispute", in_euro)
        assert "book it by hand" in settle(dispute).problem
    customer.refresh_from_db()
    wallet.refresh_from_db()
    assert (customer.is_suspended, wallet.held, Dispute.objects.get().held) == (True, 20, 20)
    assert audit().drifts == []
    assert settle(dispute).problem == ""
    act(sandbox, topup, "win")
    settle(dispute)
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held) == (20, 0)
    assert audit().drifts == []


def test_what_is_owed_is_compared_in_each_currency(sandbox, customer):
    account_in(sandbox, "JPY")
    topup = pay_by(sandbox, customer, "stripe")
    run()
    panel = next(panel for panel in panels._panels["payments"][1]() if panel.title == "Owed by providers")
    owed = {figure.label: (figure.value, figure.tone) for figure in panel.figures}
    assert owed["stripe:USD"] == ("0.00 USD", "")
    assert owed["stripe:JPY"][1] == ""
    line = StatementLine.objects.get(transaction_id=topup.transaction_id)
    assert (line.amount, line.currency, line.charge_amount, line.charge_currency) == (2990, "JPY", 20, "USD")
    assert provider_number(topup)


@pytest.mark.parametrize("outcome", ["win", "lose"])
def test_a_top_up_with_a_fee_leaves_no_account_open_in_another_currency_either(
    sandbox, customer, wallet, settings, outcome
):
    settings.TOPUP_FEES = {**settings.TOPUP_FEES, "stripe": (Decimal(3), Decimal("0.30"))}
    account_in(sandbox, "EUR")
    topup = pay_by(sandbox, customer, "stripe")
    assert topup.fee_amount == Decimal("0.90")
    opened = act(sandbox, topup, "open")
    act(sandbox, topup, "withdraw")
    settle(opened)
    act(sandbox, topup, outcome)
    settle(opened)
    sandbox.control("POST", "/payouts/stripe")
    assert run().open == []
    wallet.refresh_from_db()
    assert wallet.paid == (20 if outcome == "win" else 0)
    assert balance("revenue:topup_fees:USD") == (Decimal("-0.90") if outcome == "win" else 0)
    assert balance("clearing:stripe:USD") == balance("clearing:stripe:EUR") == 0
    assert audit().drifts == []
