"""Tools that run at the provider: served under a cap where the price has their unit, else taken out or refused."""

import threading
from decimal import Decimal

import pytest

from proxy.prices.loading import load_catalog
from proxy.protocols.base import BadRequest
from proxy.protocols.openai.responses.endpoint import Responses
from tests.proxy.conftest import PRICE, catalog, only_generation
from tests.proxy.protocols.responses.asking import CONTEXT, GRAMMAR, LOOK, RESPONSES, SEARCH, entry, read, sent
from tests.spoken import RESPONSES as SPOKEN
from tests.spoken_responses import response, response_usage

SELLS = {"web_search": "10", "code_session": "0.03", "file_search": "2.5"}
CODE = {"type": "code_interpreter", "container": {"type": "auto"}}
FILES = {"type": "file_search", "vector_store_ids": ["vs_1"]}
PROVIDERS = [
    *(SEARCH, {"type": "web_search_preview_2025_03_11"}, FILES, CODE, {"type": "image_generation"}),
    *({"type": "mcp", "server_label": "l", "authorization": "secret"}, {"type": "tool_search"}),
    *({"type": "shell", "environment": {"type": "container_auto"}}, {"type": "programmatic_tool_calling"}),
    *({"type": "x_search"}, {"type": "openrouter:web_search"}, {"type": "bing_grounding"}),
]
CALLERS = [
    *(LOOK, GRAMMAR, {"type": "local_shell"}, {"type": "shell"}, {"type": "shell", "environment": {"type": "local"}}),
    *({"type": "apply_patch"}, {"type": "computer_use_preview", "display_width": 1}, {"type": "computer"}),
    *({"type": "tool_search", "execution": "client"}, {"type": "newer_tool", "name": "n"}),
    {"type": "namespace", "name": "n", "tools": [LOOK]},
]


def given(*tools: object) -> list[object]:
    return [{"type": "additional_tools", "role": "developer", "tools": list(tools)}, {"role": "user", "content": "a"}]


def test_tools_that_run_with_the_caller_go_on():
    call = RESPONSES.check(read(tools=CALLERS, max_tool_calls=9), entry())
    assert (call.removed, sent(call)["tools"], sent(call)["max_tool_calls"]) == ((), CALLERS, 9)
    assert call.material.text_bytes > 5 * 4_096


@pytest.mark.parametrize("tool", PROVIDERS, ids=lambda tool: tool["type"])
def test_what_is_only_offered_is_taken_out_and_named(tool):
    call = RESPONSES.check(read(tools=[tool, LOOK], tool_choice="auto"), entry())
    assert call.removed == (tool["type"],)
    assert (sent(call)["tools"], sent(call)["tool_choice"]) == ([LOOK], "auto")


def test_within_namespaces_and_within_the_input_too():
    nested = {"type": "namespace", "name": "n", "tools": [SEARCH, GRAMMAR]}
    only = {"type": "namespace", "name": "o", "tools": [SEARCH]}
    kept = {"type": "namespace", "name": "n", "tools": [GRAMMAR]}
    call = RESPONSES.check(read(tools=[nested, only], input=given(nested, LOOK)), entry())
    assert call.removed == ("web_search",)
    assert (sent(call)["tools"], sent(call)["input"]) == ([kept], given(kept, LOOK))


def test_where_tools_are_left_in_the_input_alone_the_choice_is_too():
    call = RESPONSES.check(read(tools=[SEARCH], tool_choice="required", input=given(LOOK)), entry())
    assert ("tools" in sent(call), sent(call)["tool_choice"], sent(call)["input"]) == (False, "required", given(LOOK))


def test_where_nothing_is_left_there_are_neither_tools_nor_a_choice():
    call = RESPONSES.check(read(tools=[SEARCH], tool_choice="auto", input=given(SEARCH)), entry())
    assert not {"tools", "tool_choice"} & sent(call).keys()
    assert sent(call)["input"] == given()[1:]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        (
            {"tools": [SEARCH, LOOK], "tool_choice": {"type": "allowed_tools", "tools": [{"type": "web_search"}]}},
            "tool_choice",
        ),
        ({"input": [{"type": "web_search_call", "id": "ws", "status": "completed"}]}, "tools"),
    ],
)
def test_what_is_more_than_offered_is_refused(fields, param):
    with pytest.raises(BadRequest) as refused:
        RESPONSES.check(read(**{"tools": [SEARCH], **fields}), entry())
    assert refused.value.param == param


def test_a_function_may_be_called_as_a_tool_of_the_providers_is():
    named = {"type": "function", "name": "web_search"}
    call = RESPONSES.check(read(tools=[SEARCH, named], tool_choice=named), entry())
    assert (sent(call)["tools"], sent(call)["tool_choice"]) == ([named], named)
    dated = {"type": "web_search_preview_2025_03_11"}
    with pytest.raises(BadRequest, match="tool_choice"):
        RESPONSES.check(read(tools=[dated, named], tool_choice={"type": "web_search_preview"}), entry())


@pytest.mark.parametrize("kind", ["search\0", "search\r\nX-Evil: 1", "web search", "search" * 11, "搜索_search", ""])
def test_a_kind_is_a_word_as_headers_and_receipts_name_it(kind):
    with pytest.raises(BadRequest) as refused:
        read(tools=[LOOK, {"type": kind}])
    assert refused.value.param == "tools[1].type"


