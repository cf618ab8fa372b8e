"""The agents as they work alone, and how each is told to keep to the machine."""

from typing import Any

from console.start import agents
from console.start.guide import Settings
from tests.agents.driving import Agent

MODELS = Settings(url="", key="")
CLAUDE_CODE = Agent(
    agents.CLAUDE_CODE,
    words=("-p",),
    behind=("--permission-mode", "acceptEdits"),
    quiet={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    },
)
CODEX = Agent(
    agents.CODEX,
    words=("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
)
GEMINI_CLI = Agent(agents.GEMINI_CLI, words=("--yolo", "--skip-trust", "-p"))
WHOLE = ("--yes-always", "--no-git", "--edit-format", "whole", "--analytics-disable", "--no-check-update")
AIDER = Agent(agents.AIDER, words=(*WHOLE, "--message"), quiet={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
SESSIONLESS = (GEMINI_CLI, AIDER)
"""They name no session."""


def opencode(provider: str, model: str) -> Agent:
    quiet = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    return Agent(agents.OPENCODE, words=("run", "--model", f"{provider}/{model}"), quiet=quiet)


def named(agent: Any) -> str | None:
    """What a test of it is called."""
    return agent.name if isinstance(agent, Agent) else None
