"""A stream is held for window by window, and ends where the wallet has no more."""

import asyncio
import threading
import time
from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Hold, Wallet
from proxy.admission import rule
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import release
from tests.conftest import NOW
from tests.proxy.conftest import PRICE, catalog, only_generation, settle, wait_for
from tests.proxy.metrics_text import metric
from tests.proxy.relay.test_streams import events_of, halt
from tests.spoken import CHAT, GENERATE, MESSAGES, RESPONSES, each_protocol
from tests.upstream import stream as play

WINDOW, LIMIT = 300, 3_000
A_TOKEN = Decimal("0.000042")
WORD = "twelve bytes" * 25
"""A hundred tokens, as they are guessed while a stream is written."""
ENDED = {
    CHAT: '"finish_reason":"length"',
    MESSAGES: '"stop_reason":"max_tokens"',
    GENERATE: '"finishReason":"MAX_TOKENS"',
    RESPONSES: '"incomplete_details":{"reason":"max_output_tokens"}',
}


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(rule, "OUTPUT_WINDOW_TOKENS", WINDOW)


@pytest.fixture
def poor(gateway, make_customer):
    """The gateway's client becomes one with 0.05 USD of bonus; what is asked costs about 0.003."""
    customer = make_customer("0.05", name="Poor")
    gateway.key = issuing.issue(customer=customer, name="k", now=NOW).text
    gateway.client.headers["Authorization"] = f"Bearer {gateway.key}"
    return customer


@pytest.fixture(autouse=True)
def _long_answers(gateway, upstream):
    load_catalog(catalog(upstream, max_output_tokens=LIMIT))
    gateway.look_at_catalog()


def limited(spoken, most=LIMIT):
    """The member that asks for so much output."""
    if spoken is GENERATE:
        return {"generationConfig": {"maxOutputTokens": most}}
    return {"max_output_tokens" if spoken is RESPONSES else "max_tokens": most}


def with_output(spoken, tokens):
    """The end of a stream that used 20 tokens and so many."""
    told, total = str(tokens).encode(), str(20 + tokens).encode()
    ending = b"\0".join(spoken.ending)
    for count in (b'completion_tokens":', b'output_tokens":', b'candidatesTokenCount":'):
        ending = ending.replace(count + b"5", count + told)
    for count in (b'total_tokens":', b'totalTokenCount":'):
        ending = ending.replace(count + b"25", count + total)
    return ending.split(b"\0")


def written(spoken, words):
    """A stream's events, up to its ending."""
    return [*spoken.opening, *[spoken.word(WORD) for _ in range(words)]]


def endless(upstream, spoken):
    """The upstream writes on until it is hung up on, which is told by the event."""
    hung_up = threading.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await play(request, list(spoken.opening))
        try:
            for _ in range(2_000):
                await response.write(spoken.word(WORD))
                await asyncio.sleep(0.002)
        finally:
            hung_up.set()
        return response

    upstream.handler = handler
    return hung_up


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
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert audit().drifts == []


@each_protocol
def test_a_stream_that_the_wallet_cannot_pay_for_ends_as_at_its_limit(gateway, upstream, spoken, poor):
    hung_up = endless(upstream, spoken)
    grown, refused = (metric(gateway, "chuizi_hold_changes_total", outcome=outcome) for outcome in ("grown", "refused"))
    with gateway.stream(**limited(spoken)) as response:
        assert response.status_code == 200
        text = response.read().decode()
    assert hung_up.wait(5)
    assert ENDED.get(spoken, ENDED[CHAT]) in text.replace(": ", ":")
    assert "x_chuizi" in text
    assert text.encode().endswith(spoken.last)
    assert spoken.code_of(spoken.events_in(text)[-1]) == ""
    assert metric(gateway, "chuizi_hold_changes_total", outcome="grown") > grown
    assert metric(gateway, "chuizi_hold_changes_total", outcome="refused") > refused
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


