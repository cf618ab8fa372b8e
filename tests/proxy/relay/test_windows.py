"""A stream is held for window by window, and ends where the wallet has no more."""

import asyncio
import threading
from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Event, Hold, Wallet
from billing.outbox.kinds import Fact
from billing.warnings import setting
from billing.warnings.setting import Wanted
from proxy.admission import rule
from proxy.models import Generation
from proxy.records.held import story_of
from proxy.settlement.settle import release
from tests.conftest import NOW
from tests.proxy.conftest import only_generation, settle, wait_for
from tests.proxy.metrics_text import metric
from tests.proxy.relay.test_streams import events_of
from tests.proxy.relay.windowed import (
    A_TOKEN,
    ENDED,
    LIMIT,
    WINDOW,
    endless,
    limited,
    wait_until,
    with_output,
    written,
)
from tests.spoken import CHAT, MESSAGES, RESPONSES, each_protocol
from tests.upstream import stream as play

pytestmark = pytest.mark.usefixtures("small_windows", "long_answers")


@each_protocol
def test_a_hold_grows_with_its_stream_and_the_charge_is_what_was_used(gateway, upstream, spoken, customer):
    go_on = threading.Event()

    async def halting(request: web.Request) -> web.StreamResponse:
        response = await play(request, written(spoken, 20))
        await asyncio.to_thread(go_on.wait, 10)
        for event in with_output(spoken, 2_100):
            await response.write(event)
        return response

    upstream.handler = halting
    with gateway.stream(**limited(spoken)) as response:
        wait_until(lambda: Generation.objects.filter(held__gt=2_000 * A_TOKEN).exists())
        held = only_generation()
        assert (held.held, held.bound) == (held.bound, Hold.objects.get().amount)
        assert Wallet.objects.get(customer=customer).held == held.held < LIMIT * A_TOKEN
        go_on.set()
        assert spoken.last in response.read()
    generation = wait_for("metered")
    assert generation.cost == 20 * Decimal("0.0000105") + 2_100 * A_TOKEN
    assert (generation.settlement_reason, generation.is_flagged) == ("completed", False)
    told = story_of(generation)
    assert {change.why for change in told.changes} == {"output"}
    assert told.first == told.first_bound < (WINDOW + 100) * A_TOKEN
    assert told.first + sum(change.amount for change in told.changes) == generation.held == told.changes[-1].held
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert audit().drifts == []


@each_protocol
def test_a_stream_that_the_wallet_cannot_pay_for_ends_as_at_its_limit(gateway, upstream, spoken, poor):
    endless(upstream, spoken)
    dry = {"outcome": "refused", "reason": "balance"}
    grown = metric(gateway, "chuizi_hold_changes_total", outcome="grown", reason="output")
    refused = metric(gateway, "chuizi_hold_changes_total", **dry)
    with gateway.stream(**limited(spoken)) as response:
        assert response.status_code == 200
        text = response.read().decode()
    assert ENDED.get(spoken, ENDED[CHAT]) in text.replace(": ", ":")
    assert '"ended_early":{"code":"insufficient_balance","message":"The balance is used up' in text
    assert text.encode().endswith(spoken.last)
    assert spoken.code_of(spoken.events_in(text)[-1]) == ""
    assert metric(gateway, "chuizi_hold_changes_total", outcome="grown", reason="output") > grown
    assert metric(gateway, "chuizi_hold_changes_total", **dry) > refused
    generation = only_generation()
    assert (generation.settlement_reason, generation.usage_source) == ("insufficient_balance", "estimated")
    assert Decimal("0.025") < generation.cost <= generation.bound <= Decimal("0.05")
    settle()
    assert Wallet.objects.get(customer=poor).bonus == Decimal("0.05") - generation.cost
    assert audit().drifts == []


@pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
def test_messages_that_are_cut_close_the_block_that_is_open(gateway, upstream, poor, spoken):
    endless(upstream, spoken)
    with gateway.stream(**limited(spoken)) as response:
        kinds = [event["type"] for event in spoken.events_in(response.read().decode())]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_stop") == kinds.count("content_block_start") == 1


@pytest.mark.parametrize("spoken", [RESPONSES], ids=str)
def test_a_response_that_is_cut_tells_all_that_it_said(gateway, upstream, poor, spoken):
    endless(upstream, spoken)
    with gateway.stream(**limited(spoken)) as response:
        events = spoken.events_in(response.read().decode())
    said = "".join(map(spoken.words_of, events))
    done, last = events[-2:]
    assert (done["type"], done["item"]) == ("response.output_item.done", last["response"]["output"][0])
    assert (spoken.words_of(last["response"]), done["item"]["status"]) == (said, "incomplete")
    assert (last["response"]["id"], last["response"]["model"]) == ("resp_theirs", "openai/m")


@each_protocol
def test_who_wants_an_answer_untouched_is_told_that_it_was_cut_too(gateway, upstream, spoken, poor):
    endless(upstream, spoken)
    with gateway.stream(**limited(spoken), headers={"X-Chuizi-Body": "plain"}) as response:
        text = response.read().decode()
    assert ENDED.get(spoken, ENDED[CHAT]) in text.replace(": ", ":")
    assert "chuizi" not in text


