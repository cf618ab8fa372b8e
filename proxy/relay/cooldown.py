"""Which upstreams to leave alone for a while. Within a process, without I/O; times are monotonic seconds.

After `after` failures in a row a route is skipped for `seconds`, then one request may try it; each failed try doubles
the time, up to `most`. What is skipped goes to the end of the line, not out of it: a route with no other choice is
always tried. A host that cannot be reached stands for all models on it; an upstream that fails (5xx, no answer in
time) may fail for one model alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.prices.catalog import Destination
from proxy.watch import metrics

PROBE_GRACE_SECONDS = 15.0
"""Beyond a probe's own timeout (its connecting): then another request may probe."""
Place = tuple[str, str]


@dataclass(slots=True)
class Trouble:
    """Failures in a row, cool-downs in a row, and until when the next one lasts."""

    upstream: str
    failures: int = 0
    rounds: int = 0
    until: float = 0.0
    is_probed: bool = False


class Cooldown:
    """What is known of failing routes; empty, and as good as free, while nothing fails. `after` 0 switches it off."""

    def __init__(self, *, after: int, seconds: float, most: float) -> None:
        self._after = after
        self._seconds = seconds
        self._most = most
        self._troubles: dict[Place, Trouble] = {}

    def order(self, destinations: Sequence[Destination], *, now: float) -> Sequence[Destination]:
        """The destinations in the order in which to try them: those that cool last."""
        if not self._troubles or len(destinations) < 2:
            return destinations
        return sorted(destinations, key=lambda destination: self._is_cooling(destination, now))

    def wait(self, destinations: Sequence[Destination], *, now: float) -> float:
        """Seconds until one of them is to be tried again, where all of them cool; else 0."""
        if not self._troubles:
            return 0.0
        return min((self._left(destination, now) for destination in destinations), default=0.0)

    def begins(self, destination: Destination, *, now: float) -> None:
        """A request is about to try it; past its cool-down this is the probe, and others go on skipping it."""
        if self._troubles:
            for place in _places(destination):
                trouble = self._troubles.get(place)
                if trouble is not None and trouble.rounds and now >= trouble.until:
                    trouble.is_probed = True
                    trouble.until = now + destination.timeout + PROBE_GRACE_SECONDS

    def answered(self, destination: Destination) -> None:
        """It works, whatever it said."""
        if self._troubles:
            for place in _places(destination):
                if self._troubles.pop(place, None) is not None:
                    self._show(destination.upstream)

    def failed(self, destination: Destination, *, now: float, is_reached: bool) -> None:
        """It failed before its first byte; `is_reached` is false where not even a connection was had."""
        if not self._after:
            return
        host, place = _places(destination)
        if is_reached:
            self._troubles.pop(host, None)
        else:
            place = host
        trouble = self._troubles.setdefault(place, Trouble(destination.upstream))
        if trouble.rounds and not trouble.is_probed:
            return  # it cools already: requests that left before, or that had no other choice
        trouble.failures += 1
        if trouble.is_probed or trouble.failures >= self._after:
            trouble.is_probed = False
            trouble.until = now + min(self._most, self._seconds * 2 ** min(trouble.rounds, 30))
            trouble.rounds += 1
            metrics.COOLDOWNS.labels(destination.upstream).inc()
            self._show(destination.upstream)

    def _is_cooling(self, destination: Destination, now: float) -> bool:
        return self._left(destination, now) > 0

    def _left(self, destination: Destination, now: float) -> float:
        """Seconds for which it cools; 0 where it does not."""
        found = [self._troubles[place] for place in _places(destination) if place in self._troubles]
        return max((trouble.until - now for trouble in found if trouble.rounds and now < trouble.until), default=0.0)

    def _show(self, upstream: str) -> None:
        cooling = [t for t in self._troubles.values() if t.upstream == upstream and t.rounds]
        metrics.COOLING.labels(upstream).set(len(cooling))


def _places(destination: Destination) -> tuple[Place, Place]:
    """The host, and the model on it. By URL, so that a corrected one is tried at once."""
    return (destination.base_url, ""), (destination.base_url, destination.upstream_model)
