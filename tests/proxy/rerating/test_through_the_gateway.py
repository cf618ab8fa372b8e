"""What the gateway charged is worked out again from what it stored, whatever was asked: else it would be left out."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.groups import CustomerGroup
from accounts.models import Customer
from billing.audit.run import audit
from core.clock import database_now
from proxy.models import Generation, Model
from proxy.prices.loading import set_price
from proxy.settlement.settle import settle_all
from tests.proxy.conftest import PRICE, wait_for
from tests.proxy.rerating.rerating_steps import approved
from tests.upstream import answer

HALF = {**PRICE, "input": "5", "output": "20", "cache_read": "1.25"}
FLEX = [{"when": {"service_tier": "flex"}, "input": "4"}]


def test_requests_of_all_sorts_are_charged_anew(gateway, upstream, customer):
    model = Model.objects.get()
    with transaction.atomic():
        set_price(model, {**PRICE, "variants": FLEX}, where="m")
    gateway.look_at_catalog()
    assert gateway.chat().status_code == 200
    with gateway.stream() as response:
        response.read()
    upstream.json = answer(service_tier="flex")
    assert gateway.chat(service_tier="flex").status_code == 200
    upstream.json = answer(service_tier="default")
    assert gateway.chat(service_tier="flex").status_code == 200
    CustomerGroup.objects.create(name="partners", factor="0.9")
    Customer.objects.update(group="partners")
    assert gateway.chat().status_code == 200
    wait_for("metered")
    assert {one.factor for one in Generation.objects.all()} == {None, Decimal("0.9")}
    settle_all(now=database_now())
    with transaction.atomic():
        set_price(model, {**HALF, "variants": [{**FLEX[0], "input": "2"}]}, where="m")
    day = datetime.now(UTC).date()
    days = {"first_day": day - timedelta(days=1), "last_day": day}
    rerate = approved(model.prices.latest("version"), now=database_now(), **days)
    assert (rerate.state, rerate.done, rerate.unclear, rerate.dearer) == ("done", 5, 0, 0)
    for one in Generation.objects.all():
        assert one.corrected_cost == one.cost / 2, one.pk
    assert not audit().drifts
