"""Requests that are to be done once, at two gateways that share nothing but the database."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from billing.models import Transfer, Wallet
from proxy.models import OnceRow
from proxy.once import rows
from proxy.settlement import settle
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import BODY
from tests.proxy.once.conftest import FIRST, KEY, REPLAYED, RETRY, Gate, ask
from tests.spoken import CHAT


def words(response: Any) -> str:
    return "".join(map(CHAT.words_of, CHAT.events_in(response.text)))


def charges() -> int:
    settle.settle_all(now=NOW)
    return Transfer.objects.filter(kind="usage_bonus").count()


def test_of_twins_at_two_gateways_one_holds_and_both_are_answered(gateway, other, upstream):
    async def ask_at_once(number: int) -> list[bytes]:
        async def one(session: aiohttp.ClientSession, url: str) -> bytes:
            headers = {"Idempotency-Key": f"k{number}", "Authorization": f"Bearer {gateway.key}"}
            async with session.post(url, json=BODY, headers=headers) as response:
                assert response.status == 200, await response.read()
                return await response.read()

        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(
                *(one(session, one_of.url + gateway.spoken.path) for one_of in (gateway, other) for _ in range(3))
            )

    for number in range(8):
        answers = asyncio.run(ask_at_once(number))
        assert len(set(answers)) == 1
    assert len(upstream.calls) == 8
    assert charges() == 8
    assert Wallet.objects.get().held == 0


@pytest.mark.parametrize(("first", "repeat"), [(KEY, KEY), (FIRST, RETRY)], ids=["named", "unnamed"])
def test_a_twin_at_another_gateway_waits_for_the_stream_and_gets_the_whole(
    gateway, other, upstream, monkeypatch, first, repeat
):
    gate, looked, find = Gate(upstream, CHAT), threading.Event(), rows.find
    monkeypatch.setattr(rows, "find", lambda places: looked.set() or find(places))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(ask, gateway, stream=True, headers=first)
        wait_until(lambda: OnceRow.objects.exists() and upstream.calls)
        twin = pool.submit(ask, other, stream=True, headers=repeat)
        assert looked.wait(20)
        gate.open()
        answers = [one.result(30), twin.result(30)]
    assert {words(answer) for answer in answers} == {"one two three "}
    assert answers[1].headers[REPLAYED] == "true"
    assert len(upstream.calls) == 1
    later = ask(other, stream=True, headers=repeat)  # it was there all the time, or is here by now
    assert later.content == answers[0].content
    assert charges() == 1
