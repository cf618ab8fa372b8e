"""The official clients of Node, and the AI SDK: each a program that says itself what it expects."""

from pathlib import Path

import pytest

from tests.clients.installed import run_node

PROGRAMS = Path(__file__).parent / "node"
AI_SDK = ("compatible", "chat", "anthropic", "google")


@pytest.mark.parametrize("name", ["openai", "anthropic", "genai"])
def test_an_official_client(demo, name):
    run_node((PROGRAMS / f"{name}.mjs").read_text(), CHUIZI_URL=demo.url, CHUIZI_KEY=demo.key)


@pytest.mark.parametrize("provider", AI_SDK)
def test_the_ai_sdk(demo, provider):
    run_node((PROGRAMS / "ai.mjs").read_text(), CHUIZI_URL=demo.url, CHUIZI_KEY=demo.key, PROVIDER=provider)
