"""LangChain's three providers, with the packages that bin/install-agents put in place."""

from pathlib import Path

from tests.clients.installed import run_langchain

PROGRAM = Path(__file__).parent / "langchain" / "steps.py"


def test_each_provider_answers_calls_tools_and_fits_a_schema(demo):
    run_langchain(PROGRAM.read_text(), CHUIZI_URL=demo.url, CHUIZI_KEY=demo.key)
