"""An agent at a desk of its own: a home with the settings of its guide, a project, and a Chuizi to work with."""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from console.start.guide import Guide, Settings
from tests.agents.outside import Outside
from tests.proxy.conftest import Gateway

INSTALLED = Path(__file__).resolve().parents[2] / ".agents"
SECONDS = 100
TEXT = "Hello, ledger."


@dataclass(frozen=True)
class Agent:
    """How a guide's agent is run without a person: `words` stand before its task, `behind` it.

    `quiet` are variables that keep it from asking for updates and from telling how it is used.
    """

    guide: Guide
    words: tuple[str, ...]
    behind: tuple[str, ...] = ()
    quiet: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        by = self.words[-1] if "--model" in self.words else ""
        return f"{self.guide.slug} {by}".strip()

    @property
    def folder(self) -> Path:
        """Where its program is."""
        installed = INSTALLED / self.guide.slug
        return installed / "node_modules" / ".bin" if (installed / "node_modules").exists() else installed / "bin"

    def need(self) -> None:
        """Skip the test where it is not installed."""
        if not (INSTALLED / f"{self.guide.slug}.installed").exists():
            pytest.skip(f"{self.guide.name} is not installed: make test-agents")


@dataclass(frozen=True)
class Ran:
    status: int
    output: str


class Desk:
    def __init__(self, served: Gateway, outside: Outside, folder: Path) -> None:
        self.served, self.outside = served, outside
        self.home, self.project = folder / "home", folder / "project"
        for made in (self.home, self.project):
            made.mkdir()

    @property
    def file(self) -> Path:
        return self.project / "hello.txt"

    @property
    def task(self) -> str:
        return f'Create the file {self.file} with the text "{TEXT}"'

    def run(self, agent: Agent, task: str, **models: str) -> Ran:
        """The guide's files, then its lines, of which the last one starts the agent."""
        agent.need()
        settings = Settings(self.served.url, self.served.key, **models)
        script = ""
        for block in agent.guide.blocks:
            if block.path:
                file = self.home / block.path.removeprefix("~/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(settings.fill(block))
            else:
                script = settings.fill(block).rstrip() + ' "$@"'
        return self._spawn(["bash", "-c", script, "agent", *agent.words, task, *agent.behind], self._environment(agent))

    def _environment(self, agent: Agent) -> dict[str, str]:
        path = ":".join([str(agent.folder), str(INSTALLED / "node" / "bin"), "/usr/bin", "/bin"])
        own = {
            "PATH": path,
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        return own | self.outside.environment | agent.quiet

    def _spawn(self, command: list[str], environment: dict[str, str]) -> Ran:
        process = subprocess.Popen(
            command,
            cwd=self.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _nothing = process.communicate(timeout=SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Ran(process.returncode, output)
