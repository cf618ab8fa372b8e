"""The official clients of Node, and the AI SDK: each a program that says itself what it expects."""

from pathlib import Path

import pytest

from tests.clients.installed import run_node

PROGRAMS = Path(__file__).parent / "node"


@pytest.mark.parametrize(
    ("name", "providers"),
    [
        ("openai", [""]),
        ("anthropic", [""]),
        ("genai", [""]),
        ("ai", ["compatible", "chat", "responses", "anthropic", "google"]),
    ],
)
def test_a_client(demo, name, providers):
    for provider in providers:
        program = (PROGRAMS / f"{name}.mjs").read_text()
        run_node(program, CHUIZI_URL=demo.url, CHUIZI_KEY=demo.key, PROVIDER=provider)
