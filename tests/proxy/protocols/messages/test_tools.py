"""Tools that run at the provider: served under a cap where the price has their unit, else taken out or refused."""

from decimal import Decimal

import pytest

from proxy.prices.loading import load_catalog
from proxy.protocols.base import BadRequest
from tests.proxy.conftest import PRICE, catalog, only_generation
from tests.proxy.protocols.messages.asking import CONTEXT, HELLO, LOOK, MESSAGES, SEARCH, entry, read, sent
from tests.spoken import MESSAGES as SPOKEN
from tests.spoken import event, message, text_events

FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
RAN = [*HELLO, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "w", "input": {}}]}]
SELLS = {"web_search": "10"}


def test_what_is_only_offered_is_taken_out_and_named():
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    call = MESSAGES.check(read(tools=[SEARCH, LOOK, FETCH], tool_choice=choice), entry())
    assert call.removed == ("web_search_20250305", "web_fetch_20250910")
    assert (sent(call)["tools"], sent(call)["tool_choice"]) == ([LOOK], choice)


def test_there_are_no_more_kinds_than_a_header_tells_of():
    tools = [{"type": f"web_search_{day}", "name": "web_search"} for day in range(20250000, 20250065)]
    assert len(MESSAGES.check(read(tools=tools[1:]), entry()).removed) == 64
    with pytest.raises(BadRequest, match="64 kinds"):
        MESSAGES.check(read(tools=tools), entry())
    for kind in ("tool_search_tool_\u4e2d", "tool_search_tool_" + "a" * 41):
        with pytest.raises(BadRequest, match="none that is known"):
            read(tools=[{"type": kind, "name": "s"}])


def test_where_nothing_is_left_there_are_neither_tools_nor_a_choice():
    call = MESSAGES.check(read(tools=[SEARCH], tool_choice={"type": "auto"}), entry())
    assert not {"tools", "tool_choice"} & sent(call).keys()
    assert sent(call)["messages"] == HELLO


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "web_search"}}, "tool_choice"),
        ({"messages": RAN}, "tools"),
    ],
)
def test_what_is_more_than_offered_is_refused(fields, param):
    with pytest.raises(BadRequest) as refused:
        MESSAGES.check(read(tools=[SEARCH], **fields), entry())
    assert refused.value.param == param


def test_a_search_is_served_under_the_lower_cap_and_held_for_what_it_finds():
    model = entry(max_tool_calls=3, **SELLS)
    call = MESSAGES.check(read(tools=[LOOK, SEARCH]), model)
    assert (call.units, call.removed) == (("web_search",), ())
    assert sent(call)["tools"] == [LOOK, {**SEARCH, "max_uses": 3}]
    few = MESSAGES.check(read(tools=[{**SEARCH, "max_uses": 2}]), model)
    assert sent(few)["tools"][0]["max_uses"] == 2
    most = MESSAGES.bounds(call, model).most
    assert most["web_search"] == 3
    assert most["input"] >= 4 * CONTEXT


@pytest.mark.parametrize("model", [{"max_tool_calls": 0, **SELLS}, {"max_tool_calls": 3}])
def test_a_search_needs_both_its_price_and_a_cap(model):
    assert MESSAGES.check(read(tools=[SEARCH]), entry(**model)).removed == ("web_search_20250305",)


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "newer_20270101", "name": "x"}],
        [{"type": "tool_search_tool_regex_20251119", "name": "s"}, {**LOOK, "defer_loading": True}],
        [{**SEARCH, "max_uses": 0}],
        [{**SEARCH, "max_uses": "9"}],
    ],
)
def test_tools_that_nobody_could_hold_are_refused(tools):
    with pytest.raises(BadRequest):
        MESSAGES.check(read(tools=tools), entry(max_tool_calls=3, **SELLS))


def test_two_searches_are_refused_as_each_would_have_its_cap():
    two = [SEARCH, {**SEARCH, "type": "web_search_20260209", "name": "other"}]
    with pytest.raises(BadRequest):
        MESSAGES.check(read(tools=two), entry(max_tool_calls=3, **SELLS))


