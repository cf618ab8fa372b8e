"""What /console/start and docs/agents.md give to paste runs as it stands."""

from collections.abc import Callable

import pytest

from console.start.guide import Settings
from console.start.sdks import LANGCHAIN, SDKS
from tests.clients.installed import run_langchain, run_node, run_shell
from tests.proxy.conftest import Gateway


@pytest.mark.parametrize("language", ["sh", "python", "javascript"])
def test_an_example_prints_the_answer(demo: Gateway, printed: Callable[[str], str], language: str) -> None:
    run = {"sh": run_shell, "python": printed, "javascript": run_node}[language]
    examples = [block for guide in SDKS if guide is not LANGCHAIN for block in guide.blocks]
    for block in examples:
        if block.language == language:
            assert "sandbox model" in run(Settings(demo.url, demo.key).fill(block)), block.text


def test_the_examples_of_langchain_print_the_answer(demo: Gateway) -> None:
    settings = Settings(demo.url, demo.key)
    said = run_langchain("\n".join(settings.fill(block) for block in LANGCHAIN.blocks))
    assert said.count("sandbox model") == len(LANGCHAIN.blocks)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What a program prints that needs nothing but what the tests have."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the tests' own: nothing at all is trusted
        monkeypatch.delenv(name, raising=False)

    def run(program: str) -> str:
        exec(compile(program, "example", "exec"), {})
        return capsys.readouterr().out

    return run
