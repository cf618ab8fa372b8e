"""Programs that bin/install-agents put in place, and how a test runs one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / ".agents"
NODE, NODE_MODULES, LANGCHAIN = HOME / "node" / "bin" / "node", HOME / "clients", HOME / "langchain" / "bin" / "python"
SECONDS = 60


def need(name: str) -> None:
    """Skip the test where it is not installed."""
    if not (HOME / f"{name}.installed").exists():
        pytest.skip(f"{name} is not installed: bin/install-agents clients")


def run_node(program: str, **variables: str) -> str:
    """An ES module that may import the locked packages; return what it prints."""
    need("clients")
    return _run([str(NODE), "--input-type=module", "-"], program, cwd=NODE_MODULES, variables=variables)


def run_langchain(program: str, **variables: str) -> str:
    need("langchain")
    return _run([str(LANGCHAIN), "-"], program, cwd=HOME, variables=variables)


def run_python(program: str, **variables: str) -> str:
    return _run([sys.executable, "-"], program, cwd=HOME.parent, variables=variables)


def run_shell(program: str, **variables: str) -> str:
    return _run(["bash", "-e"], program, cwd=HOME.parent, variables=variables)


def _run(command: list[str], program: str, *, cwd: Path, variables: dict[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith(("_PROXY", "_KEY"))}
    kept = {name: value for name, value in kept.items() if not name.startswith("SSL_CERT_")}
    done = subprocess.run(
        command, input=program, cwd=cwd, env=kept | variables, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
