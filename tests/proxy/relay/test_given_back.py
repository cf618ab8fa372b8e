"""What is held for an input beyond its cost is given back as soon as an upstream tells that."""

import time
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Hold, Wallet
from core.clock import database_now
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.records.held import story_of
from tests.conftest import NOW, pay_in, use_up
from tests.proxy.conftest import PRICE, catalog, only_generation, settle
from tests.proxy.relay.test_streams import halt
from tests.proxy.relay.windowed import (
    A_TOKEN,
    LIMIT,
    limited,
    wait_until,
)
from tests.spoken import CHAT, GENERATE, MESSAGES, RESPONSES, across

pytestmark = pytest.mark.usefixtures("small_windows", "long_answers")
FIRST = pytest.mark.parametrize("spoken", [MESSAGES, GENERATE], ids=str)
"""Those that tell with their first event what the input used."""
LONG_PROMPT = "many words " * 6_000
"""66,000 bytes: as tokens they cost 0.69, of 20 tokens a thousandth."""


def with_long_prompt(spoken):
    return {**spoken.says(LONG_PROMPT), **limited(spoken)}


@pytest.mark.parametrize("spoken", [MESSAGES, GENERATE, across(CHAT, MESSAGES), across(RESPONSES, MESSAGES)], ids=str)
def test_what_is_held_for_the_input_beyond_its_cost_is_given_back_at_once(gateway, upstream, spoken, customer):
    go_on = halt(gateway, upstream, before=b"three ")
    with gateway.stream(**with_long_prompt(spoken)) as response:
        assert response.status_code == 200, response.read()
        wait_until(lambda: Generation.objects.filter(held__lt=Decimal("0.02")).exists())
        held = only_generation()
        assert (held.held, held.bound) == (held.bound, Hold.objects.get().amount)
        assert Wallet.objects.get(customer=customer).held == held.held
        assert only_generation().key.meter.day_spent == held.held
        [change] = story_of(held).changes
        assert (change.why, change.amount < -Decimal("0.6"), change.held) == ("input", True, held.held)
        go_on.set()
        response.read()
    assert only_generation().cost == Decimal("0.00042000")
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert only_generation().key.meter.day_spent == Decimal("0.00042000")
    assert audit().drifts == []


@pytest.fixture
def short(gateway, make_customer):
    """The gateway's client becomes one that paid 20 USD long ago and has 0.50 of them: less than the prompt's bound."""
    customer = make_customer(name="Short")
    pay_in(customer, "20", at=database_now() - timedelta(days=30))
    use_up(customer, "19.50")
    key = issuing.issue(customer=customer, name="k", now=NOW)
    gateway.client.headers["Authorization"] = f"Bearer {key.text}"
    return customer


def drifts():
    """But for those of the payment, which has no top-up, and of what took it, which was no request."""
    return [one for one in audit().drifts if not any(word in one for word in ("top-ups", "clearing", "used:"))]


@FIRST
def test_what_is_held_below_its_bound_is_corrected_too_and_exposes_no_more(gateway, upstream, spoken, short):
    go_on = halt(gateway, upstream, before=b"three ")
    with gateway.stream(**with_long_prompt(spoken)) as response:
        assert response.status_code == 200, response.read()
        wait_until(lambda: Generation.objects.filter(held__lt=Decimal("0.02")).exists())
        held, wallet = only_generation(), Wallet.objects.get(customer=short)
        assert (held.held, held.bound) == (wallet.held, Hold.objects.get().amount)
        assert wallet.exposure == 0
        story = story_of(held)
        assert story.first < Decimal("0.5") < Decimal("0.6") < story.first_bound
        assert story.is_below_bound
        go_on.set()
        response.read()
    assert only_generation().cost == Decimal("0.00042000")
    settle()
    assert Wallet.objects.get(customer=short).held == 0
    assert drifts() == []


@pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
def test_of_a_hold_that_the_input_costs_more_than_the_bound_alone_falls(gateway, upstream, spoken, short):
    """40,000 tokens cost 0.42: more than the estimate of 0.24, and less than the bound of 0.70."""
    go_on = halt(gateway, upstream, before=b"three ", told=(b'input_tokens":20', b'input_tokens":40000'))
    with gateway.stream(**with_long_prompt(spoken)) as response:
        assert response.status_code == 200, response.read()
        wait_until(lambda: Generation.objects.filter(bound__lt=Decimal("0.5")).exists())
        held, wallet = only_generation(), Wallet.objects.get(customer=short)
        assert (story_of(held).first, story_of(held).changes) == (held.held, [])
        assert wallet.exposure == held.bound - held.held > 0
        go_on.set()
        response.read()
    settle()
    assert Wallet.objects.get(customer=short).held == 0
    assert drifts() == []


