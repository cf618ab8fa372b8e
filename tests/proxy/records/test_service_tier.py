"""The service tier that was asked for and the one that was served stand on the receipt; the price is the held one."""

import pytest

from accounts.models import Membership, User
from proxy.models import Generation
from tests.proxy.conftest import settle, wait_for
from tests.upstream import STREAM, answer

COST = "0.00042000"


@pytest.fixture
def told(gateway):
    """A function: what `/v1/generation` says of the one request's tier and cost."""

    def ask() -> tuple[dict[str, str | None], str]:
        data = gateway.client.get(f"/v1/generation?id={wait_for('metered').pk}").json()["data"]
        return data["service_tier"], data["cost"]

    return ask


def served(upstream, tier: object) -> None:
    upstream.json = answer(service_tier=tier)
    said = b'"service_tier":"%b",' % str(tier).encode()
    upstream.events = [event.replace(b'"id":', said + b'"id":') for event in STREAM]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize(("asked", "tier"), [("flex", "flex"), ("flex", "default"), ("auto", "priority")])
def test_what_was_asked_and_what_was_served_is_kept_and_costs_no_more(gateway, upstream, told, stream, asked, tier):
    served(upstream, tier)
    if stream:
        with gateway.stream(service_tier=asked) as response:
            response.read()
    else:
        gateway.chat(service_tier=asked)
    assert told() == ({"asked": asked, "served": tier}, COST)


def test_a_tier_that_nobody_named_is_null(gateway, upstream, told):
    gateway.chat()
    assert told() == ({"asked": None, "served": None}, COST)


@pytest.mark.parametrize("tier", ["<b>flex</b>", "sk-live-" + "x" * 40, "a tier", "", 7, None, ["flex"]])
def test_what_is_no_name_of_a_tier_is_not_kept(gateway, upstream, told, tier):
    """It is shown to the caller, so an upstream's odd words must not come along."""
    upstream.json = answer(service_tier=tier)
    assert gateway.chat().status_code == 200
    assert told() == ({"asked": None, "served": None}, COST)


def test_the_receipts_page_names_both(gateway, upstream, client, customer):
    served(upstream, "default")
    gateway.chat(service_tier="flex")
    wait_for("metered")
    settle()
    user = User.objects.create_user("ada@example.org", "a rather long one")
    Membership.objects.create(user=user, customer=customer)
    client.force_login(user)
    page = " ".join(client.get(f"/console/usage/{Generation.objects.get().pk}").content.decode().split())
    assert "<dt>Service tier</dt><dd>default (asked for: flex)</dd>" in page
