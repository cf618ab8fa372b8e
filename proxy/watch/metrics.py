"""What `/metrics` shows of a process. Label sets are bounded: models and upstreams of the catalog, states and reasons.

With `PROMETHEUS_MULTIPROC_DIR` in the environment (an empty folder, one a server) the processes that share a port
write there, and whichever is asked answers for all of them.
"""

import contextlib
import logging
import os
from bisect import bisect_left
from collections import Counter as tally
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

log = logging.getLogger(__name__)


class Times(Histogram):
    """A histogram that is told many amounts at once: one by one they cost more than what is counted."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """As `observe` for each of them."""
        self._sum.inc(sum(amounts))
        for place, count in tally(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


MOST_NAMES = 500
"""Models shown apart; a catalog that goes on renaming them does not grow the answer without end."""
OTHERS = "other"
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")

REQUESTS = Counter("chuizi_requests_total", "Gateway requests by model and HTTP status.", ["model", "status"])
IN_FLIGHT = Gauge("chuizi_requests_in_flight", "Requests being served.", multiprocess_mode="livesum")
HOLDS = Counter("chuizi_holds_total", "Holds committed.")
RELEASED = Counter("chuizi_holds_released_total", "Holds given back unused, by reason.", ["reason"])
WINDOWS = Counter(
    "chuizi_hold_changes_total",
    "Times that a stream's hold was to grow or shrink, by what came of it and why.",
    ["outcome", "reason"],
)
HELD = Counter("chuizi_held_usd_total", "USD held for requests that were answered, by model.", ["model"])
GUESSED = Counter("chuizi_estimated_usd_total", "USD that they were estimated to cost.", ["model"])
USED = Counter("chuizi_used_usd_total", "USD that they were charged.", ["model"])
COUNTS = Counter(
    "chuizi_prompt_counts_total", "Large prompts to be counted by their vocabulary, by what came of it.", ["outcome"]
)
ONCE = Counter("chuizi_repeats_total", "Requests that were sent again, by what they were answered with.", ["outcome"])
ONCE_BYTES = Gauge(
    "chuizi_repeatable_bytes", "Bytes of answers in memory for who asks again.", multiprocess_mode="livesum"
)
ADMISSION_SECONDS = Times(
    "chuizi_admission_seconds",
    "From a request's wait for its hold to the commit.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ADMISSION_BATCH = Histogram("chuizi_admission_batch", "Requests a batch.", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
ADMISSION_QUEUE = Gauge("chuizi_admission_queue", "Requests that wait for their hold.", multiprocess_mode="livesum")
METERING_SECONDS = Times(
    "chuizi_metering_seconds",
    "From usage known to usage committed.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
METERING_BATCH = Histogram("chuizi_metering_batch", "Records a batch.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500))
UNWRITTEN = Gauge("chuizi_usage_unwritten", "Usage records waiting to be committed.", multiprocess_mode="livesum")
UNWRITTEN_AGE = Gauge("chuizi_usage_unwritten_seconds", "Age of the oldest of them.", multiprocess_mode="livemax")
RELEASE_QUEUE = Gauge("chuizi_release_queue", "Holds that wait to be given back.", multiprocess_mode="livesum")
UPSTREAM_REQUESTS = Counter(
    "chuizi_upstream_requests_total", "Calls that an upstream took, by model and upstream.", ["model", "upstream"]
)
UPSTREAM_ERRORS = Counter(
    "chuizi_upstream_errors_total", "Failed calls by model, upstream and kind.", ["model", "upstream", "kind"]
)
AT_UPSTREAM = Gauge(
    "chuizi_upstream_requests_in_flight",
    "Requests at an upstream that has a limit of them.",
    ["upstream"],
    multiprocess_mode="livesum",
)
FULL = Counter("chuizi_upstream_full_total", "Times that an upstream at its limit was passed over.", ["upstream"])
ATTEMPTS_LOST = Counter("chuizi_attempts_lost_total", "Attempts at upstreams that could not be written.")
COOLDOWNS = Counter("chuizi_upstream_cooldowns_total", "Cool-downs begun after failures in a row.", ["upstream"])
COOLING = Gauge(
    "chuizi_upstream_cooling",
    "Routes of an upstream that failed and have not answered since; the most in one process.",
    ["upstream"],
    multiprocess_mode="livemax",
)

NOTHING = Decimal(0)
SMALLEST = 10**8
"""Parts of a dollar that are told apart."""
_models: set[str] = set()
_timed: dict[Times, list[float]] = {}
_counted: dict[Counter, float] = {}
_worth: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
# Looked up by prometheus_client each time, a counter's labels cost more than counting.
requests = cache(REQUESTS.labels)
upstream_requests = cache(UPSTREAM_REQUESTS.labels)


# What every request tells is told a moment after its answer, once for all that came meanwhile. In the event loop alone.


def observe(times: Times, amount: float) -> None:
    _timed.setdefault(times, []).append(amount)


def count(counter: Counter, amount: float = 1) -> None:
    _counted[counter] = _counted.get(counter, 0) + amount


def worth(model: str, held: Decimal, estimated: Decimal, used: Decimal) -> None:
    """What an answered request was worth, in USD."""
    before = _worth.get(model, (NOTHING,) * 3)
    _worth[model] = before[0] + held, before[1] + estimated, before[2] + used


def catch_up() -> None:
    """Tell what was left for later. What cannot be told is lost: where their folder is full, requests go on."""
    lost: Exception | None = None
    while _timed or _counted or _worth:
        try:
            if _timed:
                times, amounts = _timed.popitem()
                times.observe_all(amounts)
            elif _counted:
                counter, amount = _counted.popitem()
                counter.inc(amount)
            else:
                model, sums = _worth.popitem()
                for figure, total in zip((HELD, GUESSED, USED), sums, strict=True):
                    figure.labels(model).inc(int(total * SMALLEST) / SMALLEST)
        except Exception as error:
            lost = error
    if lost is not None:
        log.error("figures could not be counted", exc_info=lost)


def model_label(slug: str) -> str:
    """A model of the catalog as a label; "" stands for requests that found none."""
    if slug in _models or not slug:
        return slug
    if len(_models) >= MOST_NAMES:
        return OTHERS
    _models.add(slug)
    return slug


def render() -> bytes:
    """All families in Prometheus' text form."""
    catch_up()
    if not FOLDER:
        return generate_latest()
    _forget_the_dead(Path(FOLDER))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=FOLDER)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Drop the momentary figures of processes that are gone, killed ones included."""
    for file in folder.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