@pytest.mark.parametrize("spoken", [CHAT, RESPONSES, across(MESSAGES, CHAT)], ids=str)
def test_where_usage_comes_last_the_input_is_held_until_then(gateway, upstream, spoken):
    go_on = halt(gateway, upstream, before=b"three ")
    with gateway.stream(**with_long_prompt(spoken)) as response:
        heard = response.iter_lines()
        while "two" not in next(heard):
            pass
        assert only_generation().held > Decimal("0.6")
        go_on.set()
        list(heard)
    assert only_generation().hold_changes is None


@pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
    ],
    ids=["search", "fetch", "compaction"],
)
def test_what_may_bring_more_input_later_is_held_until_the_end(gateway, upstream, spoken, more):
    price = {**PRICE, "web_search": "10"}
    load_catalog(catalog(upstream, max_output_tokens=LIMIT, max_tool_calls=1, context_window=100_000, price=price))
    gateway.look_at_catalog()
    go_on = halt(gateway, upstream, before=b"content_block_stop")
    with gateway.stream(**with_long_prompt(spoken), **more) as response:
        heard = response.iter_lines()
        while "three" not in next(heard):
            pass
        time.sleep(0.3)  # what is given back is so at once
        assert only_generation().held > Decimal("0.6")
        go_on.set()
        list(heard)


@FIRST
def test_an_input_that_is_told_too_low_at_first_is_charged_as_it_is_told_last(gateway, upstream, spoken, customer):
    lying = [
        event.replace(b'input_tokens":20', b'input_tokens":1').replace(b'promptTokenCount":20', b'promptTokenCount":1')
        for event in [*spoken.opening, *spoken.words]
    ]
    told = b'output_tokens":5,"input_tokens":9000'
    ending = [event.replace(b'output_tokens":5', told) for event in spoken.ending]
    ending = [event.replace(b'promptTokenCount":20', b'promptTokenCount":9000') for event in ending]
    upstream.events = [*lying, 0.3, *[event.replace(b'TokenCount":25', b'TokenCount":9005') for event in ending]]
    with gateway.stream(**with_long_prompt(spoken)) as response:
        response.read()
    assert only_generation().cost == 9_000 * Decimal("0.0000105") + 5 * A_TOKEN
    settle()
    assert audit().drifts == []


@FIRST
def test_a_stream_that_ends_before_its_input_is_corrected_is_settled_all_the_same(gateway, upstream, spoken, customer):
    for _ in range(5):
        with gateway.stream(**with_long_prompt(spoken)) as response:
            response.read()
    assert {generation.cost for generation in Generation.objects.all()} == {Decimal("0.00042000")}
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert audit().drifts == []


ABSURD = [b"-20", b"99999999999999999999999999", b'"20"', b"20.5", b"null", b"true", b"[20]", b"{}", b"1e999"]


@FIRST
def test_absurd_usage_at_first_gives_back_and_takes_nothing_wrong(gateway, upstream, spoken, customer):
    """What the last event says is charged, within the bound, whatever the first one said."""
    told = b'output_tokens":5,"input_tokens":9000'
    ending = [event.replace(b'output_tokens":5', told) for event in spoken.ending]
    ending = [event.replace(b'promptTokenCount":20', b'promptTokenCount":9000') for event in ending]
    ending = [event.replace(b'TokenCount":25', b'TokenCount":9005') for event in ending]
    for count in ABSURD:
        upstream.events = [
            *(event.replace(b'nput_tokens":20', b'nput_tokens":' + count) for event in spoken.opening),
            *(event.replace(b'tTokenCount":20', b'tTokenCount":' + count) for event in spoken.words),
            *ending,
        ]
        with gateway.stream(**with_long_prompt(spoken)) as response:
            response.read()
    made = list(Generation.objects.all())
    assert [0 < one.cost <= one.bound < 1 for one in made] == [True] * len(ABSURD)
    assert [0 <= one.held <= one.bound for one in made] == [True] * len(ABSURD)
    settle()
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held) == (10 - sum(one.cost for one in made), 0)
    assert audit().drifts == []
