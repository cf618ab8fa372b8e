"""Service tiers with rates of their own: held at the dearest that is allowed, charged as served, only downwards."""

from decimal import Decimal

import pytest

from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import PRICE, catalog, wait_for
from tests.upstream import STREAM, answer

TIERS = {"flex": {"input": "5", "output": "20"}, "priority": {"input": "20", "output": "80"}}
PLAIN, FLEX, PRIORITY = Decimal("0.00042000"), Decimal("0.00021000"), Decimal("0.00084000")
"""20 tokens in and 5 out, with the margin."""


@pytest.fixture
def tiered(gateway, upstream):
    load_catalog(catalog(upstream, price={**PRICE, "service_tiers": TIERS}))
    gateway.look_at_catalog()
    return gateway


def serve(upstream, tier: str | None) -> None:
    more = {} if tier is None else {"service_tier": tier}
    upstream.json = answer(**more)
    said = b"" if tier is None else b'"service_tier":"%b",' % tier.encode()
    upstream.events = [event.replace(b'"id":', said + b'"id":') for event in STREAM]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize(
    ("asked", "served", "cost"),
    [
        ("flex", "flex", FLEX),
        ("flex", "default", FLEX),
        ("flex", None, FLEX),
        ("priority", "priority", PRIORITY),
        ("priority", "default", PLAIN),
        ("priority", None, PRIORITY),
        ("default", "priority", PLAIN),
        ("default", "flex", FLEX),
        ("auto", "priority", PRIORITY),
        (None, "flex", FLEX),
        (None, None, PLAIN),
    ],
)
def test_what_was_served_is_charged_and_never_more_than_was_asked(tiered, upstream, stream, asked, served, cost):
    serve(upstream, served)
    body = {} if asked is None else {"service_tier": asked}
    if stream:
        with tiered.stream(**body) as response:
            response.read()
    else:
        assert tiered.chat(**body).status_code == 200
    found = wait_for("metered")
    assert (found.cost, found.is_flagged) == (cost, False)
    items = tiered.client.get(f"/v1/generation?id={found.pk}").json()["data"]["line_items"]
    assert sum(Decimal(item["amount"]) for item in items) * Decimal("1.05") == cost


@pytest.mark.parametrize(
    ("asked", "times"), [("flex", "0.5"), ("default", "1"), ("priority", "2"), ("auto", "2"), (None, "2")]
)
def test_a_request_is_held_at_the_dearest_tier_that_it_allows(tiered, asked, times):
    for tier in ("default", asked):
        tiered.chat(**({} if tier is None else {"service_tier": tier}))
    plain, held = [found.bound for found in Generation.objects.order_by("id")]
    # A few bytes of the body are the tier's name.
    assert held / plain == pytest.approx(Decimal(times), rel=Decimal("0.1"))


def test_a_tier_without_a_price_is_refused(gateway):
    refused = gateway.chat(service_tier="priority")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "service_tier")
