"""`make bench-peers`: the same load on Chuizi, LiteLLM and Portkey, one after the other, side by side as ratios.

The peers are installed apart, under the state folder, at the versions named here. Each gets one process on one core;
the upstream and the load share the other. LiteLLM runs with a master key and no database, Portkey as it comes: both
check less and write nothing down, where Chuizi holds each request's cost in a durable commit and meters it in another.
"""

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench import machine, path

LITELLM = "litellm[proxy]==1.106.2"
PORTKEY = "1.15.2"
# Its own range takes a newer one too, with which every stream ends in a 500 ("immutable" headers).
HONO_SERVER = "1.13.8"
MASTER_KEY = "sk-bench"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running gateway."""

    url: str
    headers: Mapping[str, str]
    pid: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each load")
    parser.add_argument("--tries", type=int, default=1, help="how many times each load runs; the best counts")
    parser.add_argument("--only", default="chuizi,litellm,portkey", help="which, with commas between")
    arguments = parser.parse_args()
    machine.need_wrk()
    names = arguments.only.split(",")
    folder = Path(os.environ.get("CHUIZI_STATE_DIR", ".local/test")).parent / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    install = {"litellm": install_litellm, "portkey": install_portkey}
    for name in names:
        if name in install:
            install[name](folder)
    found = {}
    with machine.database(), machine.upstream() as upstream_url:
        for name in names:
            with STARTS[name](upstream_url, folder) as peer:
                found[name] = path.measure(
                    peer.url,
                    headers=peer.headers,
                    upstream_url=upstream_url,
                    pid=peer.pid,
                    seconds=arguments.seconds,
                    tries=arguments.tries,
                )
            print(f"\n{name}", end="")
            path.show(found[name])
        show(found)


def install_litellm(folder: Path) -> None:
    home = folder / "litellm"
    wanted = home / f"{LITELLM}.installed"
    if not wanted.exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", LITELLM], check=True)
        wanted.touch()


def install_portkey(folder: Path) -> None:
    home = folder / "portkey"
    wanted = home / f"{PORTKEY}-{HONO_SERVER}.installed"
    if wanted.exists():
        return
    home.mkdir(exist_ok=True)
    package = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": PORTKEY},
        "overrides": {"@hono/node-server": HONO_SERVER},
    }
    (home / "package.json").write_bytes(orjson.dumps(package))
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=home, check=True)
    except FileNotFoundError:
        sys.exit("npm is missing: install Node.js, or leave Portkey out with --only chuizi,litellm")
    wanted.touch()


@contextmanager
def chuizi(upstream_url: str, _folder: Path) -> Iterator[Peer]:
    with machine.gateway(upstream_url) as gateway:
        yield Peer(gateway.url, gateway.headers, gateway.pid)


@contextmanager
def litellm(upstream_url: str, folder: Path) -> Iterator[Peer]:
    """LiteLLM's proxy with one worker, as its guide to production says: errors logged alone, no retries."""
    config = {
        "model_list": [
            {
                "model_name": machine.MODEL,
                "litellm_params": {"model": "openai/bench", "api_base": f"{upstream_url}/v1", "api_key": "sk"},
            }
        ],
        "litellm_settings": {"num_retries": 0, "telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": MASTER_KEY},
    }
    port = machine.free_port()
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / "config.yaml"  # JSON is YAML
        file.write_bytes(orjson.dumps(config))
        command = [str(folder / "litellm/bin/litellm"), "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        environment = without_our_own() | {
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        with machine.running(
            machine.pinned(machine.SERVER_CORE, command), environment=environment, cwd=Path(temporary), port=port
        ) as process:
            yield Peer(f"http://127.0.0.1:{port}{machine.CHAT}", bearer(MASTER_KEY), process.pid)


@contextmanager
def portkey(upstream_url: str, folder: Path) -> Iterator[Peer]:
    port = machine.free_port()
    script = folder / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    command = machine.pinned(machine.SERVER_CORE, ["node", str(script), f"--port={port}", "--headless"])
    headers = {
        **bearer("sk"),
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{upstream_url}/v1",
    }
    environment = without_our_own() | {"NODE_ENV": "production"}
    with machine.running(command, environment=environment, cwd=folder, port=port) as process:
        yield Peer(f"http://127.0.0.1:{port}{machine.CHAT}", headers, process.pid)


STARTS = {"chuizi": chuizi, "litellm": litellm, "portkey": portkey}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def without_our_own() -> dict[str, str]:
    """The environment without Chuizi's settings: LiteLLM would take DATABASE_URL for its own."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def show(found: Mapping[str, path.Path]) -> None:
    """One table for the README: each peer's figure, and how many times Chuizi's it is."""
    ours = found.get("chuizi")
    rows: list[tuple[str, Callable[[path.Path], float], str]] = [
        ("JSON, 32 callers, requests/s", lambda row: row.json.rate, ",.0f"),
        ("JSON, 32 callers, p99 ms", lambda row: row.json.p99, ",.1f"),
        ("streams of 42 chunks, 32 callers, streams/s", lambda row: row.streams.rate, ",.0f"),
        ("added for one caller, p50 ms", lambda row: row.added, ".2f"),
        ("processor time for JSON, ms", lambda row: row.json_cpu, ".2f"),
        ("processor time for a stream, ms", lambda row: row.streams_cpu, ".2f"),
        ("memory after it, MB", lambda row: row.memory, ".0f"),
        ("answers that failed", lambda row: row.json.failed + row.streams.failed + row.one.failed, "d"),
    ]
    print(f"\n{machine.this_machine()}; {LITELLM}, Portkey {PORTKEY}\n")
    print("| | " + " | ".join(found) + " |")
    print("|---|" + "---:|" * len(found))
    for name, figure, form in rows:
        cells = []
        for peer, row in found.items():
            cell = format(figure(row), form)
            if ours is not None and peer != "chuizi" and form != "d":
                cell += f" ({figure(row) / figure(ours):.2g}x)"
            cells.append(cell)
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\na one-row durable commit here: {machine.one_row_commit():.2f} ms")


if __name__ == "__main__":
    main()
