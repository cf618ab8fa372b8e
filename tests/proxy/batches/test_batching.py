"""Group commit's machinery alone: batches, a poisoned item, waiters that leave, closing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from proxy.batches.batcher import Batcher, Bell, QueueFull


def writer(written: list[int]) -> Callable[[Sequence[int]], Awaitable[list[None]]]:
    """A flush that takes a moment and notes what it wrote."""

    async def flush(items: Sequence[int]) -> list[None]:
        await asyncio.sleep(0.01)
        written.extend(items)
        return [None] * len(items)

    return flush


def test_what_arrives_while_a_batch_is_written_goes_in_the_next_one_and_each_gets_its_own_answer():
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        await asyncio.sleep(0.01)
        return [item * 10 for item in items]

    async def run() -> list[int]:
        batcher = Batcher(flush, most=3)
        first = batcher.put(1)
        await asyncio.sleep(0.005)
        others = [batcher.put(number) for number in range(2, 7)]
        return await asyncio.gather(first, *others)

    assert asyncio.run(run()) == [10, 20, 30, 40, 50, 60]
    assert batches == [[1], [2, 3, 4], [5, 6]]


def test_a_poisoned_item_fails_alone():
    async def flush(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise ValueError("poison")
        return list(items)

    async def run() -> list[object]:
        batcher = Batcher(flush, most=10)
        return await asyncio.gather(*[batcher.put(number) for number in range(6)], return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found[3], ValueError)
    assert [value for value in found if value is not found[3]] == [0, 1, 2, 4, 5]


def test_a_waiter_that_left_has_its_item_written_and_stops_nobody():
    written: list[int] = []

    async def run() -> None:
        batcher = Batcher(writer(written), most=10)
        left, stays = batcher.put(1), batcher.put(2)
        await asyncio.sleep(0)
        left.cancel()
        await stays
        await batcher.put(3)

    asyncio.run(run())
    assert written == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 5])
def test_closing_writes_what_is_queued_first(count: int):
    written: list[int] = []

    async def run() -> None:
        batcher = Batcher(writer(written), most=2)
        for number in range(count):
            batcher.put(number)
        await asyncio.wait_for(batcher.close(), timeout=5)

    asyncio.run(run())
    assert written == list(range(count))


def test_a_full_queue_refuses():
    async def run() -> None:
        batcher = Batcher(never, most=1, capacity=2)
        batcher.put(1)
        batcher.put(2)
        with pytest.raises(QueueFull):
            batcher.put(3)

    asyncio.run(run())


async def never(items: Sequence[int]) -> list[None]:
    await asyncio.Event().wait()
    return [None] * len(items)


def test_a_bell_wakes_its_sleeper_however_often_it_rings_and_whoever_has_left():
    async def run() -> None:
        bell = Bell()
        bell.ring()  # nobody sleeps
        sleeper = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        bell.ring()
        bell.ring()
        await asyncio.wait_for(sleeper, timeout=1)
        gone = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        gone.cancel()
        bell.ring()  # to a cancelled sleeper
        again = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        bell.ring()
        await asyncio.wait_for(again, timeout=1)

    asyncio.run(run())
