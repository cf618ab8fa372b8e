"""How a test run is divided among several workers of pytest-xdist."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent
WHOLE = ("tests/flows/", "tests/clients/test_anthropic", "tests/clients/test_google")
"""What asks a running Chuizi (tests.running), which takes forty seconds of a processor to start."""
LONG = (
    *(*WHOLE, "tests/histories/", "tests/faults/", "tests/browser/", "tests/chuizi/local/"),
    *("tests/proxy/admission/test_settle_first", "tests/proxy/admission/test_overrun"),
    *("tests/proxy/protocols/asking/test_memory", "tests/api/test_any_input.py"),
    *("tests/proxy/gateway/test_known_failures", "tests/proxy/admission/test_races", "tests/proxy/watch/test_metrics"),
    *("tests/payments/disputes/test_races", "tests/payments/providers/test_hanging_provider"),
    *("tests/billing/books/test_any_interleaving", "tests/billing/invoices/test_credit_rounding"),
    "tests/desk/test_admin_safety",
)
"""Files of few tests that take long."""


class Files(LoadFileScheduling):  # type: ignore[misc]
    """A file is one worker's, and so is everything that asks a running Chuizi."""

    def _split_scope(self, nodeid: str) -> str:
        return WHOLE[0] if nodeid.startswith(WHOLE) else str(super()._split_scope(nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: a fifth of a run is waiting for processes, time limits and browsers."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    return Files(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Make the database that all copy while the tests are collected, by workers or for `--collect-only`."""
    is_divided = config.getoption("dist", "no") != "no"
    if (is_divided or config.option.collectonly) and not hasattr(config, "workerinput"):
        config.add_cleanup(subprocess.Popen([sys.executable, "-m", "tests.template"], cwd=ROOT).wait)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers take file after file: what takes long begins first, so that none is left alone with it in the end."""
    if not hasattr(config, "workerinput"):
        return
    file_of = {item: item.nodeid.partition("::")[0] for item in items}
    tests = Counter(file_of.values())
    items.sort(key=lambda item: (not file_of[item].startswith(LONG), -tests[file_of[item]]))
