"""METER takes longer than a caller waits, or is refused: who got no answer is charged nothing, whatever comes later."""

import asyncio
import threading
from decimal import Decimal

import orjson
import pytest
from aiohttp import web
from django.core.management import call_command
from django.db import connection, transaction

from billing.audit.run import audit
from billing.books.reversals import reverse
from billing.models import Hold, Transfer, Wallet
from proxy.models import Generation
from proxy.settlement import metered, metering, settle
from proxy.settlement.reversals import bear
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import ask_many
from tests.proxy.conftest import wait_for
from tests.proxy.settlement.test_slow_database import row_locked
from tests.upstream import stream as play

COST = [name for name, _ in metered.COLUMNS].index("upstream_cost")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(metering, "ANSWER_SECONDS", 0.6)


@pytest.fixture
def unanswered(gateway, upstream):
    """A function: ask, keep the request's row locked while METER waits for it, and return what the caller got."""

    def ask(*, stream: bool = False, while_locked=lambda: None):
        gate, got = threading.Event(), []

        async def slow(request):
            await asyncio.to_thread(gate.wait, 5)
            return await play(request, upstream.events) if stream else web.json_response(upstream.json)

        def call() -> None:
            if not stream:
                got.append(gateway.chat())
                return
            text = b""
            with gateway.stream() as response:
                try:
                    for piece in response.iter_raw():
                        text += piece
                except Exception as error:
                    got.append(error)
            got.append(text)

        upstream.handler = slow
        caller = threading.Thread(target=call)
        caller.start()
        wait_for("held")
        with row_locked():
            gate.set()
            caller.join()
            while_locked()
        return got[-1]

    return ask


@pytest.fixture
def dies(monkeypatch):
    """The process never comes to look at the row again."""

    async def never(self, generation_id, refused):
        return None

    monkeypatch.setattr(metering.Metering, "_see_to", never)


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "meter_unwritten" in record.getMessage()]


def replay(tmp_path, *found: str) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("".join(f"12:00 ERROR {line}\nanother line\n" for line in found), encoding="utf-8")
    call_command("replay_meter", log)


def is_settled() -> bool:
    settle.settle_all(now=NOW)  # skips the row while the gateway looks at it
    return Generation.objects.get().state == "settled"


def is_borne(customer) -> None:
    """Usage stored, nothing charged, nothing held, flagged; and the books are whole."""
    wait_until(is_settled)
    found = Generation.objects.get()
    assert (found.state, found.net_cost, found.output_tokens, found.is_flagged) == ("settled", 0, 5, True)
    assert found.upstream_cost
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held) == (10, 0)
    assert audit().drifts == []


def test_a_json_call_whose_usage_cannot_be_written_is_503_with_its_id_and_costs_nothing(unanswered, customer, caplog):
    answer = unanswered()
    generation = Generation.objects.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unavailable")
    assert generation.pk in answer.json()["error"]["message"]
    assert answer.headers["x-generation-id"] == generation.pk
    wait_for("metered")
    is_borne(customer)
    [line] = lines(caplog)
    assert (orjson.loads(line.partition(" ")[2])["cost"], orjson.loads(line.partition(" ")[2])["borne"]) == ("0", True)


def test_a_stream_whose_usage_cannot_be_written_is_cut_and_costs_nothing(unanswered, customer):
    assert b"[DONE]" not in unanswered(stream=True)
    wait_for("metered")
    is_borne(customer)


@pytest.mark.parametrize("stream", [False, True])
def test_its_replay_charges_nothing_either(dies, unanswered, customer, caplog, tmp_path, stream):
    unanswered(stream=stream)
    wait_for("metered")
    # as if the process had died before it wrote anything
    Generation.objects.update(state="held", metered_at=None, cost=None, output_tokens=0, is_flagged=False)
    for _ in range(2):
        replay(tmp_path, *lines(caplog))
    is_borne(customer)


@pytest.mark.parametrize("settled", [False, True], ids=["metered", "settled"])
def test_a_charge_that_was_committed_after_all_is_taken_back_by_the_replay(
    dies, unanswered, customer, caplog, tmp_path, settled
):
    """The process died between the late commit and its look at the row."""
    unanswered()
    wait_for("metered")
    Generation.objects.update(cost=Decimal("0.00042"), is_flagged=False)
    if settled:
        settle.settle_all(now=NOW)
        assert Transfer.objects.filter(kind="usage_bonus").count() == 1
    for _ in range(2):
        replay(tmp_path, *lines(caplog))
    is_borne(customer)


@pytest.mark.parametrize("is_settled_first", [False, True])
def test_a_commit_that_arrives_after_the_waiting_is_borne_in_whatever_order(
    gateway, upstream, customer, monkeypatch, is_settled_first
):
    """COMMIT itself hangs, which no timeout of a statement ends: the charge is there before anybody knows."""
    original, committed = metering.Metering._update, threading.Event()

    async def hangs(self, pipeline, waiting):
        await original(self, pipeline, waiting)
        if is_settled_first:
            await asyncio.to_thread(settle_apart)
        committed.set()
        await asyncio.sleep(metering.ANSWER_SECONDS + 0.2)

    monkeypatch.setattr(metering.Metering, "_update", hangs)
    assert gateway.chat().status_code == 503
    assert committed.is_set()
    assert Generation.objects.get().cost > 0, "charged, as nobody knew better"
    wait_until(lambda: Generation.objects.get().is_flagged)
    is_borne(customer)