def test_a_cap_of_the_key_ends_a_stream_as_an_empty_wallet_does(gateway, upstream, spoken, customer):
    issued = issuing.issue(customer=customer, name="capped", now=NOW, daily_limit=Decimal("0.04"))
    gateway.client.headers["Authorization"] = f"Bearer {issued.text}"
    endless(upstream, spoken)
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    generation = only_generation()
    assert generation.settlement_reason == "insufficient_balance"
    assert Decimal("0.02") < generation.cost <= Decimal("0.04")
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


FIRST = pytest.mark.parametrize("spoken", [MESSAGES, GENERATE], ids=str)
"""Those that tell with their first event what the input used."""
LONG_PROMPT = "many words " * 6_000
"""66,000 bytes: as tokens they cost 0.69, of 20 tokens a thousandth."""


def with_long_prompt(spoken):
    return {**spoken.says(LONG_PROMPT), **limited(spoken)}


@FIRST
def test_what_is_held_for_the_input_beyond_its_cost_is_given_back_at_once(gateway, upstream, spoken, customer):
    go_on = halt(gateway, upstream, before=b"three ")
    with gateway.stream(**with_long_prompt(spoken)) as response:
        wait_until(lambda: Generation.objects.filter(held__lt=Decimal("0.02")).exists())
        held = only_generation()
        assert (held.held, held.bound) == (held.bound, Hold.objects.get().amount)
        assert Wallet.objects.get(customer=customer).held == held.held
        assert only_generation().key.meter.day_spent == held.held
        go_on.set()
        response.read()
    assert only_generation().cost == Decimal("0.00042000")
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert only_generation().key.meter.day_spent == Decimal("0.00042000")
    assert audit().drifts == []


@pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
    ],
    ids=["search", "fetch", "compaction"],
)
def test_what_may_bring_more_input_later_is_held_until_the_end(gateway, upstream, spoken, more):
    price = {**PRICE, "web_search": "10"}
    load_catalog(catalog(upstream, max_output_tokens=LIMIT, max_tool_calls=1, context_window=100_000, price=price))
    gateway.look_at_catalog()
    go_on = halt(gateway, upstream, before=b"content_block_stop")
    with gateway.stream(**with_long_prompt(spoken), **more) as response:
        heard = response.iter_lines()
        while "three" not in next(heard):
            pass
        time.sleep(0.3)  # what is given back is so at once
        assert only_generation().held > Decimal("0.6")
        go_on.set()
        list(heard)


@FIRST
def test_an_input_that_is_told_too_low_at_first_is_charged_as_it_is_told_last(gateway, upstream, spoken, customer):
    lying = [
        event.replace(b'input_tokens":20', b'input_tokens":1').replace(b'promptTokenCount":20', b'promptTokenCount":1')
        for event in [*spoken.opening, *spoken.words]
    ]
    told = b'output_tokens":5,"input_tokens":9000'
    ending = [event.replace(b'output_tokens":5', told) for event in spoken.ending]
    ending = [event.replace(b'promptTokenCount":20', b'promptTokenCount":9000') for event in ending]
    upstream.events = [*lying, 0.3, *[event.replace(b'TokenCount":25', b'TokenCount":9005') for event in ending]]
    with gateway.stream(**with_long_prompt(spoken)) as response:
        response.read()
    assert only_generation().cost == 9_000 * Decimal("0.0000105") + 5 * A_TOKEN
    settle()
    assert audit().drifts == []


@FIRST
def test_a_stream_that_ends_before_its_input_is_corrected_is_settled_all_the_same(gateway, upstream, spoken, customer):
    for _ in range(5):
        with gateway.stream(**with_long_prompt(spoken)) as response:
            response.read()
    assert {generation.cost for generation in Generation.objects.all()} == {Decimal("0.00042000")}
    settle()
    assert Wallet.objects.get(customer=customer).held == 0
    assert audit().drifts == []


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
