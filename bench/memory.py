"""The gateway's memory: with a thousand streams open at once, and over a soak of mixed load."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import machine
from bench.others.lines import LINES, SLOW, WORDS

OPEN_STREAMS = 1000
WORDS_MS = 500
"""42 chunks that far apart make a stream of twenty seconds."""
LEFT_SECONDS = 22
"""What the load has open when it ends is abandoned, and drained to its end: nobody else's streams."""


def measure(gateway: machine.Chuizi, *, soak: float) -> None:
    idle = machine.resident_mb(gateway.pid)
    print(f"memory: {idle:.0f} MB before", flush=True)
    for path in SLOW:
        sizes = watch(gateway.pid, lambda path=path: streams(gateway, seconds=45, path=path))  # type: ignore[misc]
        print(f"{max(sizes):.0f} MB with {OPEN_STREAMS:,} open streams of {path}", flush=True)
        time.sleep(LEFT_SECONDS)
    if soak:
        sizes = watch(gateway.pid, lambda: mixed(gateway, seconds=soak))
        tenth = max(1, len(sizes) // 10)
        means = [f"{_mean(sizes[at : at + tenth]):.0f}" for at in range(0, tenth * 10, tenth)]
        print(
            f"memory over {soak:.0f} s of mixed load, MB by tenths: {', '.join(means)}; most {max(sizes):.0f}",
            flush=True,
        )


def streams(gateway: machine.Chuizi, *, seconds: float, path: str = machine.CHAT) -> None:
    said = next((line for line in LINES if line.path == path and not line.is_long), None)
    asked = None
    if said is not None:
        asked = json.loads(json.dumps(said.asked).replace(WORDS, f"{WORDS} [pause={WORDS_MS}]"))
    there = path if said is None else said.stream_path
    found = machine.load(
        gateway.url.replace(machine.CHAT, there),
        headers=gateway.headers,
        callers=OPEN_STREAMS,
        seconds=seconds,
        stream=there == path,
        words_ms=WORDS_MS,
        asked=asked,
    )
    print(f"{OPEN_STREAMS:,} slow streams: {found.rate:.0f} ended a second, {found.failed} failed", flush=True)


def mixed(gateway: machine.Chuizi, *, seconds: float) -> None:
    """A thousand slow streams, and beside them JSON from sixteen callers."""
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(streams, gateway, seconds=seconds)
        found = machine.load(gateway.url, headers=gateway.headers, callers=16, seconds=seconds)
        slow.result()
    print(f"beside them: {found.rate:,.0f} requests/s, p99 {found.p99:.0f} ms, {found.failed} failed", flush=True)


def watch(pid: int, act: Callable[[], None]) -> Sequence[float]:
    """Megabytes that the process held, twice a second, while `act` ran."""
    sizes, over = [machine.resident_mb(pid)], threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            sizes.append(machine.resident_mb(pid))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        act()
    finally:
        time.sleep(0.5)
        over.set()
        looker.join()
    return sizes


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
