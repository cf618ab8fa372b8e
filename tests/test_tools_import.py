"""What the benchmarks and the fuzzer import exists, also where they import it only once they run."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

TOOLS = ("bench", "fuzz")
ONLY_ON_X86 = {"atheris"}


def files() -> list[Path]:
    root = Path(__file__).resolve().parent.parent
    return sorted(path.relative_to(root) for tool in TOOLS for path in (root / tool).rglob("*.py"))


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Each module that is imported, wherever it stands, with each name that is taken from it, or none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def exists(module: str, name: str) -> bool:
    if module in ONLY_ON_X86:
        return True
    found = importlib.import_module(module)
    if not name or hasattr(found, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("file", files(), ids=str)
def test_every_import_of_the_benchmarks_and_the_fuzzer_exists(file, repository):
    missing = [what for what in imports((repository / file).read_text()) if not exists(*what)]
    assert missing == []
    if file.name != "__main__.py":
        importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))


def test_an_import_that_is_gone_is_found_inside_a_function_too():
    source = "def f():\n    from proxy.gateway.app import Gateway, _in_thread\n    import proxy.batches.threads\n"
    assert [what for what in imports(source) if not exists(*what)] == [("proxy.gateway.app", "_in_thread")]
