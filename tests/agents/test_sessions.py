"""Each agent, with the settings of its guide and nothing else, does a task that takes a tool, and is charged for it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.models import Wallet
from console.start.guide import Block, Guide
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.agents.driving import TEXT, Agent, Desk
from tests.agents.known import AIDER, CLAUDE_CODE, CODEX, GEMINI_CLI, MODELS, SESSIONLESS, named, opencode
from tests.proxy.conftest import settle

SPOKEN = [
    (CLAUDE_CODE, "anthropic", 2),
    (CODEX, "openai", 2),
    (GEMINI_CLI, "gemini", 2),
    (AIDER, "openai", 1),
    (opencode("chuizi", MODELS.gpt), "openai", 2),
    (opencode("chuizi-responses", MODELS.gpt), "openai", 2),
    (opencode("chuizi-messages", MODELS.claude), "anthropic", 2),
    (opencode("chuizi-gemini", MODELS.gemini), "gemini", 2),
]
"""An agent, the protocol in which it asks, and how often, but for titles."""


@pytest.mark.agents
@pytest.mark.parametrize(("agent", "protocol", "calls"), SPOKEN, ids=named)
def test_a_task_is_done_and_charged(desk: Desk, agent: Agent, protocol: str, calls: int) -> None:
    ran = desk.run(agent, desk.task)
    assert ran.status == 0, ran.output
    assert desk.file.read_text() == TEXT + "\n"
    if calls > 1:
        assert f"I created {desk.file}." in ran.output
    settle()
    made = list(Generation.objects.all())
    assert {one.state for one in made} == {"settled"}
    titles = [one for one in made if one.model.slug == MODELS.small]
    assert [one.protocol for one in made if one not in titles] == [protocol] * calls
    assert all(one.cost > 0 and one.usage_source == "upstream" for one in made)
    assert [len({one.session for one in made}), made[0].session is None] == [1, agent in SESSIONLESS]
    assert Wallet.objects.get().balance == Decimal(5) - sum(one.cost for one in made)


POOR = [
    (CLAUDE_CODE, "0.39", 1),
    (CODEX, "0.13", 1),
    (GEMINI_CLI, "0.075", 1),
    (opencode("chuizi", MODELS.gpt), "0.098", 2),
]
"""An agent, a balance too little for the call with its tool's result, and the calls before, at most."""


@pytest.mark.agents
@pytest.mark.parametrize(("agent", "funds", "calls"), POOR, ids=named)
def test_a_session_ends_with_our_words_where_the_balance_does(desk: Desk, agent: Agent, funds: str, calls: int) -> None:
    ran = desk.run(agent, desk.task)
    assert "Top up to go on" in ran.output
    assert Generation.objects.count() <= calls
    settle()
    assert Wallet.objects.get().held == 0


FOREIGN = [
    (CLAUDE_CODE, {"claude": MODELS.gpt}),
    (CODEX, {"gpt": "anthropic/claude-sonnet-5"}),
    (opencode("chuizi", "anthropic/claude-sonnet-5"), {"gpt": "anthropic/claude-sonnet-5"}),
]
"""An agent and a model that has only upstreams of another protocol than its own."""


@pytest.mark.agents
@pytest.mark.parametrize(("agent", "models"), FOREIGN, ids=named)
def test_an_agent_works_with_a_model_of_another_protocol(desk: Desk, agent: Agent, models: dict[str, str]) -> None:
    price = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
    load_catalog({"models": [{"id": "anthropic/claude-sonnet-5", "upstreams": ["sandbox-anthropic"], "price": price}]})
    desk.served.look_at_catalog()
    ran = desk.run(agent, desk.task, **models)
    assert ran.status == 0, ran.output
    assert desk.file.read_text() == TEXT + "\n"
    [slug] = models.values()
    assert Generation.objects.filter(model__slug=slug, cost__gt=0).count() == 2


@pytest.mark.agents
def test_codex_works_through_the_tools_of_a_model_that_it_knows(desk: Desk) -> None:
    """They stand in an item of the input, and take free text: a program."""
    price = {"input": "2", "output": "10"}
    load_catalog({"models": [{"id": "openai/gpt-6.2-sol", "upstreams": ["sandbox"], "price": price}]})
    desk.served.look_at_catalog()
    ran = desk.run(CODEX, desk.task, gpt="gpt-6.2-sol")
    assert ran.status == 0, ran.output
    assert desk.file.read_text() == TEXT + "\n"
    assert Generation.objects.filter(cost__gt=0).count() == 2


AUTH = 'auth = {command = "printenv", args = ["CHUIZI_KEY"]}'


@pytest.mark.agents
def test_codex_reads_the_list_of_models_where_a_command_tells_the_key(desk: Desk) -> None:
    file, lines = CODEX.guide.blocks
    told = Block(file.language, file.text.replace('env_key = "CHUIZI_KEY"', AUTH), file.path)
    assert told != file
    assert AUTH in " ".join(map(str, CODEX.guide.notes))
    guide = Guide(CODEX.guide.slug, CODEX.guide.name, CODEX.guide.speaks, (told, lines))
    ran = desk.run(replace(CODEX, guide=guide), desk.task)
    assert ran.status == 0, ran.output
    assert desk.file.read_text() == TEXT + "\n"
    assert "metadata" not in ran.output
    assert MODELS.gpt in (desk.home / ".codex" / "models_cache.json").read_text()
