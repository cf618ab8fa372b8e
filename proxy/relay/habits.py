"""What a route was found not to take of the fields that we add, for an hour: then it is tried again.

A caller must not be able to teach a route anything: what is remembered was refused by name, and without it the same
request succeeded.
"""

from proxy.prices.catalog import Destination
from proxy.protocols.base import Habits

SECONDS = 3600.0
UNKNOWN = Habits()


class HabitBook:
    """A process's habits by route. Moments are of `time.monotonic`."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[Habits, float]] = {}

    def of(self, destination: Destination, *, now: float) -> Habits:
        if not self._found:
            return UNKNOWN
        habits, until = self._found.get(_route(destination), (UNKNOWN, now))
        return habits if now < until else UNKNOWN

    def learn(self, destination: Destination, habits: Habits, *, now: float) -> None:
        self._found[_route(destination)] = habits, now + SECONDS


def _route(destination: Destination) -> tuple[str, str]:
    return destination.base_url, destination.upstream_model
