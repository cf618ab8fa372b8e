"""The load that every gateway gets: JSON and streams at 32 callers, then one caller, beside the upstream alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.machine import CHAT, Load, load, resident_mb


@dataclass(frozen=True, slots=True)
class Path:
    """What one gateway did. Memory in megabytes, after the load; times in milliseconds."""

    json: Load
    streams: Load
    one: Load
    alone: Load
    memory: float

    @property
    def added(self) -> float:
        """Median latency that the gateway adds for one caller."""
        return self.one.p50 - self.alone.p50


def measure(url: str, *, headers: Mapping[str, str], upstream_url: str, pid: int, seconds: float) -> Path:
    load(url, headers=headers, callers=8, seconds=3)  # warm up
    load(url, headers=headers, callers=8, seconds=2, stream=True)
    return Path(
        json=load(url, headers=headers, callers=32, seconds=seconds),
        streams=load(url, headers=headers, callers=32, seconds=seconds, stream=True),
        one=load(url, headers=headers, callers=1, seconds=seconds),
        alone=load(upstream_url + CHAT, headers=headers, callers=1, seconds=max(2, seconds / 2)),
        memory=resident_mb(pid),
    )


def show(found: Path) -> None:
    print(f"\n{'':34} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8}")
    for name, row in (
        ("JSON, 32 callers", found.json),
        ("streams of 42 chunks, 32 callers", found.streams),
        ("JSON, one caller", found.one),
        ("the upstream alone, one caller", found.alone),
    ):
        print(f"{name:34} {row.rate:>10.0f} {row.p50:>8.2f} {row.p99:>8.2f} {row.failed:>8}")
    print(f"added for one caller, p50: {found.added:.2f} ms; memory of the process: {found.memory:.0f} MB", flush=True)
