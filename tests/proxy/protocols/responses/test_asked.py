"""What is read of a request to Responses, what is refused by name, and what goes upstream as it came."""

from dataclasses import replace

import orjson
import pytest

from proxy.protocols.base import BadRequest
from tests.proxy.protocols.responses.asking import (
    CONTEXT,
    GRAMMAR,
    LOOK,
    PIXEL,
    RELAYED,
    RESPONSES,
    THERE,
    body,
    entry,
    read,
    said,
    sent,
)

SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
AGENTS = {
    "instructions": "You are Codex.",
    "input": [
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [{"type": "namespace", "name": "functions", "tools": [GRAMMAR]}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        SEALED,
        {"type": "custom_tool_call", "call_id": "c", "name": "exec", "namespace": "functions", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "a b"},
        {"type": "newer_item", "value": {"a": [1, 2]}},
    ],
    "tools": [LOOK, GRAMMAR, {"type": "newer_tool", "name": "n"}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "context": "all_turns"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0193",
    "client_metadata": {"a": "b"},
    "stream": True,
}


def test_what_an_agent_sends_goes_on_as_it_came_with_our_few_fields_before_it():
    raw = body(**AGENTS)
    call = read(raw)
    assert (call.stream, call.output_limit, call.stores, call.references) == (True, None, False, ())
    ours = {"model": "theirs", "service_tier": "default"}
    assert sent(call) == {**orjson.loads(raw), **ours}
    assert sent(call, RELAYED) == {**orjson.loads(raw), "model": "theirs"}
    assert call.rest in raw


def test_headers_go_on_by_the_list():
    passed = {b"openai-beta": b"x", b"session-id": b"s", b"x-codex-window-id": b"w", b"originator": b"codex"}
    passed |= {b"x-openai-internal-codex-responses-lite": b"true", b"thread-id": b"t", b"x-client-request-id": b"r"}
    call = read(headers={**passed, b"cookie": b"c", b"openai-organization": b"o", b"openai-project": b"p"})
    assert {name.encode(): value.encode() for name, value in call.headers.items()} == passed


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"background_options": {"completion_window": "soon"}}, "background_options.completion_window"),
        ({"prompt_cache_options": {"comparison_response_id": "resp_1"}}, "prompt_cache_options.comparison_response_id"),
        ({"completion_window": "8h"}, "completion_window"),
        ({"models": ["a"]}, "models"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a"]}, "input[0]"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": said({"type": "input_image", "file_id": "file-1"})}, "input[0].content[0].file_id"),
        ({"input": said({"type": "input_file", "file_id": "file-1"})}, "input[0].content[0].file_id"),
        ({"input": said({"type": "input_image", "image_url": {"url": "u"}})}, "input[0].content[0].image_url"),
        ({"input": said({"type": "input_text", "text": "a", "image_url": "u"})}, "input[0].content[0].image_url"),
        ({"input": [{"type": "newer", "in": {"file_id": "f"}}]}, "input[0].file_id"),
        ({"input": [{"type": "code_interpreter_call", "container_id": "cntr"}]}, "input[0].container_id"),
        (
            {"input": [{"type": "shell_call", "environment": {"type": "container_reference", "container_id": "c"}}]},
            "input[0].environment.container_id",
        ),
        ({"input": [{"role": "user", "content": "a", "images": ["b"]}]}, "input[0].images"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_tool_calls": "1"}, "max_tool_calls"),
        ({"stream": "yes"}, "stream"),
        ({"store": 1}, "store"),
        ({"background": "no"}, "background"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"context_management": {"type": "compaction"}}, "context_management"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tools": [{"name": "a"}]}, "tools[0].type"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{}]}]}, "tools[0].tools[0].type"),
        ({"metadata": {"models": ["a"]}}, "metadata.models"),
        ({"service_tier": "so fast"}, "service_tier"),
    ],
)
def test_what_could_not_be_held_is_refused_with_its_field(fields, param):
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"m","input":"a","max_output_tokens":5,"max_output_tokens":7}',
        b'{"model":"m","input":"a","max_output_token\\u0073":5,"Max_Output_Tokens":7}',
        b'{"model":"m","input":"a","input":[{"type":"item_reference","id":"i"}]}',
        b'{"model":"m","input":[{"type":"message","role":"user","content":"a","Content":[]}]}',
        b'{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","type":"input_image"}]}]}',
        b'{"model":"m","input":"a","tools":[{"type":"function","type":"web_search"}]}',
        b'{"model":"m","input":"a","Background":true}',
        b'{"model":"m","input":[{"type":"code_interpreter_call","container_\\u0069d":"c"}]}',
        b'{"model":"m","input":[{"type":"newer","file_\\u0069d":"f"}]}',
    ],
)
def test_what_servers_would_not_read_alike_is_refused(raw):
    with pytest.raises(BadRequest):
        read(raw)


