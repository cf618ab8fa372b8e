"""What a gateway process counts of its upstreams' answers until it is written. In the event loop alone."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

LIMITS: Sequence[float] = tuple(0.01 * 2 ** (step / 2) for step in range(33))
"""Seconds to an answer's head, each bucket's upper limit, from 10 ms to 11 minutes; one more bucket has the rest."""
MOST_TEXT = 300


@dataclass(slots=True)
class Minute:
    """Of one upstream. `times` has a count by bucket of `LIMITS`."""

    answered: int = 0
    failed: int = 0
    times: list[int] = field(default_factory=lambda: [0] * (len(LIMITS) + 1))


@dataclass(slots=True)
class Last:
    """When one upstream answered and failed last. `status` is 0 where there was no answer."""

    answered_at: datetime | None = None
    failed_at: datetime | None = None
    status: int = 0
    text: str = ""


class Health:
    """Minutes by upstream and minute since 1970, and what was last, as far as it is not written."""

    def __init__(self) -> None:
        self.minutes: dict[tuple[int, int], Minute] = {}
        self.last: dict[int, Last] = {}
        self._answers: list[tuple[int, float, float]] = []
        """Not yet counted: an upstream, when, and how long it took, in seconds."""

    def answered(self, upstream_id: int, *, seconds: float) -> None:
        """The head of an answer came, so long after it was asked for; that it refuses its caller's fault is one too."""
        self._answers.append((upstream_id, time(), seconds))

    def failed(self, upstream_id: int, *, status: int, text: str, was_answered: bool = False) -> None:
        """It failed, in words without secrets. `was_answered`: it had begun to answer, and was counted."""
        now = time()
        minute = self._minute(upstream_id, now)
        minute.failed += 1
        minute.answered -= was_answered
        last = self._last(upstream_id)
        last.failed_at, last.status, last.text = datetime.fromtimestamp(now, UTC), status, text[:MOST_TEXT]

    def taken(self) -> tuple[dict[tuple[int, int], Minute], dict[int, Last]]:
        """What is to be written; it is not kept here any longer."""
        for upstream_id, now, seconds in self._answers:
            minute = self._minute(upstream_id, now)
            minute.answered += 1
            minute.times[bisect_left(LIMITS, seconds)] += 1
        for upstream_id, now in {upstream_id: now for upstream_id, now, _ in self._answers}.items():
            self._last(upstream_id).answered_at = datetime.fromtimestamp(now, UTC)
        minutes, last = self.minutes, self.last
        self.minutes, self.last, self._answers = {}, {}, []
        return minutes, last

    def _minute(self, upstream_id: int, now: float) -> Minute:
        key = upstream_id, int(now) // 60
        if (minute := self.minutes.get(key)) is None:
            minute = self.minutes[key] = Minute()
        return minute

    def _last(self, upstream_id: int) -> Last:
        if (last := self.last.get(upstream_id)) is None:
            last = self.last[upstream_id] = Last()
        return last


def quantile(times: Sequence[int], share: float) -> float | None:
    """Seconds that this share of the answers took at most, within a bucket by proportion; None without answers."""
    total = sum(times)
    if not total:
        return None
    wanted, seen = share * total, 0
    for number, count in enumerate(times):
        if count and seen + count >= wanted:
            low = LIMITS[number - 1] if number else 0.0
            high = LIMITS[number] if number < len(LIMITS) else low
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return LIMITS[-1]
