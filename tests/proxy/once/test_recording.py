"""What is kept of an answer for others stays within its cap, and never slows the answer down."""

import asyncio
from typing import Any

import pytest

from proxy.exchange import ClientGone
from proxy.once import recording
from proxy.once.claims import Claim, Mark, claim_of, mark_of
from proxy.once.recording import OWN_BYTES, Memory, Recording
from proxy.protocols.base import BadRequest
from proxy.uploads.form import Form, Part
from proxy.uploads.spool import Spool, Stored

CLAIM = Claim(1, "d", "a", is_named=True, is_retry=False)
SCOPE = {"method": "POST", "raw_path": b"/v1/x", "query_string": b""}


class Reader:
    """An exchange whose client reads when it is let."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.started = False
        self.may_read = asyncio.Event()
        self.has_gone = asyncio.Event()

    async def gone(self) -> None:
        await self.has_gone.wait()

    async def start(self, _status: int, _headers: Any) -> None:
        self.started = True

    async def write(self, data: bytes) -> None:
        await self.may_read.wait()
        self.said.append(data)

    async def end(self) -> None:
        self.said.append(b"end")


async def _nowhere(_recording: Recording) -> None:
    """Keep nothing."""


def recorded(memory: Memory, *, most: int = 1_000_000) -> Recording:
    return Recording(CLAIM, most=most, memory=memory, may_stay=True, store=_nowhere)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_reads_too_slowly_is_cut_and_who_keeps_up_is_not():
    async def run() -> None:
        memory = Memory(10_000_000, lambda: False)
        answer = recorded(memory)
        quick, slow = Reader(), Reader()
        quick.may_read.set()
        reads = [asyncio.create_task(answer.follow(one)) for one in (quick, slow)]  # type: ignore[arg-type]
        answer.begin(200, [])
        for _ in range(300):
            answer.add(b"x" * 10_000)  # it waits for nobody
            await turn()
        assert not answer.is_kept
        assert memory.taken <= recording.WINDOW + 10_000
        slow.may_read.set()
        await answer.end(b"")
        assert await reads[0] is True
        with pytest.raises(ClientGone):
            await reads[1]
        assert len(b"".join(quick.said)) == 3_000_003
        answer.release()
        assert memory.taken == 0

    asyncio.run(run())


def test_a_full_memory_keeps_nothing_and_stops_nothing():
    async def run() -> None:
        memory = Memory(OWN_BYTES + 10, lambda: False)
        first, second = recorded(memory), recorded(memory)
        assert not second.is_kept
        second.add(b"goes on")
        first.add(b"x" * 10)
        first.add(b"y")
        assert not first.is_kept
        assert memory.taken == 0

    asyncio.run(run())


def test_an_answer_that_nobody_reads_nor_keeps_ends():
    async def run() -> None:
        answer = recorded(Memory(10**6, lambda: False), most=OWN_BYTES + 10)
        assert answer.goes_on(is_billed=False)
        answer.add(b"x" * 10)
        with pytest.raises(ClientGone):
            answer.add(b"y")

    asyncio.run(run())


def claimed(body: bytes | Form, *, name: str = "k", key_id: int = 2, **scope: Any) -> Claim:
    said = {**SCOPE, **scope}
    return claim_of(Mark(name, is_retry=False), said, body, customer_id=1, key_id=key_id, is_plain=False)


def test_a_request_is_known_by_all_of_it():
    usual = claimed(b"{}")
    assert usual == claimed(b"{}")
    others = [
        claimed(b"{} "),
        claimed(b"{}", query_string=b"alt=sse"),
        claimed(b"{}", raw_path=b"/v1/y"),
        claimed(b"{}", method="PUT"),
    ]
    assert len({one.asked for one in (usual, *others)}) == 5
    assert {one.digest for one in others} == {usual.digest}
    assert claimed(b"{}", key_id=3).digest != usual.digest != claimed(b"{}", name="l").digest


def test_bodies_that_begin_alike_are_told_apart():
    long = b"x" * 1_000_000
    assert len({claimed(long + end).asked for end in (b"", b"a", b"b")}) == 3


def test_an_upload_is_known_by_its_parts_whatever_its_boundary():
    spool = Spool(None)
    spool.write(b"RIFFsound")

    def form(name: str = "a.wav", data: Any = Stored(spool, 0, 9), field: str = "m") -> Form:  # noqa: B008
        return Form((Part("model", field.encode()), Part("file", data, name, "audio/wav")))

    assert claimed(form()).asked == claimed(form(data=b"RIFFsound")).asked
    others = (form("b.wav"), form(data=b"RIFFother"), form(field="n"), Form((Part("model", b"m"),)))
    assert len({claimed(one).asked for one in (form(), *others)}) == 5
    spool.close()


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({}, None),
        ({b"idempotency-key": b""}, None),
        ({b"x-stainless-retry-count": b"0"}, Mark("", is_retry=False)),
        ({b"x-stainless-retry-count": b"00"}, Mark("", is_retry=False)),
        ({b"x-stainless-retry-count": b"2"}, Mark("", is_retry=True)),
        ({b"x-stainless-retry-count": b"-1"}, Mark("", is_retry=False)),
        ({b"x-stainless-retry-count": b"many"}, Mark("", is_retry=False)),
        ({b"idempotency-key": b"k", b"x-stainless-retry-count": b"2"}, Mark("k", is_retry=False)),
    ],
)
def test_the_head_tells_what_may_be_a_repeat(headers, mark):
    assert mark_of(headers, is_repeated=False) == mark


def test_two_keys_are_none():
    with pytest.raises(BadRequest):
        mark_of({b"idempotency-key": b"k"}, is_repeated=True)
