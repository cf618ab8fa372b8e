"""The audit looks at top-ups: each paid one is posted once, and paid balances rest on them."""

from decimal import Decimal

import pytest
from django.db import connection

from billing.audit.run import audit
from billing.books import holds
from billing.books.ledger import Posting, house_account, post, set_disputed
from billing.models import Hold
from payments.models import Dispute, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(make_customer):
    return make_customer("3")


@pytest.fixture
def paid(customer):
    """A card top-up of 20 and one of 10 by Alipay, paid; a third stays open."""
    made = []
    for number, (method, charge, currency) in enumerate(
        (("stripe", "20.00", "USD"), ("alipay", "71.20", "CNY"), ("stripe", "5.00", "USD"))
    ):
        topup = TopUp.objects.create(
            customer=customer,
            number=f"topup_{number}",
            method=method,
            amount=Decimal("10.00") if currency == "CNY" else Decimal(charge),
            charge_amount=Decimal(charge),
            charge_currency=currency,
            fx_rate=Decimal("7.12") if currency == "CNY" else None,
            expires_at=NOW,
        )
        made.append(topup)
    for topup in made[:2]:
        fact = PaymentFact(
            Outcome.OK,
            order_number=topup.number,
            amount=topup.charge_amount,
            currency=topup.charge_currency,
            transaction_id=f"tx-{topup.pk}",
            is_ours=True,
        )
        assert orders.credit(topup_id=topup.pk, fact=fact, now=NOW) is orders.Result.CREDITED
    return made


def tamper(statement: str, **values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def test_sound_top_ups_have_no_drift(paid, customer):
    assert audit().drifts == []
    assert audit(customer_ids=[customer.pk]).drifts == []


TAMPERED = [
    (0, "UPDATE payments_topup SET state = 'open' WHERE id = %(id)s", "is open, to credit 0 USD and credited 20"),
    (
        0,
        "UPDATE payments_topup SET amount = 21, charge_amount = 21 WHERE id = %(id)s",
        "to credit 21.00 USD and credited 20",
    ),
    (0, "DELETE FROM billing_transfer WHERE key = 'topup:%(id)s'", "to credit 20.00 USD and credited 0"),
    (1, "DELETE FROM billing_transfer WHERE key = 'topup:%(id)s:CNY'", "to charge 71.20 CNY and posted 0"),
    (1, "UPDATE billing_transfer SET amount = 7 WHERE key = 'topup:%(id)s:CNY'", "to charge 71.20 CNY and posted 7"),
    (1, "UPDATE billing_transfer SET amount = 7 WHERE key = 'topup:%(id)s:USD'", "to credit 10.00 USD and credited 7"),
    (1, "UPDATE billing_transfer SET credit_id = 5 WHERE key = 'topup:%(id)s:USD'", "to another account"),
    (
        2,
        "UPDATE payments_topup SET state = 'paid', transaction_id = 'x', paid_at = now() WHERE id = %(id)s",
        "is paid, to credit 5.00 USD and credited 0",
    ),
    (0, "UPDATE payments_topup SET customer_id = 987654321 WHERE id = %(id)s", "to another account"),
]


@pytest.mark.parametrize(("which", "statement", "says"), TAMPERED, ids=[says for *_, says in TAMPERED])
def test_a_top_up_that_does_not_fit_its_transfers_is_a_drift(paid, which, statement, says):
    tamper(statement, id=paid[which].pk)
    assert any(paid[which].number in drift and says in drift for drift in audit().drifts), audit().drifts


def test_one_payment_posted_in_both_ways_is_a_drift(paid, customer):
    extra = Posting(
        f"topup:{paid[0].pk}:USD", "topup", house_account("fx:USD"), customer.wallet.paid_account, Decimal(20)
    )
    post([extra], now=NOW)
    assert any("to credit 20.00 USD and credited 40" in drift for drift in audit().drifts)


def test_paid_balance_from_nowhere_is_a_drift_and_an_adjustment_is_not(paid, customer):
    def give(kind: str) -> None:
        source = house_account("adjustments")
        post([Posting(f"x:{kind}", kind, source, customer.wallet.paid_account, Decimal(1))], now=NOW)

    give("adjustment")
    assert audit().drifts == []
    give("grant")
    says = "paid balance 32.00000000 is more than its top-ups and adjustments cover, 31.00000000"
    assert audit().drifts == [f"customer {customer.pk}: {says}"]
    assert audit(customer_ids=[customer.pk]).drifts == audit().drifts


def test_refunded_and_disputed_top_ups_cover_no_balance_but_a_frozen_dispute_is_still_there(paid, customer):
    TopUp.objects.filter(pk=paid[0].pk).update(disputed=20)
    dispute = Dispute.objects.create(
        provider="stripe",
        provider_id="du_1",
        topup=paid[0],
        customer=customer,
        status="needs_response",
        amount=20,
        currency="USD",
        held=20,
        holds=1,
    )
    holds.place(
        customer_id=customer.pk,
        key=dispute.ledger_key,
        kind=Hold.Kind.DISPUTE,
        amount=Decimal(20),
        now=NOW,
        may_overdraw=True,
    )
    set_disputed(customer_id=customer.pk, amount=Decimal(20))
    assert audit().drifts == []
    TopUp.objects.filter(pk=paid[1].pk).update(refunded=4, refunded_charge=28)
    says, without_parts = audit().drifts
    assert "paid balance 30.00000000 is more" in says
    assert "has 4.00 USD refunded (28.00 as charged)" in without_parts
