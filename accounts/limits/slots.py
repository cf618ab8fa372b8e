"""Requests of the last minute, counted in slots of five seconds, the partial one in full: a limit is never exceeded."""

from collections.abc import Sequence
from datetime import datetime

SLOT_SECONDS = 5
SLOTS = 13
"""A minute and the partial slot."""


def slot_of(now: datetime) -> int:
    return int(now.timestamp()) // SLOT_SECONDS


class Rate:
    """Requests of the last minute in five-second slots."""

    __slots__ = ("changed", "slot", "slots")

    def __init__(self, slot: int = 0, slots: Sequence[int] = (0,) * SLOTS) -> None:
        self.slot = slot
        self.slots = list(slots)
        self.changed = False

    def at(self, slot: int) -> int:
        """Requests in the window that ends with `slot`."""
        self._advance(slot)
        return sum(self.slots)

    def count(self, slot: int) -> None:
        self._advance(slot)
        self.slots[slot % SLOTS] += 1
        self.changed = True

    def seconds_until_free(self, slot: int, *, limit: int) -> int:
        """Seconds, at most, until the window holds fewer than `limit` requests again."""
        left = self.at(slot)
        for age in range(SLOTS - 1, -1, -1):
            left -= self.slots[(slot - age) % SLOTS]
            if left < limit:
                return (SLOTS - age) * SLOT_SECONDS
        return SLOTS * SLOT_SECONDS

    def _advance(self, slot: int) -> None:
        if slot <= self.slot:
            return  # a clock a little behind another process's counts in that process's newer slot
        for step in range(self.slot + 1, min(slot, self.slot + SLOTS) + 1):
            self.slots[step % SLOTS] = 0
        if slot - self.slot > SLOTS:
            self.slots = [0] * SLOTS
        self.slot = slot
