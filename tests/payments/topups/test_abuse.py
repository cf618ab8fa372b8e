"""Top-ups cannot be opened in numbers: a customer's and a network's limits, new customers' ceiling, first cards."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import Mock

import pytest
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Customer
from payments.models import TopUp
from payments.providers.base import Checkout, Outcome, ProviderError
from payments.providers.registry import get
from payments.topups import opening, polling
from payments.topups.orders import TopUpError, order_of
from tests.billing.conftest import failures, in_threads
from tests.conftest import NOW
from tests.payments.conftest import confirmed, open_topup, pay, pay_at

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
        opening.open_topup(*args, now=timezone.now(), **options)
    return caught.value


def test_a_card_needs_a_confirmed_address(make_customer):
    stranger = make_customer(name="Eve")
    error = refused(customer=stranger, amount="20.00", method="stripe")
    assert (error.field, error.status) == ("method", 400)
    assert opening.open_topup(customer=stranger, amount="20.00", method="alipay", now=timezone.now())


def unpaid(customer):
    return list(TopUp.objects.unpaid(now=timezone.now()).filter(customer=customer).order_by("id"))


def closed_at_provider(topup):
    return get(topup.method).fetch_payment(number=topup.number, reference=topup.reference).outcome is Outcome.REJECTED


def test_a_fourth_closes_the_oldest_at_its_provider_and_five_are_opened_an_hour(customer):
    first, *others = [open_topup(customer, method="wechat") for _number in range(3)]
    assert not closed_at_provider(first)
    fourth = open_topup(customer, method="wechat", amount="5.00")
    assert unpaid(customer) == [*others, fourth]
    first.refresh_from_db()
    assert (first.state, closed_at_provider(first)) == ("expired", True)
    open_topup(customer, method="alipay")
    error = refused(customer=customer, amount="5.00", method="wechat")
    assert error.status == 429
    assert 3500 < error.retry_after <= 3601
    TopUp.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    assert open_topup(customer, method="alipay")


def test_a_provider_that_does_not_close_keeps_no_new_one_from_being_opened(customer, monkeypatch):
    first, *_others = [open_topup(customer, method="alipay") for _number in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(get("alipay"), "close", Mock(side_effect=ProviderError("no answer")))
        fourth = open_topup(customer, method="alipay")
    assert (fourth.has_checkout, fourth in unpaid(customer), first in unpaid(customer)) == (True, True, False)
    later = timezone.now() + polling.GRACE
    assert first.pk in polling.claim_due(now=later)
    assert polling.poll(topup_id=first.pk, now=later) == "closed"


def test_what_was_closed_for_another_is_credited_when_it_was_paid_all_the_same(sandbox, customer, wallet):
    first, *_others = [open_topup(customer, method="alipay") for _number in range(3)]
    pay_at(sandbox, first)
    open_topup(customer, method="alipay", amount="5.00")
    first.refresh_from_db()
    wallet.refresh_from_db()
    assert (first.state, wallet.paid) == ("paid", 20)


def test_opened_all_at_once_no_more_than_three_are_open(customer, settings):
    settings.TOPUP_MOST_PER_HOUR = 20
    results = in_threads(*[lambda: open_topup(customer, method="alipay")] * 8)
    assert (len(failures(results)), TopUp.objects.count()) == (0, 8)
    assert len(unpaid(customer)) == 3


def test_a_network_is_limited_whoever_opens_from_it(make_customer):
    people = [confirmed(make_customer(name=f"p{n}")) for n in range(6)]
    opens = [
        lambda who=who, n=n: opening.open_topup(
            customer=who, amount="5.00", method="alipay", now=timezone.now(), address=f"8.8.8.{n}"
        )
        for n, who in enumerate(people)
    ]
    assert len(failures(in_threads(*opens))) == 2
    assert opening.open_topup(customer=people[5], amount="5.00", method="alipay", now=timezone.now(), address="8.8.9.1")
    assert "8.8" not in "".join(TopUp.objects.values_list("network_hash", flat=True))


def test_a_customer_younger_than_a_week_has_a_daily_ceiling(sandbox, make_customer, settings):
    settings.TOPUP_MOST_PER_HOUR = 20
    young = confirmed(make_customer(name="New"))
    Customer.objects.filter(pk=young.pk).update(created_at=timezone.now() - timedelta(days=6))
    young.refresh_from_db()
    open_topup(young, method="alipay", amount="60.00")
    open_topup(young, method="wechat", amount="40.00")
    assert [topup.amount for topup in unpaid(young)] == [60, 40]
    paid = open_topup(young, method="alipay", amount="60.01")  # what was left behind makes room
    assert unpaid(young) == [paid]
    pay(sandbox, paid)
    assert refused(customer=young, amount="40.00", method="stripe").status == 429
    open_topup(young, method="stripe", amount="39.99")
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
    for _number in range(5):
        open_topup(customer, method="alipay")
    answer = client.post(
        "/v1/topups", {"amount": "5.00", "method": "alipay"}, content_type="application/json", headers=headers
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer["Retry-After"]) > 0
