"""A fee on top of a credit: quoted, paid, booked as the house's, and back or not as the order says."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import User
from billing import refunds
from billing.audit.run import audit
from billing.models import LedgerAccount, Transfer
from payments import refunds as refunding
from payments.disputes import cases
from payments.invoices.sources import topups_of
from payments.models import Discrepancy, RefundPart, TopUp
from tests.conftest import NOW
from tests.payments.conftest import METHODS, open_topup, pay, process_inbox
from tests.payments.dispute_steps import act, settle
from tests.payments.refunds.test_external import refund_there
from tests.payments.refunds.test_external import settle as settle_refunds
from tests.payments.statements.test_statements import CURRENCY, refunded, run
from tests.payments.topups.test_late_payments import paid_late

pytestmark = pytest.mark.django_db(transaction=True)
FEES = {"stripe": ("0.88", "20.88"), "alipay": ("1.42", "143.82"), "wechat": ("0.30", "142.70")}
"""Of a credit of 20 USD: the fee and the charge, at 7.12 yuan a dollar."""


@pytest.fixture(autouse=True)
def _fees(sandbox, settings):
    sandbox.control("POST", "/settings", bills_at_once=True)
    settings.TOPUP_FEES = {
        "stripe": (Decimal("2.9"), Decimal("0.30")),
        "alipay": (Decimal(1), Decimal(0)),
        "wechat": (Decimal(0), Decimal("0.30")),
    }


def paid_by(sandbox, customer, method: str) -> TopUp:
    topup = open_topup(customer, method=method, amount="20.00")
    pay(sandbox, topup)
    topup.refresh_from_db()
    return topup


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.filter(name=name).first()
    if account is None:
        return Decimal(0)
    come, gone = (sum((t.amount for t in side.all()), Decimal(0)) for side in (account.credits, account.debits))
    return come - gone


def earned(method: str) -> Decimal:
    return balance(f"revenue:topup_fees:{CURRENCY[method]}")


def clearing(method: str) -> Decimal:
    """What the provider owes."""
    return -balance(f"clearing:{method}:{CURRENCY[method]}")


def drifts() -> list[str]:
    return audit().drifts


@pytest.mark.parametrize("method", METHODS)
def test_the_fee_is_paid_on_top_and_the_wallet_never_sees_it(sandbox, customer, wallet, method):
    fee, charge = map(Decimal, FEES[method])
    topup = paid_by(sandbox, customer, method)
    assert (topup.amount, topup.fee_amount, topup.charge_amount) == (20, fee, charge)
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.paid_in) == (20, 20)
    assert (earned(method), clearing(method)) == (fee, charge)
    groups = set(Transfer.objects.filter(key__startswith=f"topup:{topup.pk}").values_list("group", flat=True))
    assert groups == {f"topup:{topup.pk}"}
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("returns", [True, False])
def test_a_refund_in_parts_returns_exactly_the_fee_or_nothing_of_it(sandbox, customer, settings, method, returns):
    settings.TOPUP_FEE_REFUNDED = returns
    fee, charge = map(Decimal, FEES[method])
    topup = paid_by(sandbox, customer, method)
    settings.TOPUP_FEE_REFUNDED = not returns  # what held when the order was made counts
    for amount in ("6.67", "6.66", "6.67"):
        refunded_one(customer, amount)
        assert drifts() == []
    topup.refresh_from_db()
    assert (topup.refunded, topup.shown_state) == (20, "refunded")
    assert topup.refunded_charge == (charge if returns else charge - fee)
    assert (topup.refunded_fee, earned(method)) == ((fee, 0) if returns else (0, fee))
    assert clearing(method) == (0 if returns else fee)


def refunded_one(customer, amount: str) -> RefundPart:
    """As `refunded`, for one refund after another."""
    by = User.objects.create_superuser(f"by{RefundPart.objects.count()}@example.org", "a rather long one")
    refund = refunds.ask(customer=customer, amount=amount, reason="test", now=timezone.now())
    refunds.approve(refund_id=refund.pk, amount=amount, by=by, now=timezone.now())
    refunding.send(refund_id=refund.pk, now=timezone.now())
    for _attempt in range(300):
        part = refund.parts.get()
        if part.state == "done":
            return part
        refunding.look(part_id=part.pk, now=timezone.now())
    raise AssertionError("it never arrives")


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_payment_that_came_too_late_goes_back_with_its_fee(sandbox, customer, method):
    fee, charge = map(Decimal, FEES[method])
    topup = paid_late(sandbox, customer, method=method, rate="7.60")
    assert earned(method) == fee
    [claimed] = refunding.claim_requests(now=timezone.now())
    refunding.send(refund_id=claimed, now=timezone.now())
    for part in RefundPart.objects.all():
        for _attempt in range(100):
            part.refresh_from_db()
            if part.state == "done":
                break
            refunding.look(part_id=part.pk, now=timezone.now())
    topup.refresh_from_db()
    assert (topup.refunded_charge, topup.refunded_fee) == (charge, fee)
    assert (earned(method), clearing(method)) == (0, 0)
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_refund_begun_at_the_provider_takes_its_share_of_each_part(sandbox, customer, wallet, method):
    fee, charge = map(Decimal, FEES[method])
    topup = paid_by(sandbox, customer, method)
    quarter = (charge / 4).quantize(Decimal("0.01"))
    refund_there(sandbox, topup, quarter)
    process_inbox()
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert topup.refunded_charge == quarter
    assert abs(topup.refunded_fee - fee / 4) < Decimal("0.01")
    assert abs(wallet.paid - 15) <= Decimal("0.01")
    assert earned(method) == fee - topup.refunded_fee
    assert drifts() == []
    settle_refunds(topup, refund_there(sandbox, topup, charge - quarter))
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge, topup.refunded_fee) == (20, charge, fee)
    assert (wallet.paid, earned(method), clearing(method)) == (0, 0, 0)
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_kept_fee_that_the_operator_pays_back_there_is_the_houses_alone(sandbox, customer, wallet, method):
    fee, charge = map(Decimal, FEES[method])
    topup = paid_by(sandbox, customer, method)
    refunded(customer, "20.00")
    assert earned(method) == fee
    settle_refunds(topup, refund_there(sandbox, topup, fee))
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge, topup.refunded_fee) == (20, charge, fee)
    assert (wallet.paid, wallet.paid_in, earned(method), clearing(method)) == (0, 0, 0, 0)
    assert drifts() == []


def test_a_dispute_takes_the_credit_from_the_wallet_and_the_fee_from_the_house(sandbox, customer, wallet):
    paid = paid_by(sandbox, customer, "stripe")
    settle(act(sandbox, paid, "open"))
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, wallet.disputed) == (20, 20, 20)
    assert drifts() == []
    settle(act(sandbox, paid, "withdraw"))
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, earned("stripe")) == (0, 0, 0)
    assert clearing("stripe") == -15  # the dispute's own fee alone
    assert drifts() == []
    settle(act(sandbox, paid, "win"))
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, wallet.disputed, earned("stripe")) == (20, 0, 0, Decimal("0.88"))
    assert drifts() == []


def test_a_lost_dispute_over_a_part_takes_its_share_of_each(sandbox, customer, wallet):
    paid = paid_by(sandbox, customer, "stripe")
    for step in ("open", "withdraw", "lose"):
        dispute = settle(act(sandbox, paid, step, **({"amount": 1044} if step == "open" else {})))
        assert drifts() == [], step
    assert dispute.amount == Decimal("10.44")
    wallet.refresh_from_db()
    paid.refresh_from_db()
    assert (wallet.paid, paid.disputed, earned("stripe")) == (10, 10, Decimal("0.44"))
    assert cases.keeps_suspended(customer.pk)


@pytest.mark.parametrize("method", METHODS)
def test_a_statement_fits_with_the_fee_and_the_clearing_account_is_what_it_says(sandbox, customer, settings, method):
    settings.TOPUP_FEE_REFUNDED = True
    paid_by(sandbox, customer, method)
    refunded(customer, "5.00")
    result = run(method)
    assert (result.lines, result.open) == (2, [])
    assert not Discrepancy.objects.exists()
    assert drifts() == []


def test_an_invoice_may_stand_on_all_that_was_charged_and_a_kept_fee_stays_invoiced(sandbox, customer):
    paid_by(sandbox, customer, "stripe")
    [source] = topups_of(customer.pk, timezone.now(), frozenset())
    assert (source.charged, source.refunded) == (Decimal("20.88"), 0)
    refunded(customer, "20.00")
    [source] = topups_of(customer.pk, timezone.now(), frozenset())
    assert (source.charged, source.refunded) == (Decimal("20.88"), Decimal("20.00"))
    assert drifts() == []


def test_the_audit_finds_a_fee_that_is_posted_otherwise(sandbox, customer):
    topup = paid_by(sandbox, customer, "alipay")
    TopUp.objects.filter(pk=topup.pk).update(fee_amount="1.41", charge_amount="143.81")
    of_topup, of_account = drifts()
    assert "with a fee of 1.41 and posted 1.42" in of_topup
    assert of_account.startswith("clearing:alipay:CNY holds 143.82 CNY:")


def test_the_api_tells_the_fee_in_a_quote_and_with_the_order(customer, client: Client):
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["billing", "read"])
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {key.text}"
    asked = {"amount": "20.00", "method": "stripe"}
    quoted = client.get("/v1/topups/quote", asked).json()["data"]
    assert quoted == {
        "amount": "20.00000000",
        "currency": "USD",
        "method": "stripe",
        "charge_amount": "20.88000000",
        "charge_currency": "USD",
        "fee_amount": "0.88000000",
        "tax_amount": "0.00000000",
        "fx_rate": None,
    }
    assert not TopUp.objects.exists()
    order = client.post("/v1/topups", asked, content_type="application/json").json()["data"]
    told = {name: order[name] for name in ("charge_amount", "fee_amount", "tax_amount", "refunded_amount")}
    zero = "0.00000000"
    assert told == {
        "charge_amount": "20.88000000",
        "fee_amount": "0.88000000",
        "tax_amount": zero,
        "refunded_amount": zero,
    }
    yuan = client.get("/v1/topups/quote", {"amount": "20", "method": "alipay"}).json()["data"]
    assert (yuan["charge_amount"], yuan["fee_amount"], yuan["fx_rate"]) == ("143.82000000", "1.42000000", "7.12")
    for wrong in ({"amount": "0.5", "method": "stripe"}, {"amount": "20", "method": "cash"}, {"method": "stripe"}):
        answer = client.get("/v1/topups/quote", wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_the_pages_show_the_fee_before_and_after_paying(sandbox, customer, client: Client):
    client.force_login(customer.members.get())
    page = client.get("/console/topup").content.decode()
    assert 'data-percent="2.9" data-fixed="0.30"' in page
    assert "2.9 % + $0.30" in page
    assert "is not refunded" in page
    topup = open_topup(customer, method="alipay")
    shown = client.get(f"/console/topup/{topup.number}").content.decode()
    assert "¥1.42" in shown
    assert "¥143.82" in shown


def test_where_no_fee_is_set_nothing_speaks_of_one(sandbox, customer, settings, client: Client):
    settings.TOPUP_FEES = {method: (Decimal(0), Decimal(0)) for method in METHODS}
    client.force_login(customer.members.get())
    assert "is not refunded" not in client.get("/console/topup").content.decode()
    topup = paid_by(sandbox, customer, "alipay")
    assert (topup.charge_amount, topup.fee_amount) == (Decimal("142.40"), 0)
    assert not Transfer.objects.filter(kind="topup_fee").exists()
    assert "Fee" not in client.get(f"/console/topup/{topup.number}").content.decode()