def test_a_caller_who_asked_for_usage_gets_it_on_a_chunk_of_its_own(gateway, upstream, poor, spoken):
    endless(upstream, spoken)
    with gateway.stream(**limited(spoken), stream_options={"include_usage": True}) as response:
        chunks = [orjson.loads(data) for data in events_of(response) if data != "[DONE]"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"] > 0) == ([], True)


@each_protocol
def test_what_a_model_thought_unseen_is_held_before_it_is_charged(gateway, upstream, spoken):
    upstream.events = [*spoken.opening, *spoken.words, *with_output(spoken, 2_500)]
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    generation = only_generation()
    assert generation.cost == 20 * Decimal("0.0000105") + 2_500 * A_TOKEN
    assert (generation.held, generation.is_flagged) == (generation.cost, False)
    assert [change.why for change in story_of(generation).changes] == ["usage"]
    settle()
    assert audit().drifts == []


def test_what_a_model_thought_unseen_is_charged_as_far_as_the_wallet_goes(gateway, upstream, spoken, poor):
    upstream.events = [*spoken.opening, *spoken.words, *with_output(spoken, 2_500)]
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    generation = only_generation()
    assert (generation.cost, generation.settlement_reason) == (Decimal("0.05"), "completed")
    settle()
    assert Wallet.objects.get(customer=poor).bonus == 0
    assert audit().drifts == []


def test_what_an_upstream_claims_beyond_the_limit_is_not_held(gateway, upstream, spoken):
    upstream.events = [*spoken.opening, *spoken.words, *with_output(spoken, 1_000_000)]
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    generation = only_generation()
    assert generation.cost == generation.bound < Decimal("0.14")
    assert generation.is_flagged


def test_streams_together_take_no_more_than_there_is(gateway, upstream, spoken, poor):
    endless(upstream, spoken)
    texts = []

    def ask() -> None:
        with gateway.stream(**limited(spoken)) as response:
            texts.append(response.read())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(texts) == 3
    costs = [generation.cost for generation in Generation.objects.filter(customer=poor)]
    assert sum(costs) <= Decimal("0.05")
    assert len(costs) == 3
    assert min(costs) > Decimal("0.009")  # each has its first window
    settle()
    wallet = Wallet.objects.get(customer=poor)
    assert (wallet.bonus, wallet.held) == (Decimal("0.05") - sum(costs), 0)
    assert audit().drifts == []


@each_protocol
def test_a_cap_of_the_key_ends_a_stream_and_is_told_of(gateway, upstream, spoken, customer):
    setting.change(customer=customer, wanted=Wanted(caps=True), by=None, now=NOW)
    issued = issuing.issue(customer=customer, name="capped", now=NOW, daily_limit=Decimal("0.04"))
    gateway.client.headers["Authorization"] = f"Bearer {issued.text}"
    endless(upstream, spoken)
    refused = metric(gateway, "chuizi_hold_changes_total", outcome="refused", reason="cap")
    with gateway.stream(**limited(spoken)) as response:
        text = response.read().decode()
    assert metric(gateway, "chuizi_hold_changes_total", outcome="refused", reason="cap") > refused
    assert ENDED.get(spoken, ENDED[CHAT]) in text.replace(": ", ":")
    assert '"ended_early":{"code":"daily_limit_exceeded"' in text
    assert "This key may spend $0.04000000 a day" in text
    assert "op up" not in text
    generation = only_generation()
    assert generation.settlement_reason == "daily_limit_exceeded"
    by = generation.ended_by
    assert (by["of"], by["id"], by["period"], by["limit"]) == ("key", str(issued.key.pk), "day", "0.04000000")
    assert Decimal("0.02") < generation.cost <= Decimal("0.04")
    wait_until(Event.objects.filter(kind=Fact.BUDGET_REACHED).exists)
    [fact] = Event.objects.filter(kind=Fact.BUDGET_REACHED)
    assert (fact.shown["of"], fact.shown["refused"], fact.shown["percent"] < 100) == ("key", True, True)
    settle()
    assert issued.key.meter.day_spent == issued.key.meter.total_spent == generation.cost
    assert audit().drifts == []


def test_a_short_answer_holds_one_window_and_is_not_extended(gateway, upstream, spoken):
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    generation = only_generation()
    assert generation.held == generation.bound < Decimal("0.003") + (WINDOW + 50) * A_TOKEN


def test_one_answer_in_json_is_held_whole(gateway, upstream, spoken):
    gateway.chat(**limited(spoken))
    assert only_generation().held > LIMIT * A_TOKEN


def test_a_stream_that_was_released_meanwhile_holds_nothing_more(gateway, upstream, spoken, customer):
    """As after a sweeper took its gateway for dead."""
    go_on = threading.Event()

    async def halting(request: web.Request) -> web.StreamResponse:
        response = await play(request, written(spoken, 1))
        await asyncio.to_thread(go_on.wait, 10)
        for event in [*written(spoken, 20), *with_output(spoken, 2_100)]:
            await response.write(event)
        return response

    upstream.handler = halting
    with gateway.stream(**limited(spoken)) as response:
        released = release([wait_for("held").pk], reason="abandoned", now=NOW)
        go_on.set()
        response.read()
    assert released
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.held, wallet.bonus) == (0, 10)
    assert audit().drifts == []


def test_a_stream_goes_on_while_nobody_knows_what_is_held(gateway, upstream, spoken, customer, monkeypatch):
    """The house bears what is written then: the caller is not cut for a database that is slow."""
    from chuizi.asgi import gateway as running
    from proxy.errors import unavailable

    async def fails(asked: rule.Extension) -> Decimal:
        raise unavailable("Nothing more could be reserved.")

    monkeypatch.setattr(running._admission, "extend", fails)
    upstream.events = [*written(spoken, 20), *with_output(spoken, 2_100)]
    with gateway.stream(**limited(spoken)) as response:
        assert spoken.last in response.read()
    generation = only_generation()
    assert (generation.settlement_reason, generation.cost) == ("completed", generation.bound)