def test_no_request_has_more_kinds_than_there_are():
    def offered(kinds: int) -> list[object]:
        return [{"type": f"search_{number % kinds}"} for number in range(2 * kinds)]

    assert len(RESPONSES.check(read(tools=offered(64)), entry()).removed) == 64
    with pytest.raises(BadRequest, match="64 kinds"):
        read(tools=offered(65))


def test_namespaces_are_nested_a_few_deep():
    def nested(depth: int) -> object:
        return {"type": "namespace", "name": "n", "tools": [nested(depth - 1)]} if depth else SEARCH

    assert RESPONSES.check(read(tools=[nested(4)]), entry()).removed == ("web_search",)
    with pytest.raises(BadRequest, match="nested") as refused:
        read(input=given(nested(5)))
    assert refused.value.param == "input[0].tools[0]" + 4 * ".tools[0]"


def test_deferred_tools_are_not_left_without_the_search_for_them():
    with pytest.raises(BadRequest, match="deferred"):
        read(tools=[{"type": "tool_search"}, {**LOOK, "defer_loading": True}])


def test_a_search_is_served_under_the_lower_cap_and_held_for_what_it_finds():
    model = entry(max_tool_calls=3, **SELLS)
    call = RESPONSES.check(read(tools=[LOOK, SEARCH, CODE], tool_choice={"type": "web_search"}), model)
    assert (call.units, call.removed) == (("code_session", "web_search"), ())
    assert sent(call) | {"tools": [LOOK, SEARCH, CODE], "max_tool_calls": 3} == sent(call)
    few = RESPONSES.check(read(tools=[SEARCH], max_tool_calls=2), model)
    assert sent(few)["max_tool_calls"] == 2
    most = RESPONSES.bounds(call, model).most
    assert (most["web_search"], most["code_session"], most["input"] >= 4 * CONTEXT) == (3, 3, True)


@pytest.mark.parametrize("model", [{"max_tool_calls": 0, **SELLS}, {"max_tool_calls": 3}])
def test_a_search_needs_both_its_price_and_a_cap(model):
    assert RESPONSES.check(read(tools=[SEARCH]), entry(**model)).removed == ("web_search",)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        (FILES, "tools.vector_store_ids"),
        ({**CODE, "container": "cntr_1"}, "tools.container"),
        ({**CODE, "container": {"type": "auto", "file_ids": ["f"]}}, "tools.container"),
    ],
)
def test_what_an_account_keeps_is_not_served(tool, param):
    with pytest.raises(BadRequest) as refused:
        RESPONSES.check(read(tools=[tool]), entry(max_tool_calls=3, **SELLS))
    assert refused.value.param == param


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
def test_searches_are_charged_as_told(gateway, upstream):
    load_catalog(catalog(upstream, price={**PRICE, **SELLS}, max_tool_calls=2, context_window=1000))
    gateway.look_at_catalog()
    ran = {"type": "web_search_call", "id": "ws", "status": "completed"}
    opened = {**ran, "action": {"type": "open_page", "url": "u"}}
    upstream.json = response(output=[{**ran, "action": {"type": "search", "query": "q"}}, ran, opened])
    assert gateway.chat(tools=[SEARCH]).status_code == 200
    found = only_generation()
    assert (found.more, found.is_flagged) == ({"web_search": 2}, False)
    assert found.cost == Decimal("0.00042") + Decimal("1.05") * 2 * 10 / 1000
    assert upstream.calls[0]["max_tool_calls"] == 2


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
def test_a_caller_is_told_of_what_was_taken_out(gateway, upstream):
    answer = gateway.chat(tools=[SEARCH, LOOK])
    assert answer.headers["x-chuizi-removed"] == "web_search"
    assert upstream.calls[0]["tools"] == [LOOK]


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
def test_writes_to_a_cache_have_their_life(gateway, upstream):
    price = {**PRICE, "cache_write": "12", "cache_write_12h": "20"}
    load_catalog(catalog(upstream, price=price))
    gateway.look_at_catalog()
    told = response_usage(1000, 10, cached=300)
    told["input_tokens_details"] |= {
        "cache_write_tokens": 200,
        "cache_write_tokens_details": {"ttl_12h_tokens": 50, "ttl_30m_tokens": 150},
    }
    upstream.json = response(usage=told)
    shown = gateway.chat(input="hello " * 300).json()["usage"]
    found = only_generation()
    assert (found.cached_tokens, found.cache_write_tokens, found.is_flagged) == (300, 200, False)
    cost = 500 * 10 + 300 * Decimal("2.5") + 150 * 12 + 50 * 20 + 10 * 40
    assert found.cost == cost * Decimal("1.05") / 1_000_000
    assert {name: value for name, value in shown.items() if name != "cost"} == told


@pytest.mark.parametrize("spoken", [SPOKEN], ids=str)
@pytest.mark.parametrize(("items", "is_large"), [(3, False), (6_000, True)])
def test_tools_of_many_items_are_taken_out_beside_the_loop(gateway, upstream, monkeypatch, items, is_large):
    """Nobody else waits for that."""
    original, threads = Responses.check, []

    def check(self, call, entry):
        threads.append(threading.current_thread().name)
        return original(self, call, entry)

    monkeypatch.setattr(Responses, "check", check)
    many = [given(SEARCH)[0]] * items
    answer = gateway.chat(input=[*many, {"role": "user", "content": "a"}])
    assert (answer.status_code, answer.headers["x-chuizi-removed"]) == (200, "web_search")
    assert upstream.calls[0]["input"] == [{"role": "user", "content": "a"}]
    assert {name.startswith("reading") for name in threads} == {is_large}
