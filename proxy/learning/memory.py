"""What a gateway process knows of its customers' prompts: read and written now and then, off any request."""

import asyncio
import logging
from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from time import monotonic
from typing import Generic, TypeVar

from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread
from proxy.batches.timeouts import timeout
from proxy.learning import rows
from proxy.learning.guess import Lesson, Ratio, Warm
from proxy.learning.rows import Place, Session

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
GENERAL_SECONDS = 60.0
FRESH_SECONDS = 10.0
"""What was read is read again after so long, where it is asked for: another process may have learned more."""
LOOK_SECONDS = 1.0
MOST_KNOWN = 20_000
MOST_LESSONS = 10_000
"""Kept while the database is away; what comes beyond is not learned."""
MOST_AT_ONCE = 500
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Known(Generic[Key, Value]):
    """The newest so many of what was read, each with when."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[Value | None, float]] = {}

    def find(self, key: Key, *, now: float) -> tuple[Value | None, bool]:
        """What is known, and whether that was read lately."""
        value, at = self._held.get(key, (None, -FRESH_SECONDS))
        return value, now - at < FRESH_SECONDS

    def put(self, key: Key, value: Value | None, *, now: float) -> None:
        self._held.pop(key, None)
        self._held[key] = (value, now)
        if len(self._held) > MOST_KNOWN:
            del self._held[next(iter(self._held))]


class Memory:
    """One process's. `known` and `learn` take no time; `flush` writes what was learned and reads what was asked for."""

    def __init__(self) -> None:
        self._ratios: Known[Place, Ratio] = Known()
        self._warm: Known[Session, tuple[Warm, float]] = Known()
        self._general: dict[int, Ratio] = {}
        self._general_at = -GENERAL_SECONDS
        self._lessons: deque[Lesson] = deque()
        self._places: set[Place] = set()
        self._sessions: set[Session] = set()
        self._flushing = asyncio.Lock()

    def known(self, *, customer_id: int, model_id: int, session: int) -> tuple[Ratio | None, Warm | None]:
        """What this process knows of a customer's prompts to a model, and of a session's last one."""
        now = monotonic()
        place, named = (customer_id, model_id), (customer_id, model_id, session)
        ratio, is_fresh = self._ratios.find(place, now=now)
        if not is_fresh:
            self._places.add(place)
        known, is_fresh = self._warm.find(named, now=now)
        if not is_fresh:
            self._sessions.add(named)
        warm = None
        if known is not None:
            last, at = known
            warm = Warm(last.size, last.tokens, last.readable, last.age + now - at)
        return ratio or self._general.get(model_id), warm

    def learn(self, lesson: Lesson) -> None:
        if len(self._lessons) < MOST_LESSONS:
            self._lessons.append(lesson)
        now = monotonic()
        warm = Warm(lesson.size, lesson.tokens, lesson.readable, now - lesson.started)
        self._warm.put((lesson.customer_id, lesson.model_id, lesson.session), (warm, now), now=now)

    async def flush(self) -> None:
        """Raises what the database raises while it is away; then it is tried again."""
        async with self._flushing:
            while batch := list(islice(self._lessons, MOST_AT_ONCE)):
                await in_thread(rows.write)(batch)
                for one in batch:
                    self._lessons.popleft()
                    self._places.add((one.customer_id, one.model_id))
            await self._read()
            if monotonic() - self._general_at > GENERAL_SECONDS:
                self._general = await in_thread(rows.general)()
                self._general_at = monotonic()

    async def look(self, *, customer_id: int, model_id: int, session: int) -> None:
        """Learn what the other processes know of these, before somebody is refused; for a moment at most."""
        self._places.add((customer_id, model_id))
        self._sessions.add((customer_id, model_id, session))
        with suppress(TimeoutError), timeout(LOOK_SECONDS):
            async with self._flushing:
                await self._read()

    async def keep_up(self) -> None:
        """Flush for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except AWAY as error:
                log.warning("what was learned waits for the database: %s", type(error).__name__)
            except Exception:
                log.exception("what was learned cannot be written")
                self._lessons.clear()

    async def close(self) -> None:
        """Write what is left, once."""
        with suppress(*AWAY):
            await self.flush()

    async def _read(self) -> None:
        places, sessions = self._places, self._sessions
        self._places, self._sessions = set(), set()
        if not (places or sessions):
            return
        asked = monotonic()
        ratios, warm = await in_thread(rows.find)(places, sessions)
        for place in places:
            self._ratios.put(place, ratios.get(place), now=asked)
        for session in sessions:
            found = warm.get(session)
            own, _ = self._warm.find(session, now=asked)
            if own is not None and (found is None or own[1] - own[0].age > asked - found.age):
                continue  # what was learned here meanwhile is newer
            self._warm.put(session, None if found is None else (found, asked), now=asked)


def session_number(name: bytes, *, key_id: int) -> int:
    """A session by what names it, else by its key: as PostgreSQL keeps a bigint."""
    digest = blake2b(name or b"key %d" % key_id, digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