def settle_apart() -> None:
    settle.settle_all(now=NOW)
    connection.close()


def test_an_answer_of_the_database_that_never_comes_is_not_waited_for(gateway, upstream, customer, monkeypatch):
    """The record was written, the word of it was lost, and the connection stays open."""
    monkeypatch.setattr(metering, "ANSWER_SECONDS", 4.5)
    monkeypatch.setattr(metering, "GRACE_SECONDS", 0.0)
    original, calls = metering.Metering._update, []

    async def mute(self, pipeline, waiting):
        calls.append(1)
        if len(calls) == 1:
            pipeline._loop.remove_reader(pipeline._socket)
        await original(self, pipeline, waiting)

    monkeypatch.setattr(metering.Metering, "_update", mute)
    assert gateway.chat().status_code == 200, "a repeat found it written"
    assert len(calls) == 2
    settle.settle_all(now=NOW)
    found = Generation.objects.get()
    assert (found.state, found.cost) == ("settled", Decimal("0.00042"))
    assert Wallet.objects.get(customer=customer).bonus == 10 - found.cost


def test_no_statement_that_charges_outlives_the_waiting(unanswered, customer):
    """As a killed process leaves it behind: PostgreSQL itself has ended it."""

    def look() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE proxy_generation%'"
                " AND state = 'active' AND query_start < clock_timestamp() - interval '0.6 s'"
            )
            assert cursor.fetchone() == (0,)

    unanswered(while_locked=look)
    wait_for("metered")
    is_borne(customer)


def test_a_caller_who_left_is_charged_however_long_it_takes(gateway, upstream, customer):
    """Nobody is refused an answer: the record waits in memory, with its charge."""
    upstream.events = [*upstream.events[:2], 0.3, *upstream.events[2:]]
    with gateway.stream() as response:
        next(response.iter_raw())
    with row_locked() as release:
        threading.Timer(1.5, release.set).start()
        release.wait(5)
    wait_for("metered")
    settle.settle_all(now=NOW)
    assert Generation.objects.get().cost > 0


def test_a_record_that_the_database_refuses_fails_alone_and_costs_nothing(gateway, upstream, monkeypatch, caplog):
    original = metered.Metered.row
    poisoned: list[str] = []

    def row(self):
        values = original(self)
        if not poisoned or self.generation_id in poisoned:
            poisoned.append(self.generation_id)
            values[COST] = "not a number"
        return values

    monkeypatch.setattr(metered.Metered, "row", row)
    statuses = asyncio.run(ask_many([gateway.url], gateway.key, 40))
    assert statuses == {200: 39, 503: 1}
    wait_until(lambda: not Generation.objects.filter(state="held").exists())
    refused = Generation.objects.get(pk=poisoned[0])
    assert (refused.state, refused.cost, refused.is_flagged) == ("released", 0, True)
    assert Hold.objects.get(pk=refused.pk).state == "released"
    [line] = lines(caplog)
    assert poisoned[0] in line
    assert orjson.loads(line.partition(" ")[2])["cost"] == "0"


def test_a_refused_record_of_a_stream_cuts_it_and_costs_nothing(gateway, upstream, monkeypatch, customer):
    original = metered.Metered.row
    monkeypatch.setattr(metered.Metered, "row", lambda self: [*original(self)[:COST], "x", *original(self)[COST + 1 :]])
    text = b""
    with gateway.stream() as response:
        try:
            for piece in response.iter_raw():
                text += piece
        except Exception:
            pass
    assert b"[DONE]" not in text
    wait_until(lambda: Generation.objects.get().state == "released")
    assert Wallet.objects.get(customer=customer).bonus == 10


def test_to_bear_and_to_give_back_at_once_move_the_charge_once(make_generation, customer):
    generation = make_generation(cost="0.25")
    settle.settle(now=NOW)
    bear(generation.pk, now=NOW)
    assert reverse(generation_id=generation.pk, now=NOW) == Decimal("0.25")
    bear(generation.pk, now=NOW)
    assert Wallet.objects.get(customer=customer).bonus == 10
    with transaction.atomic():
        bear("gen-unknown", now=NOW)


@pytest.mark.parametrize("said", ['{"input_audio": 7}', None, ...], ids=["rare counts", "none", "a log of before"])
def test_rare_counts_are_replayed_from_the_log(make_generation, tmp_path, said):
    generation = make_generation(cost=None)
    row = dict.fromkeys([name for name, _ in metered.COLUMNS], 0)
    row |= {"id": generation.pk, "upstream_id": None, "is_flagged": False, "more": said, "stated_cost": None}
    row |= dict.fromkeys(["finish_reason", "upstream_request_id", "asked_tier", "service_tier"], "")
    row |= {"usage_source": "upstream", "settlement_reason": "completed", "cost": "0.5"}
    row["terms"] = '{"served": {"size": "s"}}'
    row["left_out"] = '{"removed": ["web_search"]}'
    row["ended_by"] = '{"of": "budget", "id": "1"}'
    if said is ...:
        del row["more"], row["terms"], row["left_out"], row["ended_by"]
    replay(tmp_path, f"meter_unwritten {orjson.dumps(row).decode()}")
    generation.refresh_from_db()
    assert (generation.state, generation.more) == ("metered", {"input_audio": 7} if isinstance(said, str) else None)
    assert generation.terms == (None if said is ... else {"served": {"size": "s"}})
    assert generation.removed == ([] if said is ... else ["web_search"])
    assert generation.ended_by == (None if said is ... else {"of": "budget", "id": "1"})