def test_a_tool_that_comes_in_the_midst_of_the_messages_may_not_run_at_the_provider():
    def added(definition: object) -> list[object]:
        tool = {"type": "tool_definition", "definition": definition}
        return [*HELLO, {"role": "system", "content": [{"type": "tool_addition", "tool": tool}]}]

    assert sent(read(messages=added(LOOK)))["messages"] == added(LOOK)
    with pytest.raises(BadRequest, match="definition"):
        read(messages=added(SEARCH))


RUN = {"type": "code_execution_20250825", "name": "code_execution"}


def test_a_fetch_costs_what_it_brings_and_needs_a_cap_alone():
    model = entry(max_tool_calls=3, **SELLS)
    call = MESSAGES.check(read(tools=[FETCH, SEARCH, LOOK]), model)
    assert (call.units, call.fetches, call.removed) == (("web_search",), True, ())
    assert sent(call)["tools"] == [{**FETCH, "max_uses": 3}, {**SEARCH, "max_uses": 3}, LOOK]
    assert MESSAGES.bounds(call, model).most["input"] >= 7 * CONTEXT  # each kind has a cap of its own
    alone = MESSAGES.check(read(tools=[FETCH]), model)
    most = MESSAGES.bounds(alone, model).most
    assert (4 * CONTEXT <= most["input"] < 5 * CONTEXT, "web_search" in most) == (True, False)
    with pytest.raises(BadRequest):
        MESSAGES.check(read(tools=[FETCH, FETCH]), model)


def test_code_runs_where_a_session_has_a_price_and_takes_no_cap():
    model = entry(max_tool_calls=2, code_session="0.05")
    call = MESSAGES.check(read(tools=[RUN, SEARCH]), model)
    assert (call.units, call.removed, sent(call)["tools"]) == (("code_session",), ("web_search_20250305",), [RUN])
    assert MESSAGES.bounds(call, model).most["code_session"] == 2


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("told", ["counted", "container"])
def test_a_session_is_charged_once(gateway, upstream, stream, told):
    load_catalog(catalog(upstream, price={**PRICE, "code_session": "0.05"}, max_tool_calls=2, context_window=1000))
    gateway.look_at_catalog()
    container = {"id": "container_1", "expires_at": "2026-12-01T00:00:00Z"} if told == "container" else None
    used = {"input_tokens": 20, "output_tokens": 5}
    used |= {"server_tool_use": {"code_execution_requests": 2}} if told == "counted" else {}
    upstream.json = message(usage=used, container=container)
    delta = {"stop_reason": "end_turn", "container": container}
    upstream.events = [*text_events("one"), event("message_delta", delta=delta, usage=used), event("message_stop")]
    if stream:
        with gateway.stream(tools=[RUN]) as response:
            response.read()
    else:
        gateway.chat(tools=[RUN])
    found = only_generation()
    assert (found.more, found.is_flagged) == ({"code_session": 1}, False)
    assert found.cost == Decimal("0.00042") + Decimal("1.05") * Decimal("0.05")


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
def test_searches_are_charged_as_told(gateway, upstream):
    told = catalog(upstream, price={**PRICE, **SELLS}, max_tool_calls=2, context_window=1000)
    load_catalog(told)
    gateway.look_at_catalog()
    used = {"input_tokens": 20, "output_tokens": 5, "server_tool_use": {"web_search_requests": 2}}
    upstream.json = message(usage=used)
    answer = gateway.chat(tools=[SEARCH])
    assert answer.status_code == 200, answer.text
    found = only_generation()
    assert (found.more, found.is_flagged) == ({"web_search": 2}, False)
    assert found.cost == Decimal("0.00042") + Decimal("1.05") * 2 * 10 / 1000
    assert upstream.calls[0]["tools"][0]["max_uses"] == 2


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
def test_a_caller_is_told_of_what_was_taken_out(gateway, upstream):
    answer = gateway.chat(tools=[SEARCH, LOOK])
    assert answer.headers["x-chuizi-removed"] == "web_search_20250305"
    assert upstream.calls[0]["tools"] == [LOOK]
