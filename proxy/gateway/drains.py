"""Answers that nobody waits for any more, taken to their end all the same: their upstreams bill them anyway."""

from proxy.batches.timeouts import timeout

MOST = 1_000


class Drains:
    """One process's. Beyond the most, the one with the least time left to tell its usage is cut, the oldest first."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._ends: dict[timeout, float] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, bound: timeout, *, ends_at: float) -> None:
        """`bound` is what the request lasts at most; its upstream is given up at `ends_at`, by the monotonic clock."""
        self._ends[bound] = ends_at
        if len(self._ends) > self._most:
            first = min(self._ends, key=self._ends.__getitem__)
            self.discard(first)
            first.end_in(0)

    def discard(self, bound: timeout) -> None:
        """It has ended."""
        self._ends.pop(bound, None)
