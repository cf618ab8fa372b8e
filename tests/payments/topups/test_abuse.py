"""Top-ups cannot be opened in numbers: a customer's and a network's limits, new customers' ceiling, first cards."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Customer
from payments.models import TopUp
from payments.providers.base import Checkout
from payments.providers.registry import get
from payments.topups import orders
from payments.topups.orders import TopUpError, order_of
from tests.billing.conftest import failures, in_threads
from tests.conftest import NOW
from tests.payments.conftest import confirmed, open_topup, pay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def strict(sandbox, settings, customer):
    """The limits as an operator has them; the sandbox's fixture lifts them. The customer is not new."""
    settings.TOPUP_MOST_OPEN, settings.TOPUP_MOST_PER_HOUR = 3, 5
    settings.TOPUP_MOST_PER_NETWORK_PER_HOUR = 4
    settings.TOPUP_NEW_CUSTOMER_DAILY = Decimal(100)
    Customer.objects.filter(pk=customer.pk).update(created_at=timezone.now() - timedelta(days=30))
    customer.refresh_from_db()


def refused(*args, **options):
    with pytest.raises(TopUpError) as caught:
        orders.open_topup(*args, now=timezone.now(), **options)
    return caught.value


def test_a_card_needs_a_confirmed_address(make_customer):
    stranger = make_customer(name="Eve")
    error = refused(customer=stranger, amount="20.00", method="stripe")
    assert (error.field, error.status) == ("method", 400)
    assert orders.open_topup(customer=stranger, amount="20.00", method="alipay", now=timezone.now())


def test_three_may_be_open_and_five_opened_an_hour(customer):
    for _number in range(3):
        open_topup(customer, method="alipay")
    error = refused(customer=customer, amount="5.00", method="wechat")
    assert error.status == 429
    assert 0 < error.retry_after <= 15 * 60
    TopUp.objects.update(state="expired")
    for _number in range(2):
        open_topup(customer, method="alipay")
    TopUp.objects.update(state="expired")
    error = refused(customer=customer, amount="5.00", method="wechat")
    assert 3500 < error.retry_after <= 3601
    TopUp.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    assert open_topup(customer, method="alipay")


def test_opened_all_at_once_no_more_than_three_are_open(customer):
    results = in_threads(*[lambda: open_topup(customer, method="alipay")] * 8)
    assert len(failures(results)) == 5
    assert TopUp.objects.count() == 3


def test_a_network_is_limited_whoever_opens_from_it(make_customer):
    people = [confirmed(make_customer(name=f"p{n}")) for n in range(6)]
    opens = [
        lambda who=who, n=n: orders.open_topup(
            customer=who, amount="5.00", method="alipay", now=timezone.now(), address=f"8.8.8.{n}"
        )
        for n, who in enumerate(people)
    ]
    assert len(failures(in_threads(*opens))) == 2
    assert orders.open_topup(customer=people[5], amount="5.00", method="alipay", now=timezone.now(), address="8.8.9.1")
    assert "8.8" not in "".join(TopUp.objects.values_list("network_hash", flat=True))


def test_a_customer_younger_than_a_week_has_a_daily_ceiling(make_customer):
    young = confirmed(make_customer(name="New"))
    Customer.objects.filter(pk=young.pk).update(created_at=timezone.now() - timedelta(days=6))
    young.refresh_from_db()
    open_topup(young, method="alipay", amount="60.00")
    assert refused(customer=young, amount="40.01", method="stripe").status == 429
    open_topup(young, method="stripe", amount="40.00")
    Customer.objects.filter(pk=young.pk).update(created_at=timezone.now() - timedelta(days=8))
    young.refresh_from_db()
    assert open_topup(young, method="alipay", amount="500.00")


def test_the_first_card_payment_asks_for_three_d_secure_and_a_repeat_asks_the_same(sandbox, customer, monkeypatch):
    first = open_topup(customer, method="stripe")
    assert order_of(first).three_d_secure
    pay(sandbox, first)
    assert order_of(first).three_d_secure  # what was asked stays as it was
    asked = []
    provider = get("stripe")
    sessions = provider._client.v1.checkout.sessions
    create = sessions.create

    def spy(params, options):
        asked.append(params)
        return create(params, options)

    monkeypatch.setattr(sessions, "create", spy)
    assert isinstance(provider.start_checkout(order_of(first)), Checkout)
    second = open_topup(customer, method="stripe")
    assert not order_of(second).three_d_secure
    assert asked[0]["payment_method_options"] == {"card": {"request_three_d_secure": "any"}}
    assert "payment_method_options" not in asked[1]


def test_over_the_api_the_limit_is_a_429_with_the_seconds_to_wait(customer, client):
    key = issuing.issue(customer=customer, name="k", now=NOW)
    headers = {"Authorization": f"Bearer {key.text}"}
    for _number in range(3):
        open_topup(customer, method="alipay")
    answer = client.post(
        "/v1/topups", {"amount": "5.00", "method": "alipay"}, content_type="application/json", headers=headers
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer["Retry-After"]) > 0
