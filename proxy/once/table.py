"""What a process knows of requests that are to be done once: those under way here, and the answers it still has."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

from django.conf import settings

from proxy.batches.batcher import Batcher
from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread
from proxy.batches.timeouts import within
from proxy.once import rows
from proxy.once.claims import UNNAMED_SECONDS, Claim
from proxy.once.recording import Memory, Recording
from proxy.once.rows import Answer, Found, Keeping
from proxy.watch import metrics

log = logging.getLogger(__name__)

NOTE_SECONDS = 0.2
"""An official client waits longer than that before it tries again."""
WANTED_SECONDS = 1.0
KEEP_SECONDS = 5.0
"""The end of an answer waits no longer than this for its row."""
SLOW_SECONDS = 20.0
"""An answer in one piece that took longer may have been sent to a connection that was cut silently meanwhile."""
MOST_NOTES = 20_000
"""While the database is away; the oldest are forgotten."""
MOST_FAILED = 10_000
MOST_KEPT_AT_ONCE = 20
MOST_NOTED_AT_ONCE = 1_000
CONFLICT = 409
MOST_FOUND_AT_ONCE = 200


class Once:
    """One gateway process's."""

    def __init__(self, *, lease_id: int) -> None:
        self._lease_id = lease_id
        self._memory = Memory(settings.ONCE_BUDGET_BYTES, self._evict)
        self._by_digest: dict[str, list[Recording]] = {}
        self._ended: OrderedDict[Recording, None] = OrderedDict()
        """Those that are only here for who asks again; the first goes first."""
        self._failed: OrderedDict[str, int] = OrderedDict()
        """By digest, how many tries came to nothing: so many may be made anew."""
        self._notes: list[tuple[Claim, str]] = []
        self._to_keep: list[Keeping] = []
        self._finds: Batcher[rows.Place, Found | None] = Batcher(self._find, most=MOST_FOUND_AT_ONCE)
        self._keeps: Batcher[Keeping, None] = Batcher(self._keep, most=MOST_KEPT_AT_ONCE)
        self._upkeep = asyncio.create_task(self._keep_up())

    async def close(self) -> None:
        """Nothing is under way any more: write what is to be written."""
        self._upkeep.cancel()
        await asyncio.gather(self._upkeep, return_exceptions=True)
        await self._write_soundly()
        await self._keeps.close()
        await self._finds.close()

    # Requests under way

    def find(self, claim: Claim) -> Recording | None:
        """Whose repeat a request is, if that is here; rather one whose caller has left."""
        found = self._by_digest.get(claim.digest)
        if not found:
            return None
        return next((one for one in found if one.has_left), found[-1])

    def may_try_anew(self, claim: Claim) -> bool:
        """Whether a retry belongs to a try that failed here and cost nothing, and not to an answer."""
        count = self._failed.pop(claim.digest, 0)
        if count > 1:
            self._failed[claim.digest] = count - 1
        return count > 0

    def begin(self, claim: Claim) -> Recording:
        recording = Recording(
            claim,
            most=settings.ONCE_MAX_BYTES,
            memory=self._memory,
            may_stay=claim.is_named and settings.ONCE_STORE,
            store=self._store,
        )
        self._by_digest.setdefault(claim.digest, []).append(recording)
        return recording

    def admitted(self, recording: Recording, generation_id: str) -> None:
        recording.generation_id = generation_id
        recording.wake()
        if not recording.claim.is_looked_up:  # admission has written the others
            if len(self._notes) >= MOST_NOTES:
                del self._notes[: MOST_NOTES // 2]
            self._notes.append((recording.claim, generation_id))

    def close_one(self, recording: Recording) -> None:
        """Its request is over, however it ended."""
        recording.close()
        claim, is_answered = recording.claim, recording.is_complete and recording.is_charged
        if claim.is_named or not is_answered:
            self._forget(recording)
        if not recording.is_charged:
            was_told = recording.status >= 400 and recording.status != CONFLICT
            if not claim.is_named and (recording.generation_id or was_told):
                self._count_failure(claim)
            return
        if claim.is_named:
            if not is_answered:
                self._to_keep.append(Keeping(claim, recording.generation_id, None))
            return
        is_slow = recording.is_one_piece and recording.ended_at - recording.began_at > SLOW_SECONDS
        if not is_answered or recording.has_left or recording.is_wanted or is_slow:
            self._to_keep.append(self._keeping(recording))
        if is_answered:
            self._leave(recording)

    def _count_failure(self, claim: Claim) -> None:
        self._failed[claim.digest] = self._failed.pop(claim.digest, 0) + 1
        if len(self._failed) > MOST_FAILED:
            self._failed.popitem(last=False)

    def _leave(self, recording: Recording) -> None:
        """Keep it for a while, unless answers are not to be kept."""
        if not (recording.is_kept and settings.ONCE_STORE):
            self._forget(recording)
            return
        self._ended[recording] = None
        if not (recording.is_one_piece or recording.has_left):
            self._ended.move_to_end(recording, last=False)  # a client that has a head does not try again

    def _forget(self, recording: Recording) -> None:
        digest = recording.claim.digest
        found = self._by_digest.get(digest, [])
        if recording in found:
            found.remove(recording)
            if not found:
                del self._by_digest[digest]
        if recording.is_over:
            recording.release()

    def _evict(self) -> bool:
        if not self._ended:
            return False
        recording, _ = self._ended.popitem(last=False)
        self._forget(recording)
        return True

    # Rows

    async def look(self, claim: Claim) -> Found | None:
        """What was begun for it, by any process. Raises what the database raises while it is away."""
        return await self._finds.put((claim.customer_id, claim.digest))

    async def _find(self, places: Sequence[rows.Place]) -> Sequence[Found | None]:
        return await in_thread(rows.find)(places)

    async def _keep(self, answers: Sequence[Keeping]) -> Sequence[None]:
        return await in_thread(rows.keep)(answers)

    async def _store(self, recording: Recording) -> None:
        """Before the last byte of an answer with a key leaves; an answer that cannot be kept leaves all the same."""
        try:
            await within(KEEP_SECONDS, self._keeps.put(self._keeping(recording)))
        except (*AWAY, TimeoutError) as error:
            log.warning("the answer of %s is not kept: %s", recording.generation_id, type(error).__name__)

    @staticmethod
    def _keeping(recording: Recording) -> Keeping:
        is_whole = recording.is_complete and recording.is_kept and settings.ONCE_STORE
        answer = Answer(recording.status, recording.headers, recording.body) if is_whole else None
        return Keeping(recording.claim, recording.generation_id, answer)

    async def _keep_up(self) -> None:
        looked = monotonic()
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            await self._write_soundly()
            if monotonic() - looked > WANTED_SECONDS:
                looked = monotonic()
                self._forget_the_old(looked)
                try:
                    await self._look_what_is_wanted()
                except Exception as error:
                    log.warning("what is wanted cannot be looked up: %s", type(error).__name__)

    async def _write_soundly(self) -> None:
        try:
            await self._write()
        except AWAY as error:
            log.warning("requests to be done once wait for the database: %s", type(error).__name__)
        except Exception:
            log.exception("requests to be done once could not be written")
            self._notes, self._to_keep = [], []

    async def _write(self) -> None:
        """Rows, then what they are to hold."""
        while self._notes:
            notes = self._notes[:MOST_NOTED_AT_ONCE]
            await in_thread(rows.note)(notes)
            del self._notes[: len(notes)]
        while self._to_keep:
            answers = self._to_keep[:MOST_KEPT_AT_ONCE]
            await in_thread(rows.keep)(answers)
            del self._to_keep[: len(answers)]

    async def _look_what_is_wanted(self) -> None:
        for digest, customer_id, generation_id in await in_thread(rows.wanted)(self._lease_id):
            found = [one for one in self._by_digest.get(digest, ()) if one.generation_id == generation_id]
            for recording in found:
                recording.is_wanted = True
                if recording.is_over:
                    self._to_keep.append(self._keeping(recording))
            if not found:
                nowhere = Claim(customer_id, digest, "", is_named=False, is_retry=False)
                self._to_keep.append(Keeping(nowhere, generation_id, None))

    def _forget_the_old(self, now: float) -> None:
        metrics.ONCE_BYTES.set(self._memory.taken)
        for recording in [one for one in self._ended if one.ended_at < now - UNNAMED_SECONDS]:
            del self._ended[recording]
            self._forget(recording)
