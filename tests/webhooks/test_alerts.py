"""A warning reaches a customer's machine, signed as Standard Webhooks are."""

from decimal import Decimal

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from accounts.models import ApiKey, KeyMeter
from billing.warnings import setting
from billing.warnings.setting import Wanted
from tests.conftest import use_up
from tests.proxy.conftest import make_generation
from tests.webhooks.conftest import add, work

__all__ = ["make_generation"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_set_is_posted_as_it_becomes_true(client, customer, wallet, key, receiver, make_generation):
    from proxy.settlement.settle import settle_all

    made = add(customer, receiver, wanted=["balance.low", "budget.reached"])
    now = timezone.now()
    setting.change(customer=customer, wanted=Wanted(low_balance=Decimal(5), caps=True), by=None, now=now)
    ApiKey.objects.filter(pk=key.key.pk).update(total_limit=Decimal(1))
    KeyMeter.objects.filter(pk=key.key.pk).update(day=now.date())
    make_generation(cost="0.8", at=now)
    settle_all(now=now)
    use_up(customer, "6")
    assert work() == 2
    bodies = {}
    for post in receiver.taken:
        body = Webhook(made.secret).verify(post.body, post.headers)
        bodies[body["type"]] = body["data"]
    shown = bodies["budget.reached"]
    assert (shown["of"], shown["period"], shown["percent"], shown["resets_at"]) == ("key", "total", 80, None)
    credits = client.get("/v1/credits", headers={"Authorization": f"Bearer {key.text}"}).json()["data"]
    assert bodies["balance.low"] == credits
