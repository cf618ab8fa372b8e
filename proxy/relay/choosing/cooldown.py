"""Which upstreams to leave alone for a while. Within a process, without I/O; times are monotonic seconds.

After `after` failures in a row what was asked is skipped for `seconds`, then one request may try it; each failed try
doubles the time, up to `most`. What is skipped goes to the end of the line, not out of it: a route with no other choice
is always tried. How much is skipped goes by what failed: see `Failed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from proxy.prices.catalog import Destination
from proxy.watch import metrics

PROBE_GRACE_SECONDS = 15.0
"""Beyond a probe's own timeout (its connecting): then another request may probe."""


class Failed(Enum):
    """What a failure stands for."""

    HOST = "host"
    """Nothing there can be reached: no connection was had."""
    ACCOUNT = "account"
    """Whatever is asked with this key: it is not known, or has no credit."""
    ROUTE = "route"
    """This model at this path: others there may do well."""


Place = tuple[str, ...]


@dataclass(slots=True)
class Trouble:
    """Failures in a row, cool-downs in a row, and until when the next one lasts."""

    upstream: str
    failures: int = 0
    rounds: int = 0
    until: float = 0.0
    is_probed: bool = False


class Cooldown:
    """What is known of failing routes; empty, and as good as free, while nothing fails. `after` 0 switches it off.

    A `path` is the caller's, as its endpoint has it.
    """

    def __init__(self, *, after: int, seconds: float, most: float) -> None:
        self._after = after
        self._seconds = seconds
        self._most = most
        self._troubles: dict[Place, Trouble] = {}

    def order(self, destinations: Sequence[Destination], path: str, *, now: float) -> Sequence[Destination]:
        """The destinations in the order in which to try them: those that cool last."""
        if not self._troubles or len(destinations) < 2:
            return destinations
        return sorted(destinations, key=lambda destination: self._is_cooling(destination, path, now))

    def wait(self, destinations: Sequence[Destination], path: str, *, now: float) -> float:
        """Seconds until one of them is to be tried again, where all of them cool; else 0."""
        if not self._troubles:
            return 0.0
        return min((self._left(destination, path, now) for destination in destinations), default=0.0)

    def begins(self, destination: Destination, path: str, *, now: float) -> None:
        """A request is about to try it; past its cool-down this is the probe, and others go on skipping it."""
        if self._troubles:
            for place in _places(destination, path).values():
                trouble = self._troubles.get(place)
                if trouble is not None and trouble.rounds and now >= trouble.until:
                    trouble.is_probed = True
                    trouble.until = now + destination.timeout + PROBE_GRACE_SECONDS

    def answered(self, destination: Destination, path: str) -> None:
        """It works, whatever it said."""
        if self._troubles:
            for place in _places(destination, path).values():
                if self._troubles.pop(place, None) is not None:
                    self._show(destination.upstream)

    def failed(self, destination: Destination, path: str, *, now: float, what: Failed = Failed.ROUTE) -> None:
        """It failed before its first byte."""
        if not self._after:
            return
        places = _places(destination, path)
        if what != Failed.HOST:
            self._troubles.pop(places[Failed.HOST], None)
        if what == Failed.ROUTE and (account := self._troubles.get(places[Failed.ACCOUNT])) is not None:
            account.is_probed, account.until = False, min(account.until, now)  # nobody knows: the next one tells
        trouble = self._troubles.setdefault(places[what], Trouble(destination.upstream))
        if trouble.rounds and not trouble.is_probed:
            return  # it cools already: requests that left before, or that had no other choice
        trouble.failures += 1
        if trouble.is_probed or trouble.failures >= self._after:
            trouble.is_probed = False
            trouble.until = now + min(self._most, self._seconds * 2 ** min(trouble.rounds, 30))
            trouble.rounds += 1
            metrics.COOLDOWNS.labels(destination.upstream).inc()
            self._show(destination.upstream)

    def cooling(self, *, now: float) -> dict[str, float]:
        """For how many seconds something of an upstream is left alone, by its name; the longest."""
        left: dict[str, float] = {}
        for trouble in self._troubles.values():
            if trouble.rounds and now < trouble.until:
                left[trouble.upstream] = max(trouble.until - now, left.get(trouble.upstream, 0.0))
        return left

    def _is_cooling(self, destination: Destination, path: str, now: float) -> bool:
        return self._left(destination, path, now) > 0

    def _left(self, destination: Destination, path: str, now: float) -> float:
        """Seconds for which it cools; 0 where it does not."""
        found = [self._troubles[place] for place in _places(destination, path).values() if place in self._troubles]
        return max((trouble.until - now for trouble in found if trouble.rounds and now < trouble.until), default=0.0)

    def _show(self, upstream: str) -> None:
        cooling = [t for t in self._troubles.values() if t.upstream == upstream and t.rounds]
        metrics.COOLING.labels(upstream).set(len(cooling))


def _places(destination: Destination, path: str) -> dict[Failed, Place]:
    """By URL and key, so that what was corrected is tried at once."""
    host, key = destination.base_url, destination.api_key
    return {
        Failed.HOST: (host,),
        Failed.ACCOUNT: (host, key),
        Failed.ROUTE: (host, key, destination.upstream_model, path),
    }
