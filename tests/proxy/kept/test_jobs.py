"""A job outlives its gateway, and is metered once, by whoever learns its usage first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2 as httpx
import pytest
from aiohttp import web
from django.db import OperationalError, connections
from django.db.models import F

from billing.audit.run import audit
from billing.models import Hold, Transfer, Wallet
from chuizi.asgi import gateway as application
from proxy.kept import handing, jobs, looking, rows
from proxy.models import Attempt, Generation, Job, Kept, Lease, Upstream
from proxy.settlement.settle import settle_all, sweep
from tests.conftest import NOW
from tests.proxy.conftest import only_generation, wait_for
from tests.proxy.kept.toys import ToyKeeper
from tests.proxy.protocols.seam.test_seam import json

USED = {"used": {"in": 100, "out": 8}}
COST = Decimal("0.00138600")
"""100 tokens in and 8 out, with the margin."""
WORKING = {"no": "n1", "state": "working"}
DONE = {**WORKING, "state": "done", "words": "hi", **USED}
DAY = 24 * 3600


def begin(served: Any, **said: Any) -> httpx.Response:
    asked = {"model": "toy/words", "say": "x", "background": DAY, **said}
    answer: httpx.Response = served.client.post("/toy/kept", json=asked)
    return answer


@pytest.fixture
def job(served, one) -> Generation:
    """One that its upstream works on."""
    one.answers["/toy"] = json(**WORKING)
    one.answers["/kept/n1"] = json(**WORKING)
    answer = begin(served)
    assert (answer.status_code, answer.json()) == (200, WORKING)
    return only_generation()


def look(times: int = 1) -> None:
    """As the task does, when the job is due."""
    for _ in range(times):
        Job.objects.update(next_look_at=F("created_at"))
        looking.look_at_all(lambda path, protocol: ToyKeeper() if (path, protocol) == ("/toy/kept", "openai") else None)


def audited() -> list[str]:
    found: list[str] = []
    audit(tell=found.append)
    return found


def is_charged(cost: Decimal = COST) -> bool:
    """Once, and all books agree."""
    settle_all(now=NOW)
    generation, hold, wallet = only_generation(), Hold.objects.get(), Wallet.objects.get()
    assert (generation.state, generation.cost, hold.kind, hold.state) == ("settled", cost, "job", "captured")
    assert (wallet.held, wallet.bonus) == (0, 10 - cost)
    assert Transfer.objects.filter(key=f"{generation.pk}:bonus").count() == 1
    assert audited() == []
    return Job.objects.filter(ended_at=None).count() == 0


def test_a_job_is_committed_before_its_id_is_told_and_asked_for_until_it_is_done(served, job, one):
    row, hold = Job.objects.get(), Hold.objects.get()
    assert (row.generation_id, row.upstream_request_id, row.ended_at, hold.kind) == (job.pk, "n1", None, "job")
    assert row.ends_by - row.created_at == pytest.approx(timedelta(days=1), abs=timedelta(seconds=1))
    assert job.state == "held"
    assert Kept.objects.get().tokens * Decimal("0.0000105") >= job.bound - 10 * Decimal("0.000042")
    look()
    assert only_generation().state == "held"
    assert audited() == []
    one.answers["/kept/n1"] = json(**DONE)
    look()
    assert is_charged()
    assert Kept.objects.get(digest=bytes.fromhex(rows.digest("n1"))).tokens == 108
    row.refresh_from_db()
    assert row.looks == 2


def test_each_look_comes_later_than_the_one_before(job):
    waits = []
    for _ in range(12):
        Job.objects.update(next_look_at=F("created_at"))
        [claimed] = jobs.claim(most=5)
        waits.append((Job.objects.get().next_look_at - claimed.now).total_seconds())
        assert jobs.claim(most=5) == []
    assert waits[0] == pytest.approx(2, abs=0.5)
    assert waits == [pytest.approx(wait, abs=0.5) for wait in sorted(waits)]
    assert waits[-1] == pytest.approx(60, abs=0.5)


def test_no_sweeper_takes_a_job(job):
    Generation.objects.update(created_at=F("created_at") - timedelta(hours=5))
    Lease.objects.all().delete()
    assert sweep(now=NOW) == 0
    assert only_generation().state == "held"
    Job.objects.all().delete()
    assert any(job.pk in line for line in audited())  # held for good: nobody asks for it
    assert sweep(now=NOW) == 1


def test_whoever_asks_first_meters_it_and_nobody_twice(served, job, one):
    one.answers["/kept/n1"] = json(**DONE)
    one.answers["/kept/n1/cancel"] = json(**DONE)

    def task() -> None:
        look()
        connections.close_all()

    acts: list[Callable[[], object]] = [
        *(lambda: served.client.get("/toy/kept/n1").json(),) * 3,
        *(lambda: served.client.post("/toy/kept/n1/cancel").json(),) * 2,
        task,
        task,
    ]
    with ThreadPoolExecutor(len(acts)) as pool:
        told = [future.result() for future in [pool.submit(act) for act in acts]]
    assert told[:5] == [DONE] * 5
    assert is_charged()
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("path", ["", "/cancel"])
def test_no_caller_sees_the_end_of_a_job_that_is_not_metered(served, job, one, monkeypatch, path):
    one.answers[f"/kept/n1{path}"] = json(**DONE)

    def away(*_arguments: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(jobs, "meter", away)
    method = "POST" if path else "GET"
    assert served.client.request(method, f"/toy/kept/n1{path}").status_code == 503
    monkeypatch.undo()
    assert only_generation().state == "held"


@pytest.mark.parametrize(
    ("answer", "state", "cost", "reason", "is_flagged"),
    [
        ({"state": "failed"}, "released", Decimal(0), "upstream_error", False),
        ({"state": "failed", **USED}, "settled", COST, "completed", False),
        ({"state": "stopped", **USED}, "settled", COST, "client_disconnected", False),
        ({"state": "stopped"}, "settled", None, "client_disconnected", False),
        (None, "released", Decimal(0), "upstream_eof", True),
    ],
)
def test_what_ends_otherwise_is_charged_for_what_is_known(served, job, one, answer, state, cost, reason, is_flagged):
    """None: its upstream has none such any more. What was stopped and tells nothing costs its prompt."""
    one.answers["/kept/n1"] = web.Response(status=404) if answer is None else json(no="n1", **answer)
    if cost is None or answer is None:
        look(2)
        assert only_generation().state == "held"  # it may be told a little later
    look()
    settle_all(now=NOW)
    generation = only_generation()
    assert (generation.state, generation.settlement_reason, generation.is_flagged) == (state, reason, is_flagged)
    if cost is None:
        assert generation.usage_source == "estimated"
        assert generation.cost == generation.input_tokens * Decimal("0.0000105") > 0
    else:
        assert generation.cost == cost
    assert Attempt.objects.count() == (answer is None)
    assert audited() == []
    assert not Job.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("used", [USED, {}])
def test_a_job_whose_time_is_up_is_cancelled(served, job, one, used):
    Job.objects.update(ends_by=F("created_at"))
    one.answers["/kept/n1/cancel"] = json(no="n1", state="stopped", **used)
    look()
    assert ("POST", "/kept/n1/cancel") in [asked[:2] for asked in one.asked]
    if used:
        assert only_generation().settlement_reason == "timeout"
        assert is_charged()
        return
    look(2)
    generation = only_generation()
    assert (generation.state, generation.is_flagged, generation.cost) == ("released", True, 0)
    assert Attempt.objects.get().outcome == "timed_out"
    assert audited() == []


def test_an_upstream_that_does_not_answer_keeps_a_job_open_until_its_time_is_up(job, one):
    one.answers["/kept/n1"] = web.Response(status=500)
    look(4)
    assert only_generation().state == "held"
    one.answers["/kept/n1/cancel"] = web.Response(status=500)
    Job.objects.update(ends_by=F("created_at"))
    look(3)
    assert (only_generation().state, only_generation().is_flagged) == ("released", True)


def test_what_is_worked_on_is_not_deleted_and_metered_before_it_is(served, job, one):
    refused = served.client.delete("/toy/kept/n1")
    assert (refused.status_code, refused.json()["toy_error"]) == (409, "state_conflict")
    assert [asked[0] for asked in one.asked if asked[1] == "/kept/n1"] == ["GET"]
    one.answers["/kept/n1"] = json(**DONE)
    assert served.client.delete("/toy/kept/n1").status_code == 200
    assert is_charged()
    assert not Kept.objects.exists()


def test_what_was_answered_at_once_is_no_job(served, one):
    one.answers["/toy"] = json(**DONE)
    assert begin(served).status_code == 200
    assert (only_generation().state, Job.objects.count(), Hold.objects.get().kind) == ("metered", 0, "request")


def test_a_job_that_cannot_be_written_is_cancelled_and_told_to_nobody(served, one, monkeypatch):
    one.answers["/toy"], one.answers["/kept/n1/cancel"] = json(**WORKING), json(no="n1", state="stopped")

    def gone(_job: Any) -> None:
        raise jobs.NotHeld

    monkeypatch.setattr(jobs, "begin", gone)
    answer = begin(served)
    assert answer.status_code == 503
    assert "n1" not in answer.text
    assert one.asked[-1][:2] == ("POST", "/kept/n1/cancel")
    assert wait_for("released").cost == 0


# --- Streams ----------------------------------------------------------------------------------------------------------

FIRST = b'data: {"no":"n1"}\n\n'
WORD = b'data: {"word":"a"}\n\n'
LAST = b'data: {"no":"n1","used":{"in":100,"out":8}}\n\n'


def test_a_stream_of_a_job_is_handed_over_before_its_first_event_and_metered_with_its_last(served, one):
    one.answers["/toy"] = [FIRST, WORD, LAST]
    answer = begin(served, stream=True)
    assert answer.text.startswith((FIRST + WORD).decode())
    assert only_generation().state == "metered"
    assert Job.objects.get().ended_at is None
    look()
    assert is_charged()
    assert [asked[1] for asked in one.asked] == ["/toy"]  # nobody asked for what was known


def test_a_stream_that_breaks_off_leaves_its_job_to_the_task(served, one):
    one.answers["/toy"] = [FIRST, WORD]
    answer = begin(served, stream=True)
    assert "toy_error" in answer.text
    assert only_generation().state == "held"
    one.answers["/kept/n1"] = json(**DONE)
    look()
    assert is_charged()


def test_a_caller_that_leaves_a_stream_leaves_its_job_to_the_task(served, one):
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(FIRST)
        await request.read()
        while request.transport is not None and not request.transport.is_closing():
            await response.write(WORD)
        return response

    one.handler = handler
    with served.client.stream("POST", "/toy/kept", json={"model": "toy/words", "background": DAY, "stream": True}) as a:
        next(a.iter_bytes())
    one.handler = None
    served._server.run_there(_idle())
    assert only_generation().state == "held"
    one.answers["/kept/n1"] = json(**DONE)
    look()
    assert is_charged()


async def _idle() -> None:
    import asyncio

    while application._in_flight:
        await asyncio.sleep(0.01)


def test_a_stream_about_a_job_is_metered_before_its_end(served, job, one):
    one.answers["/kept/n1"] = [WORD, LAST]
    answer = served.client.get("/toy/kept/n1?stream")
    assert answer.content == WORD + LAST
    assert is_charged()


@pytest.mark.parametrize("said", [DONE, WORKING, None])
def test_a_stored_stream_that_breaks_off_is_asked_for_by_its_id(served, one, monkeypatch, said):
    monkeypatch.setattr(handing, "ASK_AGAIN_AFTER", (0.0, 0.0))
    one.answers["/toy"] = [FIRST, WORD]
    one.answers["/kept/n1"] = web.Response(status=500) if said is None else json(**said)
    answer = begin(served, stream=True, background=None)
    assert "toy_error" in answer.text
    generation = only_generation()
    assert (generation.usage_source, generation.settlement_reason) == (
        "upstream" if said is DONE else "estimated",
        "upstream_eof",
    )
    if said is DONE:
        assert generation.cost == COST


def test_what_is_not_stored_is_not_asked_for(served, one):
    one.answers["/toy"] = [FIRST, WORD]
    begin(served, stream=True, background=None, store=False)
    assert only_generation().usage_source == "estimated"
    assert len(one.asked) == 1


def test_a_switched_off_upstream_is_still_asked_about_its_jobs(served, job, one):
    Upstream.objects.update(is_active=False)
    served.look_at_catalog()
    one.answers["/kept/n1"] = json(**DONE)
    look()
    assert is_charged()


def test_a_job_that_is_asked_for_again_with_its_key_is_the_same_one(served, one):
    """Also after it has failed without a charge: its caller has its id."""
    one.answers["/toy"] = json(**WORKING)
    one.answers["/kept/n1"] = json(**WORKING)
    served.client.headers["Idempotency-Key"] = "job-1"
    first, second = begin(served), begin(served)
    assert second.json() == first.json() == WORKING
    assert second.headers["Idempotency-Replayed"] == "true"
    one.answers["/kept/n1"] = json(**{**WORKING, "state": "failed"})
    look()
    wait_for("released")
    assert begin(served).headers["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == Generation.objects.count() == 1
