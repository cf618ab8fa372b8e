"""What a request to Messages may ask for, and what is refused by name before it costs anything."""

import orjson
import pytest

from proxy.protocols.base import BadRequest
from proxy.protocols.steering import OTHER_LIMITS, STEERING
from tests.proxy.protocols.messages.asking import HELLO, LOOK, MESSAGES, body, entry, read, sent


def refusal(raw: bytes | None = None, **fields: object) -> str | None:
    with pytest.raises(BadRequest) as refused:
        read(raw, **fields)  # type: ignore[arg-type]
    return refused.value.param


def message(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    "field",
    [
        *("container", "mcp_servers", "thread", "diagnostics", "fallbacks", "fallback_credit_token", "billing_policy"),
        *("user_profile_id", "workspace_id", "n", "anthropic_beta", "betas", "mcpServers", "MCP-SERVERS", "Container"),
        *sorted((STEERING | OTHER_LIMITS) - {"speed", "inference_geo"}),
    ],
)
def test_what_would_have_something_else_done_or_charged_is_refused_by_name(field):
    assert refusal(body(**{field: "x"})) == field


def test_what_steers_nothing_goes_upstream_as_it_came():
    more = {
        "temperature": 0.5,
        "metadata": {"user_id": "u"},
        "output_config": {"effort": "high"},
        "cache_control": {"type": "ephemeral"},
        "stop_sequences": ["x"],
        "newer_field": {"a": [1.50]},
    }
    raw = b'{"model":"m","max_tokens":5,"big":1180591620717411303424, "messages":%b}' % orjson.dumps(HELLO)
    assert b'"big":1180591620717411303424,"messages":' in read(raw).rest
    assert more.items() <= sent(read(**more)).items()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"m","max_tokens":5,"max_tokens":5000,"messages":[{"role":"user","content":"a"}]}',
        b'{"model":"m","max_tokens":5,"max_token\\u0073":5000,"messages":[{"role":"user","content":"a"}]}',
        b'{"model":"m","max_tokens":5,"Max_Tokens":5000,"messages":[{"role":"user","content":"a"}]}',
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a","content":[]}]}',
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","Type":"image"}]}]}',
        b'{"model":"m","max_tokens":5,"tools":[{"name":"a","type":"custom","type":"web_search_20250305"}],'
        b'"messages":[{"role":"user","content":"a"}]}',
        b'{"model":"m","max_tokens":5,"thinking":{"budget_tokens":1,"budget_tokens":9},'
        b'"messages":[{"role":"user","content":"a"}]}',
    ],
)
def test_a_name_that_servers_would_not_read_alike_is_refused(raw):
    assert refusal(raw) is not None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"model": ""}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.budget_tokens"),
        ({"system": {"type": "text"}}, "system"),
        ({"service_tier": 7}, "service_tier"),
        ({"context_management": []}, "context_management"),
    ],
)
def test_a_field_of_another_kind_is_refused(fields, param):
    assert refusal(**fields) == param


def test_thinking_between_tools_may_go_beyond_the_limit_and_is_held():
    headers = {b"anthropic-beta": b"interleaved-thinking-2025-05-14"}
    call = read(headers=headers, thinking={"type": "enabled", "budget_tokens": 5_000})
    assert MESSAGES.bounds(call, entry()).extra_output == 5_000


@pytest.mark.parametrize("way", [{"type": "file", "file_id": "f"}, {"type": "base64", "file_id": "f"}, {"type": "x"}])
@pytest.mark.parametrize("kind", ["image", "document"])
def test_references_to_stored_files_are_refused_wherever_they_stand(kind, way):
    block = {"type": kind, "source": way}
    for place in (
        message(block),
        message({"type": "tool_result", "tool_use_id": "t", "content": [block]}),
        message({"type": "document", "source": {"type": "content", "content": [block]}}),
    ):
        assert "source" in str(refusal(messages=place))
    assert "file_id" in str(refusal(messages=message({"type": "container_upload", "file_id": "f"})))
    stored = {"type": "bash_code_execution_tool_result", "content": {"content": [{"file_id": "f"}]}}
    assert "file_id" in str(refusal(messages=message(stored)))
    hidden = b'[{"role":"user","content":[{"type":"newer","f\\u0069le_id":"f"}]}]'
    assert refusal(b'{"model":"m","max_tokens":5,"messages":%b}' % hidden)


