"""An order that is paid a second time: the money came, so it is credited, and staff ask whether it was meant."""

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils import timezone

from billing.audit.run import audit
from billing.models import RefundRequest, Wallet
from payments import refunds
from payments.inbox import notifications
from payments.models import Discrepancy, ExchangeRate, Notification, Statement, StatementLine, TopUp
from payments.providers import registry
from payments.providers.base import Outcome, PaymentFact, ProviderUnavailable
from payments.statements import reconcile
from payments.topups import orders
from tests.payments.conftest import METHODS
from tests.payments.fake_refunds import paid_in
from tests.payments.refund_steps import pay_by, red

pytestmark = pytest.mark.django_db


@pytest.fixture
def there(make_customer, monkeypatch):
    """A function: an order of 20 USD that was paid by this method, and what its provider says of a second payment."""
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test")

    def put(method: str, **changes: object) -> TopUp:
        topup = paid_in(make_customer("0"), method)
        currency = topup.charge_currency
        fact = PaymentFact(Outcome.OK, topup.number, "second", topup.charge_amount, currency, is_ours=True)
        says = lambda _number: replace(fact, **changes)  # noqa: E731
        monkeypatch.setattr(orders.registry, "get", lambda _code: SimpleNamespace(find_payment=says))
        return topup

    return put


def told(topup: TopUp, payment: str = "second") -> Notification:
    kinds = {"stripe": "checkout.session.completed", "alipay": "TRADE_SUCCESS", "wechat": "TRANSACTION.SUCCESS"}
    row = Notification.objects.create(
        provider=topup.method,
        key=f"evt_{Notification.objects.count()}",
        kind=kinds[topup.method],
        order_number=topup.number,
        transaction_id=payment,
        body="{}",
    )
    return notifications.process(notification_id=row.pk, now=timezone.now())


@pytest.mark.parametrize("method", METHODS)
def test_a_notification_of_a_second_payment_credits_it_once_as_a_top_up_of_its_own(there, method):
    first = there(method)
    assert [told(first).outcome, told(first).outcome] == ["credited", "repeated"]
    second = TopUp.objects.get(second_of=first)
    assert (second.state, second.transaction_id, second.amount) == ("paid", "second", 20)
    assert second.problem == f"{first.number} was paid a second time by this"
    assert second.order_number == first.order_number == first.number
    assert Wallet.objects.get().paid == 40
    assert red() == {"Payments that do not fit": "1"}
    assert audit().drifts == []


def test_a_repeat_of_the_first_payment_asks_nobody(there, monkeypatch):
    first = there("alipay")
    monkeypatch.setattr(orders.registry, "get", lambda _code: pytest.fail("asked"))
    assert told(first, payment=first.transaction_id).outcome == "repeated"
    assert told(first, payment="").outcome == "repeated"


def test_a_statement_that_tells_of_a_second_payment_credits_it_too(there):
    first, day, now = there("stripe"), timezone.now().date(), timezone.now()
    statement = Statement.objects.create(provider="stripe", day=day, raw=b"", sha256="", lines=2)
    values = {"provider": "stripe", "kind": "payment", "amount": 20, "fee": 1, "currency": "USD", "at": now}
    for payment in (first.transaction_id, "second"):
        StatementLine.objects.create(
            statement=statement, key=f"txn_{payment}", transaction_id=payment, number=first.number, **values
        )
    reconcile.match(provider="stripe", day=day, now=now)
    assert Discrepancy.objects.get(state="open").key == "txn_second"
    assert reconcile.match_again(provider="stripe", day=day, now=now).open == []
    assert (Wallet.objects.get().paid, red()) == (40, {"Payments that do not fit": "1"})
    assert audit().drifts == []


def test_it_goes_back_when_the_rate_has_moved_as_any_late_payment_does(there):
    first = there("wechat")
    ExchangeRate.objects.create(rate=Decimal("8.50"), source="test")
    assert told(first).outcome == "credited"
    refund, second = RefundRequest.objects.get(), TopUp.objects.get(second_of=first)
    assert (refund.amount, refund.reference) == (20, second.number)
    refunds.send(refund_id=refund.pk, now=timezone.now())
    order = refunds.order_of(refund.parts.get())
    assert (order.order_number, order.transaction_id, order.amount) == (first.number, "second", Decimal("142.40"))
    assert audit().drifts == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": Decimal(7)}, "second has paid it a second time: paid 7 USD"),
        ({"order_number": "topup_another"}, "the payment is for order topup_another"),
        ({"is_ours": False}, "another merchant"),
    ],
)
def test_a_second_payment_that_does_not_fit_credits_nothing_and_is_flagged(there, changes, says):
    first = there("stripe", **changes)
    row = told(first)
    assert (row.outcome, says in row.detail) == ("mismatch", True)
    assert (TopUp.objects.count(), Wallet.objects.get().paid) == (1, 20)
    assert red() == {"Payments that do not fit": "1"}


@pytest.mark.parametrize(
    ("changes", "outcome"), [({"outcome": Outcome.REJECTED}, "closed"), ({"outcome": Outcome.PENDING}, "")]
)
def test_what_was_not_paid_credits_nothing(there, changes, outcome):
    assert told(there("stripe", **changes)).outcome == outcome
    assert Wallet.objects.get().paid == 20


def test_a_provider_that_does_not_answer_is_asked_again(there, monkeypatch):
    first = there("stripe")

    def silent(_number: str) -> PaymentFact:
        raise ProviderUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(orders.registry, "get", lambda _code: SimpleNamespace(find_payment=silent))
        row = told(first)
        assert (row.outcome, row.processed_at) == ("", None)
    assert notifications.process(notification_id=row.pk, now=timezone.now()).outcome == "credited"
    first.refresh_from_db()
    assert first.failures == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", METHODS)
def test_notifications_name_the_payment_and_each_provider_is_asked_by_its_number(sandbox, customer, method):
    topup = pay_by(sandbox, customer, method)
    named = Notification.objects.exclude(transaction_id="").values_list("transaction_id", flat=True)
    assert set(named) == {topup.transaction_id}
    provider = registry.get(method)
    fact = provider.find_payment(topup.transaction_id)
    assert (fact.outcome, fact.order_number, fact.transaction_id) == (Outcome.OK, topup.number, topup.transaction_id)
    assert (fact.amount, fact.currency, fact.is_ours) == (topup.charge_amount, topup.charge_currency, True)
    assert provider.find_payment({"stripe": "pi_none"}.get(method, "4200000000")).order_number == ""
