"""`timeout` ends a wait as `asyncio.timeout` would, though one tick looks after all of them."""

import asyncio
import math
from time import monotonic

import pytest

from proxy.batches import timeouts
from proxy.batches.timeouts import timeout, within
from proxy.relay.hearing import Hearing


async def test_a_wait_past_its_limit_is_a_timeout_and_the_task_goes_on():
    began = monotonic()
    with pytest.raises(TimeoutError), timeout(0.05):
        await asyncio.sleep(5)
    assert 0.05 <= monotonic() - began < 5
    await asyncio.sleep(0)  # nothing of the cancellation is left
    assert asyncio.current_task().cancelling() == 0


async def test_a_wait_within_its_limit_is_left_alone():
    with timeout(5):
        await asyncio.sleep(0.25)
    assert not timeouts._waits


async def test_each_of_many_waits_has_its_own_limit():
    async def wait(seconds: float) -> str:
        try:
            with timeout(seconds):
                await asyncio.sleep(0.6)
        except TimeoutError:
            return "ended"
        return "done"

    limits = [0.1, 5.0, 0.2, 5.0]
    assert await asyncio.gather(*[wait(seconds) for seconds in limits]) == ["ended", "done", "ended", "done"]


async def test_a_cancellation_from_elsewhere_stays_one():
    async def wait() -> None:
        with timeout(5):
            await asyncio.sleep(5)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not timeouts._waits


async def test_an_error_inside_travels():
    with pytest.raises(ZeroDivisionError), timeout(5):
        raise ZeroDivisionError


def test_it_ticks_in_the_next_event_loop_too():
    async def wait() -> None:
        with timeout(0.05):
            await asyncio.sleep(5)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(wait())


async def test_what_need_not_wait_has_its_result_without_a_limit(monkeypatch):
    async def at_once() -> str:
        return "done"

    monkeypatch.setattr(timeouts, "timeout", None)
    assert await within(5, at_once()) == "done"


async def test_what_waits_has_its_result_and_its_limit():
    async def soon(seconds: float) -> str:
        for _ in range(3):
            await asyncio.sleep(seconds)
        return "done"

    assert await within(5, soon(0.01)) == "done"
    with pytest.raises(TimeoutError):
        await within(0.05, soon(5))
    assert asyncio.current_task().cancelling() == 0
    assert not timeouts._waits


async def test_errors_and_cancellations_reach_what_waits():
    told = []

    async def hears(error: type[BaseException]) -> None:
        try:
            await asyncio.sleep(5 if error is asyncio.CancelledError else 0.01)
            raise error
        finally:
            told.append(error)

    with pytest.raises(ZeroDivisionError):
        await within(5, hears(ZeroDivisionError))
    task = asyncio.create_task(within(5, hears(asyncio.CancelledError)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == [ZeroDivisionError, asyncio.CancelledError]


class Content:
    """An answer's chunks, each after a pause."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = list(pauses)

    async def readany(self) -> bytes:
        if not self._pauses:
            return b""
        await asyncio.sleep(self._pauses.pop(0))
        return b"word"


async def test_an_upstream_may_not_be_silent_but_its_reader_may_be_slow():
    with Hearing(Content(0.01, 0.01), silence=0.1, ends_at=math.inf) as chunks:
        async for _chunk in chunks:
            await asyncio.sleep(0.3)
    with pytest.raises(TimeoutError), Hearing(Content(0.01, 5), silence=0.1, ends_at=math.inf) as chunks:
        async for _chunk in chunks:
            pass


async def test_an_answer_ends_in_time_however_talkative_it_is():
    began = monotonic()
    with pytest.raises(TimeoutError), Hearing(Content(*[0.05] * 100), silence=5, ends_at=began + 0.3) as chunks:
        async for _chunk in chunks:
            pass
    assert monotonic() - began < 5