@pytest.mark.parametrize(
    ("block", "counts"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400}}, (1, 0)),
        ({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, (1, 0)),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A"}}, (0, 1)),
        ({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}, (0, 1)),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}, (0, 0)),
        ({"type": "newer", "source": {"url": "https://example.com"}}, (0, 1)),
        ({"type": "newer", "text": "words"}, (0, 0)),
        ({"type": "thinking", "thinking": "", "signature": "abc"}, (0, 0)),
        ({"type": "search_result", "source": "a", "title": "b", "content": [{"type": "text", "text": "c"}]}, (0, 0)),
    ],
)
def test_pictures_and_documents_are_counted_also_in_what_tools_found(block, counts):
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    for held in (block, nested):
        material = read(messages=message({"type": "text", "text": "see"}, held)).material
        assert (material.images, material.files) == counts
    whole = len(orjson.dumps(block))
    data = len(block.get("source", {}).get("data", "")) if isinstance(block.get("source"), dict) and sum(counts) else 0
    assert read(messages=message(block)).material.text_bytes >= whole - data - 2


def test_media_of_other_types_are_refused():
    for kind, said in (("image", "video/mp4"), ("image", "application/pdf"), ("document", "audio/wav")):
        source = {"type": "base64", "media_type": said, "data": "A"}
        assert "media_type" in str(refusal(messages=message({"type": kind, "source": source})))


def test_the_providers_own_words_for_a_callers_tool_are_held():
    plain, named = read(tools=[LOOK]), read(tools=[LOOK, {"type": "computer_20251124", "name": "computer"}])
    assert named.material.text_bytes - plain.material.text_bytes > 4_000
    assert sent(named)["tools"][1] == {"type": "computer_20251124", "name": "computer"}


@pytest.mark.parametrize(
    ("edits", "doubled"),
    [
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, False),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, True),
        ({"context_management": {"edits": [{"type": "newer_20270101"}]}}, True),
        ({"compaction": {"type": "summarize"}}, True),
    ],
)
def test_a_context_that_may_be_summed_up_is_held_twice(edits, doubled):
    call = read(**edits)
    bounds = MESSAGES.bounds(call, entry())
    plain = call.material.text_bytes + 128
    assert bounds.most == {"input": 2 * plain if doubled else plain}
    assert bounds.extra_output == (10_000 if doubled else 0)


@pytest.mark.parametrize(
    ("model", "is_taken"),
    [
        ({"context": 200_000}, False),
        ({"context": None}, False),
        ({"context": 1_000_000}, True),
        ({"context": 200_000, "tiers": [{"above": 200_000, "rates": {"input": "20"}}]}, True),
    ],
)
def test_the_beta_of_long_contexts_needs_a_price_for_them(model, is_taken):
    call = read(headers={b"anthropic-beta": b"a-2025-01-01, context-1m-2025-08-07"})
    if is_taken:
        assert MESSAGES.check(call, entry(**model)) == call
    else:
        with pytest.raises(BadRequest, match="context-1m"):
            MESSAGES.check(call, entry(**model))


def test_a_tier_needs_its_price():
    with pytest.raises(BadRequest, match="service_tier"):
        MESSAGES.check(read(service_tier="priority"), entry())
    variants = [{"when": {"service_tier": "priority"}, "input": "30"}]
    call = MESSAGES.check(read(service_tier="priority"), entry(variants=variants))
    assert sent(call)["service_tier"] == "priority"
