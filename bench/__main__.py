"""`make bench`: the money path under load, on this machine, with durable commits.

One gateway process is pinned to one core; the upstream and the load run on another. PostgreSQL is not pinned. Every
request is held before it leaves and metered before its answer ends. `--only` names the parts to run.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

from bench import growth, inbox, lag, machine, memory, path, settling

QUICK = "path,caps,holds,settling,lag,memory,inbox"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each load")
    parser.add_argument("--tries", type=int, default=1, help="how many times each load of `path` runs; the best counts")
    parser.add_argument("--lag-seconds", type=int, default=60, help="length of the steady load of `lag`")
    parser.add_argument("--soak", type=int, default=30, help="seconds of mixed load over which `memory` looks")
    parser.add_argument("--generations", type=int, default=5_000_000, help="how many `growth` fills the table with")
    parser.add_argument("--only", default=QUICK, help=f"which parts, of {QUICK},growth; commas between")
    arguments = parser.parse_args()
    machine.need_wrk()
    print(machine.this_machine(), flush=True)
    with machine.database(), machine.upstream() as upstream_url:
        measure(upstream_url, arguments)


def measure(upstream_url: str, arguments: argparse.Namespace) -> None:
    with machine.gateway(upstream_url) as gateway:
        parts: dict[str, Callable[[], None]] = {
            "path": lambda: requests(
                gateway, upstream_url=upstream_url, seconds=arguments.seconds, tries=arguments.tries
            ),
            "caps": lambda: path.caps(gateway, seconds=arguments.seconds / 2),
            "holds": lambda: holds(gateway, seconds=arguments.seconds),
            "settling": settlement,
            "lag": lambda: lag.measure(gateway, seconds=arguments.lag_seconds),
            "memory": lambda: memory.measure(gateway, soak=arguments.soak),
            "inbox": lambda: inbox.measure(seconds=arguments.seconds, orders=10_000),
            "growth": lambda: growth.measure(gateway, seconds=arguments.seconds, most=arguments.generations),
        }
        for name in arguments.only.split(","):
            parts[name]()
    settle()
    subprocess.run([sys.executable, "manage.py", "audit_ledger"], check=True, env=machine.environment())


def requests(gateway: machine.Chuizi, *, upstream_url: str, seconds: float, tries: int) -> None:
    found = path.measure(
        gateway.url, headers=gateway.headers, upstream_url=upstream_url, pid=gateway.pid, seconds=seconds, tries=tries
    )
    path.show(found)
    path.other_paths(gateway.url, headers=gateway.headers, seconds=seconds, pid=gateway.pid, chat=found)
    commits(gateway, found, upstream_url=upstream_url, seconds=seconds)


def commits(gateway: machine.Chuizi, found: path.Path, *, upstream_url: str, seconds: float) -> None:
    """What one caller waits for, in durable commits of one row: made again and again, and at the caller's own pace.

    What is done now and then takes longer than the same in a loop, as processors sleep and caches are cold; a lone
    caller's two commits, half its latency apart, are of that kind, and so is its call of the upstream.
    """
    alone = machine.load(
        upstream_url + machine.CHAT,
        headers=gateway.headers,
        callers=1,
        seconds=max(2, seconds / 2),
        pause_ms=round(found.one.p50),
    )
    for how, upstream_ms, commit in (
        ("again and again", found.alone.p50, machine.one_row_commit()),
        ("at its pace", alone.p50, machine.one_row_commit(pause_ms=found.one.p50 / 2)),
    ):
        times = (found.one.p50 - upstream_ms - 0.5) / commit
        print(
            f"{how}, the upstream alone takes {upstream_ms:.2f} ms and a one-row durable commit {commit:.2f} ms:"
            f" added = 0.5 ms + {times:.1f} commits",
            flush=True,
        )


def holds(gateway: machine.Chuizi, *, seconds: float) -> None:
    """Holds alone on one hot wallet, from one process and from two together."""
    for count in (1, 2):
        command = [sys.executable, "-m", "bench.holds", gateway.key, str(seconds)]
        processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=machine.environment())
            for _ in range(count)
        ]
        rates = [int(process.communicate()[0].split()[0]) for process in processes]
        print(f"holds alone, one hot wallet, {count} process{'es' * (count > 1)}: {sum(rates):,} holds/s", flush=True)
    release_holds()


def release_holds() -> None:
    """Give back what the holds' part left open, as a sweeper would."""
    machine.django()
    from datetime import UTC, datetime

    from proxy.models import Generation, Lease
    from proxy.settlement import settle as settlement

    now, last = datetime.now(UTC), ""
    alive = list(Lease.objects.values_list("pk", flat=True))
    while ids := list(
        Generation.objects.filter(state="held", pk__gt=last)
        .exclude(lease_id__in=alive)
        .order_by("pk")
        .values_list("pk", flat=True)[:500]
    ):
        settlement.release(ids, reason=Generation.Reason.ABANDONED, now=now)
        last = ids[-1]


def settlement() -> None:
    settle()
    machine.django()
    settling.measure(generations=50_000)


def settle() -> None:
    """Settle what the loads left."""
    machine.django()
    from datetime import UTC, datetime

    from proxy.settlement.settle import settle_all

    settle_all(now=datetime.now(UTC))


if __name__ == "__main__":
    main()
