"""Every field with every type of JSON is taken or refused as the caller's fault, before anything is held."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Hold
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.openai import chat

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "auto",
    [],
    [[]],
    [1],
    {},
    {"type": []},
    {"a": [{}]},
]
FIELDS = (
    *("model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "service_tier", "stream_options"),
    *(
        "tools",
        "functions",
        "modalities",
        "prediction",
        "web_search_options",
        "search_parameters",
        "temperature",
        "user",
    ),
    *("tool_choice", "response_format", "metadata", "stop", "logit_bias", "reasoning_effort", "audio"),
)
ASKED = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}
PLACES = {
    "role": lambda value: [{"role": value, "content": "hi"}],
    "content": lambda value: [{"role": "user", "content": value}],
    "part": lambda value: [{"role": "user", "content": [value]}],
    "type": lambda value: [{"role": "user", "content": [{"type": value}]}],
    "image": lambda value: [{"role": "user", "content": [{"type": "image_url", "image_url": value}]}],
    "url": lambda value: [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": value}}]}],
    "detail": lambda value: [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": value}}]}
    ],
    "audio": lambda value: [{"role": "user", "content": [{"type": "input_audio", "input_audio": value}]}],
    "format": lambda value: [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": value}}]}
    ],
    "file": lambda value: [{"role": "user", "content": [{"type": "file", "file": {"file_data": value}}]}],
}


def read(body: Any) -> Call | None:
    try:
        return chat.read(json.dumps(body).encode())
    except BadRequest:
        return None


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_field_takes_or_refuses_every_type(value):
    for field in FIELDS:
        read({**ASKED, field: value})
    for place in PLACES.values():
        read({**ASKED, "messages": place(value)})
    for tool in (value, {"type": value}, {"type": "function", "function": value}):
        read({**ASKED, "tools": [tool]})
    read({**ASKED, "stream_options": {"include_usage": value}})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FIELDS), json_values)
def test_any_value_in_any_field_is_no_fault_of_ours(field, value):
    call = read({**ASKED, field: value})
    if call is not None:
        assert call.material.text_bytes >= 0
        assert call.choices >= 1


@pytest.mark.parametrize("depth", [100, 254, 255, 500, 1000, 1023, 5000, 100_000])
def test_any_depth_is_taken_or_refused(gateway, depth):
    nested = b"[" * depth + b"]" * depth
    for place in (b'"user":%b', b'"tools":%b', b'"metadata":{"a":%b}'):
        raw = b'{"model":"openai/m","max_tokens":5,"messages":[{"role":"user","content":"hi"}],%b}' % (place % nested)
        answer = gateway.client.post("/v1/chat/completions", content=raw)
        assert answer.status_code in (200, 400), (depth, place)
        assert "error" in answer.json() or answer.json()["choices"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_over_the_wire_nothing_is_held_for_what_is_refused(gateway, value):
    for field in ("service_tier", "tools", "messages", "stream_options", "n", "modalities"):
        answer = gateway.chat(**{field: value})
        assert answer.status_code in (200, 400), (field, answer.text)
        if answer.status_code == 400:
            assert answer.json()["error"]["code"] == "validation_error"
    assert not Hold.objects.filter(state="open").exists() or gateway.chat().status_code == 200
