"""The whole thing as a newcomer starts it: `make run`'s supervisor, with a state folder and ports of its own."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.gateways import free_port

ROOT = Path(__file__).resolve().parent.parent
# What a test run sets for its own services and `make run` must find out for itself.
SET_BY_TESTS = re.compile(
    "DATABASE_URL|CELERY_BROKER_URL|CHUIZI_|PORT$|SANDBOX_|SITE_URL|SECRET_KEY|FIELD_|EMAIL_URL|STRIPE_|ALIPAY_|WECHATPAY_"
    "|DEFAULT_|DEBUG|DB_POOL|DJANGO_SETTINGS|ALLOWED_HOSTS|ALLOW_PRIVATE|DRAIN_|USD_CNY"
)


class Running:
    """A running Chuizi: its address, its demo key and logins, and what it printed."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_port()
        self.lines: list[str] = []
        environment = {name: value for name, value in os.environ.items() if not SET_BY_TESTS.match(name)}
        environment |= {"PORT": str(self.port), "CHUIZI_STATE_DIR": str(state)}
        # One demo customer tops up more often than one may in an hour.
        environment |= {"TOPUP_MOST_PER_HOUR": "100", "TOPUP_MOST_OPEN": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chuizi.local", "run"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(90), "not ready:\n" + "\n".join(self.lines[-60:])
        said = "\n".join(self.lines)
        self.url = re.search(r"ready: (\S+)", said).group(1)  # type: ignore[union-attr]
        self.key = re.search(r"ck-[A-Za-z0-9]{32}", said).group()  # type: ignore[union-attr]
        self.login = re.search(r"demo login\s+(\S+)\s+(\S+)", said).groups()  # type: ignore[union-attr]
        self.mails = Path(re.search(r"mails {2,}(\S+)", said).group(1))  # type: ignore[union-attr]
        self.staff = re.search(r"staff login\s+(\S+)\s+(\S+)", said).groups()  # type: ignore[union-attr]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if "ready: http" in line:
                self._ready.set()
        self._ready.set()

    def client(self, key: str | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {key or self.key}"})

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command beside it, in the environment that `make env` prints."""
        environment = {name: value for name, value in os.environ.items() if not SET_BY_TESTS.match(name)}
        environment["CHUIZI_STATE_DIR"] = str(self.state)
        command = f'eval "$({sys.executable} -m chuizi.local env)" && exec {sys.executable} manage.py "$@"'
        return subprocess.run(
            ["bash", "-c", command, "manage", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )

    def mail_to(self, address: str, *, about: str = "", seconds: float = 10) -> str:
        """The newest mail to that address that holds `about`, as text."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            files = sorted(self.mails.glob("*"), key=lambda file: file.stat().st_mtime, reverse=True)
            for file in files:
                text = file.read_text(encoding="utf-8", errors="replace")
                if f"To: {address}" in text and about in text:
                    return text.replace("=\n", "").replace("=3D", "=")
            time.sleep(0.1)
        raise AssertionError(f"no mail to {address}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self._reader.join(10)
        self.process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp(prefix="chuizi-flow-", dir="/tmp"))
    folder.chmod(0o711)
    started = Running(folder)
    yield started
    started.stop()
    shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
