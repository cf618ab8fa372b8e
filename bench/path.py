"""The load that every gateway gets: JSON and streams at 32 callers, then one caller, beside the upstream alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median

from bench.machine import CHAT, MODEL, Chuizi, Load, cpu_seconds, django, load, resident_mb
from bench.others.lines import LINES, Line


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


def other_paths(url: str, *, headers: Mapping[str, str], seconds: float, pid: int, chat: Path) -> None:
    """What the gateway does on its other paths, at 32 callers, beside what it did on `chat`; `url` is that of chat.

    Processor time is of the gateway, for one request.
    """
    print(f"{'':55} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8} {'of chat':>8} {'cpu ms':>8}")
    for line in LINES:
        for what, path, usual in (("JSON", line.path, chat.json), ("streams", line.stream_path, chat.streams)):
            if not path:
                continue
            there = url.replace(CHAT, path)
            is_said = what == "streams" and path == line.path  # else the path itself asks for a stream

            def run(there: str, callers: int, seconds: float, *, stream: bool, line: Line = line) -> Load:
                return load(
                    there, headers=headers, callers=callers, seconds=seconds, stream=stream, asked=line.asked,
                    model=line.model,
                )  # fmt: skip

            run(there, 8, 1, stream=is_said)  # warm up
            before = cpu_seconds(pid)
            row = run(there, 32, seconds, stream=is_said)
            took = (cpu_seconds(pid) - before) / max(1, row.requests) * 1e3
            shown = path.partition("?")[0].replace(f"/{MODEL}", "")
            name = f"{shown}, {what}" + ", 60 kB" * line.is_long
            print(
                f"{name:55} {row.rate:>10.0f} {row.p50:>8.2f} {row.p99:>8.2f} {row.failed:>8}"
                f" {row.rate / usual.rate:>8.0%} {took:>8.3f}",
                flush=True,
            )


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


def caps(gateway: Chuizi, *, seconds: float, rounds: int = 6) -> None:
    """What caps cost: none set, and all of a key and of its member, requests at once included.

    By turns, so that what else the machine does meets both; the gateway's processor time a request, and rates.
    """
    django()
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for number in range(2 * rounds):
        capped = number % 4 in (1, 2)  # none, all, all, none: neither is always the later one
        _set_caps(gateway.key, capped=capped)
        load(gateway.url, headers=gateway.headers, callers=8, seconds=1)  # the policy is read again
        before = cpu_seconds(gateway.pid)
        done = load(gateway.url, headers=gateway.headers, callers=32, seconds=seconds)
        found[capped].append(((cpu_seconds(gateway.pid) - before) / max(1, done.requests) * 1e3, done.rate))
    _set_caps(gateway.key, capped=False)
    (none_cpu, none_rate), (all_cpu, all_rate) = (
        (median(cpu for cpu, _ in runs), median(rate for _, rate in runs)) for runs in (found[False], found[True])
    )
    print(
        f"caps, 32 callers: none set {none_rate:,.0f} requests/s at {none_cpu:.3f} ms each,"
        f" all set {all_rate:,.0f} at {all_cpu:.3f} ms:"
        f" {all_rate / none_rate - 1:+.1%} requests/s, {all_cpu / none_cpu - 1:+.1%} processor time",
        flush=True,
    )


def _set_caps(text: str, *, capped: bool) -> None:
    """Caps that nothing reaches, of the key and of who made it; or none."""
    from accounts.keys import issuing
    from accounts.models import ApiKey, Membership
    from accounts.models.caps import CAPS
    from billing.limits import members

    key = issuing.find(text)
    assert key is not None
    member = Membership.objects.get(customer=key.customer)
    caps = dict.fromkeys(CAPS, Decimal(10**9) if capped else None)
    ApiKey.objects.filter(pk=key.pk).update(
        created_by=member.user_id, concurrency_limit=10_000 if capped else None, **caps
    )
    members.set_caps(membership=member, caps=caps, now=datetime.now(UTC))