@pytest.mark.parametrize(
    ("item", "names"),
    [
        ({"type": "reasoning", "summary": []}, True),
        ({"type": "reasoning", "summary": [], "encrypted_content": None, "content": []}, True),
        ({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}, False),
        (SEALED, False),
        ({"type": "compaction", "encrypted_content": ""}, True),
        ({"type": "image_generation_call", "result": None}, True),
        ({"type": "image_generation_call", "result": "AAAA"}, False),
    ],
)
def test_an_item_that_says_nothing_is_named_where_an_account_would_look_it_up(item, names):
    call = read(input=[{**item, "id": "rs_1"}])
    there = replace(entry(), destinations=(replace(THERE, kind="azure"),))
    assert RESPONSES.naming(call, there).references == (("rs_1",) if names else ())
    elsewhere = replace(entry(), destinations=(RELAYED,))
    is_always = names and item["type"].startswith("image")
    assert RESPONSES.naming(call, elsewhere).references == (("rs_1",) if is_always else ())


@pytest.mark.parametrize(
    ("fields", "references"),
    [
        ({"previous_response_id": "resp_1", "input": None}, ("resp_1",)),
        ({"input": [{"type": "item_reference", "id": "rs_1"}, {"id": "rs_2"}]}, ("rs_1", "rs_2")),
    ],
)
def test_what_an_account_keeps_is_read(fields, references):
    call = RESPONSES.check(read(**fields), entry())
    assert (call.references, call.stores, call.background_seconds) == (references, True, None)


def test_how_long_an_answer_in_the_background_may_take_is_read_and_another_window_needs_its_price():
    call = RESPONSES.check(read(background=True), entry())
    assert (call.background_seconds, call.asked) == (24 * 3600, None)
    with pytest.raises(BadRequest) as refused:
        read(background=True, store=False)
    assert refused.value.param == "store"
    call = read(background=True, background_options={"completion_window": "8h"})
    assert (call.background_seconds, call.asked) == (9 * 3600, {"completion_window": "8h"})
    with pytest.raises(BadRequest) as refused:
        RESPONSES.check(call, entry())
    assert refused.value.param == "background_options.completion_window"
    half = {"when": {"completion_window": "8h"}, "rates": {"input": "5", "output": "20"}}
    assert RESPONSES.check(call, entry(variants=[half])) == call


def test_pictures_documents_and_sound_are_counted_wherever_they_stand():
    picture = {"type": "input_image", "image_url": PIXEL}
    low = {**picture, "detail": "low"}
    paper = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 500}
    linked = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    screen = {"type": "computer_screenshot", "image_url": PIXEL}
    given = [
        *said(picture, low, paper, {"type": "newer_part", "file_url": "u"}),
        {"type": "function_call_output", "call_id": "c", "output": [picture, linked]},
        {"type": "computer_call_output", "call_id": "c", "output": screen},
        {"type": "image_generation_call", "id": "ig", "result": "A" * 700},
    ]
    call = read(input=given)
    found = call.material
    assert (found.images, found.low_images, found.files) == (4, 1, 3)
    assert found.text_bytes < len(body(input=given)) - 4 * 1_000 - 500 - 700
    heard = read(input=said({"type": "input_audio", "input_audio": {"data": "A" * 900, "format": "mp3"}}))
    assert (heard.units, heard.material.audio) == (("input_audio",), 900)
    with pytest.raises(BadRequest, match="input_audio"):
        RESPONSES.check(heard, entry())


@pytest.mark.parametrize(
    ("part", "unit"),
    [
        ({"type": "input_image", "image_url": "data:audio/mp3;base64,AA"}, "input_audio"),
        ({"type": "input_file", "file_url": "https://example.com/a.mp4"}, "input_video"),
        ({"type": "input_file", "filename": "a.wav", "file_data": "AAAA"}, "input_audio"),
    ],
)
def test_sound_and_films_in_another_parts_stead_need_a_price(part, unit):
    assert read(input=said(part)).units == (unit,)


@pytest.mark.parametrize(
    "more", [{"context_management": [{"type": "compaction"}]}, {"input": [{"type": "compaction_trigger"}]}]
)
def test_a_context_that_is_summed_up_is_held_twice_with_what_it_comes_to(more):
    plain, call = read(input=[{"type": "message", "role": "user", "content": "a"}]), read(**more)
    assert RESPONSES.bounds(call, entry()).extra_output == 10_000
    once = RESPONSES.bounds(replace(call, compacts=False), entry()).most["input"]
    assert RESPONSES.bounds(call, entry()).most["input"] == 2 * once
    assert RESPONSES.bounds(plain, entry()).extra_output == 0


def test_tiers_are_as_for_chat():
    with pytest.raises(BadRequest):
        RESPONSES.check(read(service_tier="priority"), entry())
    assert sent(RESPONSES.check(read(service_tier="flex"), entry()))["service_tier"] == "flex"
    variants = [{"when": {"service_tier": "priority"}, "input": "20"}]
    assert RESPONSES.check(read(service_tier="priority"), entry(variants=variants)).service_tier == "priority"


def test_the_limit_is_the_models_at_most():
    with pytest.raises(BadRequest) as refused:
        RESPONSES.check(read(max_output_tokens=10_001), entry())
    assert refused.value.param == "max_output_tokens"
    assert RESPONSES.bounds(read(), entry(context=None)).most["input"] < 2_000 < CONTEXT
