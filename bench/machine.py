"""What every benchmark needs: servers pinned to cores, wrk as the load, the wallet it is paid from, this machine.

The server under test has one core; the upstream and the load share the other. PostgreSQL is not pinned.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MODEL = "bench/model"
UPSTREAMS = {"bench": "openai", "bench-messages": "anthropic", "bench-gemini": "gemini"}
"""The same one, by the protocol that it is spoken to in."""
ALONE = {"bench/on-chat": "bench", "bench/on-messages": "bench-messages"}
"""Models of one of them alone: on the other's path they are translated."""
RATES: Mapping[str, Mapping[str, str]] = {
    MODEL: {"input": "0.10", "output": "0.40"},
    **{model: {"input": "0.10", "output": "0.40"} for model in ALONE},
    "bench/vectors": {"input": "0.02"},
    "bench/ranks": {"search": "2"},
    "bench/pictures": {"image": "0.04"},
    "bench/voice": {"character": "15"},
    "bench/judge": {"request": "0"},
}
"""In USD, by model: the first is for every path that writes text."""
EMAIL = "bench@example.com"
PAYMENT_PROVIDERS = ("STRIPE_", "ALIPAY_", "WECHATPAY_")
SERVER_CORE, LOAD_CORE = 0, 1
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. Latencies in milliseconds, of whole answers."""

    rate: float
    p50: float
    p99: float
    failed: int
    requests: int


def load(
    url: str,
    *,
    headers: Mapping[str, str],
    callers: int,
    seconds: float,
    stream: bool = False,
    pause_ms: int = 0,
    words_ms: int = 0,
    model: str = MODEL,
    asked: Mapping[str, Any] | None = None,
) -> Load:
    """Callers that ask again at once, or `pause_ms` after each answer; the upstream waits `words_ms` between words.

    `asked` is the body where it is not that of a chat.
    """
    text = "Say a few words, please." + (f" [pause={words_ms}]" if words_ms else "")
    body: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    if asked is not None:
        body = {"model": model, **asked}
    if stream:
        body["stream"] = True
    given = {"Content-Type": "application/json", **headers}
    script = "\n".join(
        (
            'wrk.method = "POST"',
            *(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in given.items()),
            f"wrk.body = [==[{json.dumps(body, separators=(',', ':'))}]==]",
            f"function delay() return {pause_ms} end" if pause_ms else "",
            "done = function(summary, latency)",
            ' io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,',
            "  latency:percentile(50), latency:percentile(99),",
            "  summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))",
            "end",
        )
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds:.0f}s", "--timeout", "60s", "-s", file.name, url]
        out = subprocess.run(pinned(LOAD_CORE, command), check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if found is None:
        raise SystemExit(f"wrk said nothing of its result:\n{out}")
    requests, duration, p50, p99, failed = map(int, found.groups())
    return Load(rate=requests / (duration / 1e6), p50=p50 / 1e3, p99=p99 / 1e3, failed=failed, requests=requests)


def need_wrk() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command on one core where there is a second."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core), *command]
    return list(command)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None = None, port: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, up once its port answers, stopped at the end with everything it started."""
    process = subprocess.Popen(command, env=dict(environment), cwd=cwd, start_new_session=True)
    try:
        if port is not None:
            _wait_for(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit(f"the server on port {port} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def asgi(
    application: str, *, core: int, port: int, more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--no-access-log"]
    command += ["--no-server-header", "--no-proxy-headers", "--log-level", "warning"]
    with running(pinned(core, command), environment={**environment(), **(more or {})}, port=port) as process:
        yield process


@contextmanager
def database() -> Iterator[None]:
    """An empty database on the server that DATABASE_URL names, for this process and its children; dropped after."""
    import psycopg

    given = os.environ["DATABASE_URL"]
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS chuizi_bench WITH (FORCE)")
        connection.execute("CREATE DATABASE chuizi_bench")
    parts = urlsplit(given)
    os.environ["DATABASE_URL"] = urlunsplit(parts._replace(path="/chuizi_bench"))
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = given
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute("DROP DATABASE chuizi_bench WITH (FORCE)")


@contextmanager
def upstream() -> Iterator[str]:
    """The upstream; yields its address."""
    port = free_port()
    with asgi("bench.upstream:application", core=LOAD_CORE, port=port):
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Chuizi:
    """A running gateway process and how to call it."""

    url: str
    headers: Mapping[str, str]
    pid: int

    @property
    def key(self) -> str:
        return self.headers["Authorization"].removeprefix("Bearer ")


@contextmanager
def gateway(upstream_url: str) -> Iterator[Chuizi]:
    """One gateway process before that upstream, a customer with money and a key without limits."""
    key = prepare(upstream_url)
    port = free_port()
    with asgi("chuizi.asgi:application", core=SERVER_CORE, port=port) as process:
        yield Chuizi(f"http://127.0.0.1:{port}{CHAT}", {"Authorization": f"Bearer {key}"}, process.pid)


@contextmanager
def settler() -> Iterator[None]:
    """The settlement worker and beat, as in production."""
    celery = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "chuizi"]
    worker = [*celery, "worker", "--loglevel", "ERROR", "--pool", "threads", "-Q", "settlement", "-c", "1"]
    with tempfile.TemporaryDirectory() as folder:
        beat = [*celery, "beat", "--loglevel", "ERROR", "--pidfile=", "--schedule", f"{folder}/schedule"]
        with running(worker, environment=environment()), running(beat, environment=environment()):
            time.sleep(5)  # until both are up
            yield


def prepare(upstream_url: str, rates: Mapping[str, Mapping[str, str]] = RATES) -> str:
    """A customer with money, a key without limits, models at the benchmark's upstream; return the key."""
    manage("migrate", "--verbosity", "0")
    catalog = {
        "upstreams": [
            {"name": name, "protocol": protocol, "base_url": f"{upstream_url}/v1", "api_key": "sk"}
            for name, protocol in UPSTREAMS.items()
        ],
        "models": [
            {
                "id": model,
                "upstreams": [ALONE[model]] if model in ALONE else [*UPSTREAMS],
                "max_output_tokens": 32768,
                "price": dict(price),
            }
            for model, price in rates.items()
        ],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(catalog, file)
        file.flush()
        manage("load_catalog", file.name)
    manage("create_customer", "--email", EMAIL)
    manage("grant", "--email", EMAIL, "--amount", "100000", "--reason", "benchmark", "--key", "bench")
    return manage("issue_key", "--email", EMAIL, "--name", "bench").splitlines()[-1]


def manage(*arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment())
    if done.returncode:
        sys.exit(f"manage.py {arguments[0]} failed")
    return done.stdout.strip()


def environment() -> dict[str, str]:
    limits = {"DEFAULT_KEY_RPM": "0", "DEFAULT_CUSTOMER_RPM": "0", "DEFAULT_MODEL_RPM": "0"}
    # As in production, where a sandbox's addresses would stop the start.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PAYMENT_PROVIDERS)}
    return {
        **kept,
        **limits,
        "ALLOW_PRIVATE_UPSTREAMS": "True",
        "DEBUG": "False",
        "LOG_LEVEL": "ERROR",
        "STOP_NOTICE_SECONDS": "0",
    }


def django() -> None:
    """Make this process one of Chuizi's."""
    for name in [name for name in os.environ if name.startswith(PAYMENT_PROVIDERS)]:
        del os.environ[name]
    os.environ.update(environment())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    import django as package

    package.setup()


def one_row_commit(*, times: int = 500, pause_ms: float = 0) -> float:
    """Milliseconds that a one-row update takes to commit durably here, the median of `times`, so far apart."""
    django()
    from django.db import connection

    took = []
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_row (id int PRIMARY KEY, n int NOT NULL)")
        cursor.execute("INSERT INTO bench_row VALUES (1, 0) ON CONFLICT DO NOTHING")
        for _ in range(times):
            start = time.perf_counter()
            cursor.execute("UPDATE bench_row SET n = n + 1 WHERE id = 1")
            took.append(time.perf_counter() - start)
            time.sleep(pause_ms / 1e3)
        cursor.execute("DROP TABLE bench_row")
    return sorted(took)[len(took) // 2] * 1e3


def resident_mb(pid: int) -> float:
    """Megabytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000  # type: ignore[index]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used: unlike a rate, hardly changed by what else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def this_machine() -> str:
    try:
        name = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        name = None
    return f"{os.cpu_count()} cores of {name[1] if name else 'an unknown processor'}"


def percentile(values: Sequence[Decimal | float], share: float) -> float:
    """The value that this share of them (0 to 1) does not exceed."""
    return float(sorted(values)[min(len(values) - 1, int(len(values) * share))])
