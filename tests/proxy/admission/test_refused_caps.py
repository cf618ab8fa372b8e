"""A cap that refuses is told of by the gateway, outside the request."""

import time
from decimal import Decimal

from accounts.keys import issuing
from accounts.models import ApiKey
from billing.models import Event
from billing.outbox.kinds import Fact
from billing.warnings import setting
from billing.warnings.setting import Wanted
from tests.conftest import NOW
from tests.proxy.conftest import wait_for


def test_a_refusal_below_the_cap_is_told_of_once(gateway, customer):
    key = issuing.find(gateway.key)
    ApiKey.objects.filter(pk=key.pk).update(daily_limit=Decimal("0.06"))
    assert gateway.chat(max_tokens=1000).status_code == 200
    wait_for("metered")
    setting.change(customer=customer, wanted=Wanted(caps=True), by=None, now=NOW)
    for _ in range(3):
        refused = gateway.chat(max_tokens=1000, messages=[{"role": "user", "content": "x" * 9000}])
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "daily_limit_exceeded")
    deadline = time.monotonic() + 30
    while not (facts := list(Event.objects.filter(kind=Fact.BUDGET_REACHED))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [fact] = facts
    assert (fact.shown["of"], fact.shown["id"], fact.shown["refused"]) == ("key", str(key.pk), True)
    assert fact.shown["percent"] < 100
