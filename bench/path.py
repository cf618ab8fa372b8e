"""The load that every gateway gets: JSON and streams at 32 callers, then one caller, beside the upstream alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.machine import CHAT, MESSAGES, RESPONSES, Load, cpu_seconds, load, resident_mb

SHORT = {"input": "Say a few words, please.", "max_output_tokens": 100}
AGENTS = {
    **SHORT,
    "instructions": "You are an agent. " * 800,
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "word " * 40}]}] * 20,
    "tools": [
        {"type": "function", "name": f"tool_{number}", "parameters": {"type": "object", "description": "a word " * 180}}
        for number in range(30)
    ],
    "store": False,
}
"""As an agent asks: 60 kB, which the first events and the last one repeat."""


@dataclass(frozen=True, slots=True)
class Path:
    """What one gateway did. Memory in megabytes, after the load; times in milliseconds; `cpu` of the process itself."""

    json: Load
    streams: Load
    one: Load
    alone: Load
    json_cpu: float
    streams_cpu: float
    memory: float

    @property
    def added(self) -> float:
        """Median latency that the gateway adds for one caller."""
        return self.one.p50 - self.alone.p50


def measure(
    url: str, *, headers: Mapping[str, str], upstream_url: str, pid: int, seconds: float, tries: int = 1
) -> Path:
    """The best of several tries of each load, as other work on the machine only ever takes away."""

    def best(callers: int, *, stream: bool = False) -> tuple[Load, float]:
        found = []
        for _try in range(tries):
            before = cpu_seconds(pid)
            done = load(url, headers=headers, callers=callers, seconds=seconds, stream=stream)
            found.append((done, (cpu_seconds(pid) - before) / max(1, done.requests) * 1e3))
        return max(found, key=lambda pair: pair[0].rate)

    load(url, headers=headers, callers=8, seconds=3)  # warm up
    load(url, headers=headers, callers=8, seconds=2, stream=True)
    json, json_cpu = best(32)
    streams, streams_cpu = best(32, stream=True)
    return Path(
        json=json,
        streams=streams,
        one=best(1)[0],
        alone=load(upstream_url + CHAT, headers=headers, callers=1, seconds=max(2, seconds / 2)),
        json_cpu=json_cpu,
        streams_cpu=streams_cpu,
        memory=resident_mb(pid),
    )


def other_paths(url: str, *, headers: Mapping[str, str], seconds: float) -> None:
    """What the gateway does on its other paths, at 32 callers; `url` is that of chat."""
    for path, asked in ((MESSAGES, None), (RESPONSES, SHORT), (RESPONSES, AGENTS)):
        for what, stream in (("JSON", False), ("streams", True)):
            there = url.replace(CHAT, path)
            load(there, headers=headers, callers=8, seconds=1, stream=stream, asked=asked)  # warm up
            row = load(there, headers=headers, callers=32, seconds=seconds, stream=stream, asked=asked)
            what += ", 60 kB" if asked is AGENTS else ""
            name = f"{path}, {what}, 32 callers"
            print(f"{name:40} {row.rate:>10.0f} {row.p50:>8.2f} {row.p99:>8.2f} {row.failed:>8}", flush=True)


def show(found: Path) -> None:
    print(f"\n{'':40} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8}")
    for name, row in (
        ("JSON, 32 callers", found.json),
        ("streams of 42 chunks, 32 callers", found.streams),
        ("JSON, one caller", found.one),
        ("the upstream alone, one caller", found.alone),
    ):
        print(f"{name:40} {row.rate:>10.0f} {row.p50:>8.2f} {row.p99:>8.2f} {row.failed:>8}")
    print(
        f"added for one caller, p50: {found.added:.2f} ms; processor time of the process: {found.json_cpu:.3f} ms for"
        f" JSON, {found.streams_cpu:.3f} ms for a stream; its memory: {found.memory:.0f} MB",
        flush=True,
    )
