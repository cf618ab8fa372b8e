"""Long answers share a budget of memory: in turn, none of them half, and given back whatever becomes of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chuizi.asgi import gateway as process
from proxy.relay.answers.budget import AnswerBudget
from proxy.relay.answers.long import LONG_ANSWER, Share
from tests.proxy.conftest import wait_for
from tests.upstream import answer


async def pieces(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


def test_a_share_is_for_the_whole_answer_and_the_next_one_waits_for_it():
    async def play() -> None:
        budget = AnswerBudget(10_000_000)
        first, second, short = Share(budget), Share(budget), Share(budget)
        assert len(await first.read(b"", pieces(900_000, 200_000), expected=6_000_000)) == 1_100_000
        assert budget.left == 4_000_000
        waiting = asyncio.create_task(second.read(b"", pieces(2_000_000), expected=5_000_000))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert len(await short.read(b"x", pieces(LONG_ANSWER - 1), expected=None)) == LONG_ANSWER
        first.give_back()
        assert len(await waiting) == 2_000_000
        second.give_back()
        second.give_back()
        assert budget.left == 10_000_000

    asyncio.run(play())


@pytest.mark.parametrize("is_ready", [False, True], ids=["waiting", "just given"])
def test_who_gives_up_waiting_leaves_the_budget_to_the_next(is_ready):
    async def play() -> None:
        budget = AnswerBudget(10)
        await budget.take(8)
        gone = asyncio.create_task(budget.take(9))
        small = asyncio.create_task(budget.take(2))
        await asyncio.sleep(0)
        if is_ready:
            budget.give_back(8)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await asyncio.wait_for(small, 1)
        if not is_ready:
            budget.give_back(8)
        budget.give_back(2)
        assert budget.left == 10

    asyncio.run(play())


@pytest.mark.parametrize("status", [200, 502])
def test_a_long_answer_gives_its_share_back(gateway, upstream, status):
    words = "x" * 3_000_000
    if status == 200:
        upstream.json = answer(choices=[{"index": 0, "message": {"content": words}, "finish_reason": "stop"}])
    else:
        upstream.json = {"error": {"message": words}}
    before = process._client.answers.left
    assert gateway.chat().status_code == status
    wait_for("metered" if status == 200 else "released")
    assert process._client.answers.left == before
