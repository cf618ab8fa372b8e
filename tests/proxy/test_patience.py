"""`limit` ends a wait as `asyncio.timeout` would, though one tick looks after all of them."""

import asyncio
from time import monotonic

import pytest

from proxy import patience
from proxy.patience import limit


async def test_a_wait_past_its_limit_is_a_timeout_and_the_task_goes_on():
    began = monotonic()
    with pytest.raises(TimeoutError), limit(0.05):
        await asyncio.sleep(5)
    assert 0.05 <= monotonic() - began < 1
    await asyncio.sleep(0)  # nothing of the cancellation is left
    assert asyncio.current_task().cancelling() == 0


async def test_a_wait_within_its_limit_is_left_alone():
    with limit(5):
        await asyncio.sleep(0.25)
    assert not patience._waits


async def test_each_of_many_waits_has_its_own_limit():
    async def wait(seconds: float) -> str:
        try:
            with limit(seconds):
                await asyncio.sleep(0.6)
        except TimeoutError:
            return "ended"
        return "done"

    limits = [0.1, 5.0, 0.2, 5.0]
    assert await asyncio.gather(*[wait(seconds) for seconds in limits]) == ["ended", "done", "ended", "done"]


async def test_a_cancellation_from_elsewhere_stays_one():
    async def wait() -> None:
        with limit(5):
            await asyncio.sleep(5)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not patience._waits


async def test_an_error_inside_travels():
    with pytest.raises(ZeroDivisionError), limit(5):
        raise ZeroDivisionError


def test_it_ticks_in_the_next_event_loop_too():
    async def wait() -> None:
        with limit(0.05):
            await asyncio.sleep(5)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(wait())
