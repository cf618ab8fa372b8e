"""Tools that run at the provider are taken out where they are only offered, and refused where they are to be called."""

import orjson
import pytest

from proxy.models import Generation
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat

MESSAGES = [{"role": "user", "content": "hi"}]


def read(tools, **more):
    raw = b'{"model":"m","messages":%b,"tools":%b' % (orjson.dumps(MESSAGES), tools)
    call = chat.read(raw + b"".join(b',"%b":%b' % (name.encode(), orjson.dumps(more[name])) for name in more) + b"}")
    return call, orjson.loads(b"{%b}" % call.rest)


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025_03_11", "google_search", "mcp", "x_search"])
@pytest.mark.parametrize("choice", [None, "auto", "none", "required", {"type": "function", "function": {"name": "f"}}])
def test_what_is_only_offered_is_taken_out_and_the_rest_goes_as_it_came(kind, choice):
    ours = b'{"type":"function", "function":{"name":"f","seed":1180591620717411303424}}'
    offered = orjson.dumps({"type": kind, "authorization": "theirs"})
    call, sent = read(b"[%b, %b]" % (offered, ours), tool_choice=choice, parallel_tool_calls=True)
    assert call.removed == (kind,)
    assert b'"tools":[%b]' % ours in call.rest
    assert b"theirs" not in call.rest
    assert (sent["tool_choice"], sent["parallel_tool_calls"], call.material.tools) == (choice, True, True)


def test_where_nothing_is_left_there_are_no_tools():
    call, sent = read(b'[{"type":"web_search"},{"type":"mcp"},{"type":"mcp"}]', tool_choice="auto")
    assert (call.removed, sent, call.material.tools) == (("web_search", "mcp"), {"messages": MESSAGES}, False)


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        (["web_search"], "required", "tool_choice"),
        (["web_search", "function"], {"type": "web_search"}, "tool_choice"),
        (
            ["web_search", "function"],
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "web_search"}]}},
            "tool_choice",
        ),
        (["web_search", "functon"], "auto", "tools"),
        (["web_search", 5], "auto", "tools"),
    ],
)
def test_what_is_to_be_called_or_unknown_is_refused_by_name(tools, choice, param):
    with pytest.raises(BadRequest) as refused:
        read(orjson.dumps([{"type": kind} for kind in tools]), tool_choice=choice)
    assert refused.value.param == param


def test_there_are_no_more_kinds_than_a_header_tells_of():
    kinds = [f"mcp_{year}" for year in range(2000, 2065)]
    call, _ = read(orjson.dumps([{"type": kind} for kind in (*kinds[1:], *kinds[1:])]))
    assert call.removed == tuple(kinds[1:])
    with pytest.raises(BadRequest, match="64 kinds"):
        read(orjson.dumps([{"type": kind} for kind in kinds]))


def test_files_of_an_account_are_refused_by_name():
    tool = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    with pytest.raises(BadRequest) as refused:
        read(orjson.dumps([tool]), tool_choice="auto")
    assert refused.value.param == "tools[0].vector_store_ids"


def test_over_the_wire_the_answer_names_what_was_taken_out(gateway, upstream):
    tools = [{"type": "web_search"}, {"type": "function", "function": {"name": "f"}}]
    for stream in (True, False):
        answer = gateway.chat(tools=tools, stream=stream)
        assert (answer.status_code, answer.headers["x-chuizi-removed"]) == (200, "web_search")
        assert "X-Chuizi-Removed" in answer.headers["access-control-expose-headers"]
        assert upstream.calls[-1]["tools"] == tools[1:]
        told = gateway.client.get("/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
        assert (told["removed"], told["ignored"]) == (["web_search"], [])
    answer = gateway.chat(tools=tools[1:])
    assert "x-chuizi-removed" not in answer.headers
    assert Generation.objects.get(pk=answer.headers["x-generation-id"]).left_out is None
