"""Claude Code meets an answer that the balance does not cover: to it one at its limit; it asks on, and is told why."""

from dataclasses import replace

import pytest

from proxy.models import Generation, Upstream
from tests.agents.driving import Desk
from tests.agents.known import CLAUDE_CODE
from tests.proxy.conftest import settle
from tests.proxy.relay.windowed import endless
from tests.spoken import MESSAGES

READS = b'"input_tokens":60000'
"""What the upstream says it read of a prompt of 200 kB."""


@pytest.fixture
def funds() -> str:
    return "0.60"


@pytest.mark.agents
def test_claude_code_is_told_why_it_cannot_go_on(desk: Desk, request: pytest.FixtureRequest) -> None:
    upstream = MESSAGES.upstream()
    request.addfinalizer(upstream.stop)
    told = [event.replace(b'"input_tokens":20', READS) for event in MESSAGES.stream]
    endless(upstream, replace(MESSAGES, stream=told))
    Upstream.objects.filter(protocol="anthropic").update(base_url=upstream.url)
    desk.served.look_at_catalog()
    ran = desk.run(CLAUDE_CODE, "Tell me a long story.")
    assert (ran.status, len(upstream.calls)) == (1, 1)
    assert "API Error: 402 The available balance is $0.00000000" in ran.output
    assert "Top up to go on." in ran.output
    [generation] = Generation.objects.all()
    assert generation.settlement_reason == "insufficient_balance"
    assert 15_000 < generation.output_tokens < 32_000
    settle()
    assert generation.customer.wallet.available == generation.customer.wallet.balance > 0
