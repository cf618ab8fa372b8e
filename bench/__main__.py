"""`make bench`: the money path under load, on this machine, with durable commits. Prints one table.

One gateway process is pinned to one core; the upstream and the load run on another. PostgreSQL is not pinned. Every
request is held before it leaves and metered before its answer ends; settlement runs after each load, measured apart.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GATEWAY_PORT, UPSTREAM_PORT = 9100, 9101
BASE = f"http://127.0.0.1:{GATEWAY_PORT}"
PATH = "/v1/chat/completions"
MODEL = "bench/model"
PAYMENT_PROVIDERS = ("STRIPE_", "ALIPAY_", "WECHATPAY_")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each load")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    key = prepare()
    with upstream(), gateway():
        direct = f"http://127.0.0.1:{UPSTREAM_PORT}/v1/chat/completions"
        load(BASE + PATH, key, callers=8, seconds=2)  # warm up
        rows = [
            ("JSON, 32 callers", load(BASE + PATH, key, callers=32, seconds=arguments.seconds)),
            ("streams of 42 chunks, 32 callers", load(BASE + PATH, key, 32, arguments.seconds, stream=True)),
            ("JSON, one caller", load(BASE + PATH, key, callers=1, seconds=arguments.seconds)),
            ("the upstream alone, one caller", load(direct, key, callers=1, seconds=arguments.seconds)),
        ]
    commit = one_row_commit()
    generations, rate = settle()
    added = rows[2][1]["p50_ms"] - rows[3][1]["p50_ms"]
    print(f"\n{'':34} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8}")
    for name, row in rows:
        print(f"{name:34} {row['rate']:>10.0f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f} {row['errors']:>8}")
    print(f"\nadded for one caller, p50:  {added:.2f} ms  (a one-row durable commit here: {commit:.2f} ms)")
    print(f"settlement, one worker:     {rate:.0f} generations/s over {generations}")
    subprocess.run([sys.executable, "manage.py", "audit_ledger"], check=True)


def prepare() -> str:
    """A customer with money, a key without limits, a model at the benchmark's upstream; return the key."""
    manage("migrate", "--verbosity", "0")
    catalog = {
        "upstreams": [
            {"name": "bench", "protocol": "openai", "base_url": f"http://127.0.0.1:{UPSTREAM_PORT}/v1", "api_key": "sk"}
        ],
        "models": [
            {
                "id": MODEL,
                "upstreams": ["bench"],
                "max_output_tokens": 32768,
                "price": {"billing": "per_token", "input": "0.10", "output": "0.40"},
            }
        ],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(catalog, file)
        file.flush()
        manage("load_catalog", file.name)
    manage("create_customer", "--email", "bench@example.com")
    manage("grant", "--email", "bench@example.com", "--amount", "100000", "--reason", "benchmark", "--key", "bench")
    return manage("issue_key", "--email", "bench@example.com", "--name", "bench").splitlines()[-1]


def manage(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], check=True, capture_output=True, text=True, env=environment()
    )
    return done.stdout.strip()


def environment() -> dict[str, str]:
    limits = {"DEFAULT_KEY_RPM": "0", "DEFAULT_CUSTOMER_RPM": "0", "DEFAULT_MODEL_RPM": "0"}
    # As in production, where a sandbox's addresses would stop the start.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PAYMENT_PROVIDERS)}
    return {**kept, **limits, "ALLOW_PRIVATE_UPSTREAMS": "True", "DEBUG": "False", "LOG_LEVEL": "ERROR"}


def load(url: str, key: str, callers: int, seconds: int, *, stream: bool = False) -> dict[str, Any]:
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Say a few words, please."}]}
    if stream:
        body["stream"] = True
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f'wrk.headers["Authorization"] = "Bearer {key}"\n'
            f"wrk.body = [==[{json.dumps(body, separators=(',', ':'))}]==]\n"
            "done = function(summary, latency)\n"
            ' io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,'
            " latency:percentile(50), latency:percentile(99),"
            " summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))\n"
            "end\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name, url]
        out = subprocess.run(pinned(1, command), check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if found is None:
        raise SystemExit(f"wrk said nothing of its result:\n{out}")
    requests, duration, p50, p99, errors = map(int, found.groups())
    return {"rate": requests / (duration / 1e6), "p50_ms": p50 / 1e3, "p99_ms": p99 / 1e3, "errors": errors}


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core where there is a second."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core), *command]
    return command


@contextmanager
def server(core: int, application: str, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(pinned(core, [*command, "--log-level", "warning"]), env=environment())
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def upstream() -> Iterator[None]:
    with server(1, "bench.upstream:application", UPSTREAM_PORT):
        yield


@contextmanager
def gateway() -> Iterator[None]:
    with server(0, "chuizi.asgi:application", GATEWAY_PORT):
        yield


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    import socket

    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"the server on port {port} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


def django() -> None:
    for name in [name for name in os.environ if name.startswith(PAYMENT_PROVIDERS)]:
        del os.environ[name]
    os.environ.update(environment())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    import django as package

    package.setup()


def one_row_commit() -> float:
    """Milliseconds that a one-row update takes to commit durably here, the median of 500."""
    django()
    from django.db import connection

    times = []
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_row (id int PRIMARY KEY, n int NOT NULL)")
        cursor.execute("INSERT INTO bench_row VALUES (1, 0) ON CONFLICT DO NOTHING")
        for _ in range(500):
            start = time.perf_counter()
            cursor.execute("UPDATE bench_row SET n = n + 1 WHERE id = 1")
            times.append(time.perf_counter() - start)
        cursor.execute("DROP TABLE bench_row")
    return sorted(times)[len(times) // 2] * 1e3


def settle() -> tuple[int, float]:
    """Settle what the loads left; return how many and how many a second."""
    django()
    from datetime import UTC, datetime

    from proxy.settlement import settle_all

    start = time.perf_counter()
    done = settle_all(now=datetime.now(UTC))
    return done, done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
