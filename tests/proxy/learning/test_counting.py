"""Before a large prompt is refused for want of money its provider is asked how many tokens it has."""

from decimal import Decimal

import pytest
from aiohttp import web

from accounts.keys import issuing
from billing.models import Wallet
from proxy.gateway import closer
from proxy.models import Generation, Upstream
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.conftest import catalog, settle
from tests.spoken import MESSAGES, ending, text_events
from tests.upstream import stream

SONNET = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
WORDS = "word" * 22_250
"""89 kB, of 22,250 tokens: what Claude Code says first."""
TOKENS = 22_250
FIRST = {"messages": [{"role": "user", "content": WORDS}], "max_tokens": 32_000, "temperature": 1, "metadata": {}}
MARKED = [{"type": "text", "text": WORDS, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
pytestmark = pytest.mark.parametrize("spoken", [MESSAGES], ids=str)


@pytest.fixture
def counted(upstream) -> list[dict]:
    """What the upstream was asked to count."""
    asked: list[dict] = []

    async def answered(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/count_tokens"):
            asked.append(await request.json())
            return web.json_response({"input_tokens": TOKENS})
        used = {"input_tokens": 50, "cache_creation_input_tokens": TOKENS - 50, "output_tokens": 1}
        return await stream(request, [*text_events("one", usage=used), *ending({"output_tokens": 200})])

    upstream.handler = answered
    return asked


@pytest.fixture
def trial(gateway, upstream, make_customer):
    """The welcome credit, and the gateway's client is its customer's."""
    load_catalog(catalog(upstream, max_output_tokens=64_000, context_window=200_000, price=SONNET))
    gateway.look_at_catalog()
    customer = make_customer("0.50", name="Trial")
    gateway.client.headers["Authorization"] = f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"
    return customer


def ask(gateway, **more) -> int:
    said = {**FIRST, "messages": [{"role": "user", "content": MARKED}], **more}
    with gateway.stream(**said) as response:
        response.read()
        return response.status_code


def test_the_first_word_of_an_agent_is_answered_on_the_welcome_credit(gateway, counted, trial):
    assert ask(gateway) == 200
    [asked] = counted
    assert set(asked) == {"model", "messages"}, "what a count does not take is left out"
    generation = Generation.objects.get()
    assert (generation.guess["by"], generation.guess["input"]) == ("counted", TOKENS * 21 // 20 + 64)
    assert generation.cost <= generation.bound < Decimal("0.25")
    settle()
    assert Wallet.objects.get(customer=trial).bonus == Decimal("0.50") - generation.cost


def test_nobody_is_asked_where_every_byte_counted_as_a_token_fits(gateway, counted, trial):
    assert ask(gateway, messages=[{"role": "user", "content": WORDS[:10_000]}]) == 200
    assert counted == []


def test_nobody_is_asked_where_no_count_would_do(gateway, counted, trial, monkeypatch):
    monkeypatch.setattr(closer, "LEAST_RATIO", 1)
    assert ask(gateway) == 402
    assert counted == []


def test_a_count_that_fails_is_no_answer_and_is_not_asked_for_again_at_once(gateway, upstream, counted, trial):
    async def broken(request: web.Request) -> web.StreamResponse:
        counted.append({})
        return web.json_response({"error": "no"}, status=500)

    upstream.handler = broken
    assert [ask(gateway), ask(gateway)] == [402, 402]
    assert len(counted) == 1
    assert not Generation.objects.exists()


def test_what_is_wrong_with_one_request_keeps_no_other_from_being_counted(gateway, upstream, counted, trial):
    usual = upstream.handler

    async def refusing(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "no"}, status=400)

    upstream.handler = refusing
    assert ask(gateway) == 402
    upstream.handler = usual
    assert ask(gateway) == 200


def test_of_a_relay_that_may_bill_by_another_tokenizer_no_count_is_taken(gateway, counted, trial):
    Upstream.objects.update(kind="relay")
    gateway.look_at_catalog()
    assert ask(gateway) == 402
    assert counted == []
