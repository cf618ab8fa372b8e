"""Whatever a model produced is billed where its upstream tells no usage, in JSON as in a stream."""

import pytest

from proxy.models import Generation
from tests.proxy.relay.answers.raw import told
from tests.upstream import STREAM, answer, chunk

WORDS = "one two three four five six seven eight"
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "' + WORDS + '"}'}}
PRODUCED = {
    "text": {"content": WORDS},
    "parts": {"content": [{"type": "text", "text": WORDS}]},
    "a refusal": {"content": None, "refusal": WORDS},
    "a refusal as a part": {"content": [{"type": "refusal", "refusal": WORDS}]},
    "reasoning": {"content": "", "reasoning": WORDS},
    "reasoning by DeepSeek's name": {"content": "", "reasoning_content": WORDS},
    "reasoning in details": {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": WORDS}]},
    "a summary of reasoning": {"reasoning_details": [{"type": "reasoning.summary", "summary": WORDS}]},
    "thinking": {"content": [{"type": "thinking", "thinking": WORDS}]},
    "a tool call": {"content": None, "tool_calls": [{"index": 0, **CALL}]},
    "a tool call without arguments": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": WORDS}}]},
    "a custom tool": {"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "x", "input": WORDS}}]},
    "a function call": {"function_call": {"name": "look", "arguments": WORDS}},
    "a transcript": {"content": None, "audio": {"id": "a", "data": "AAAA" * 500, "transcript": WORDS}},
    "sound alone": {"content": None, "audio": {"id": "a", "data": "AAAA" * 500}},
    "a picture": {"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
    "sealed reasoning": {"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]},
}


@pytest.mark.parametrize("name", PRODUCED)
def test_what_was_produced_without_usage_counts_the_same_in_json_and_in_a_stream(gateway, upstream, name):
    message = {"role": "assistant", **PRODUCED[name]}
    upstream.json = answer(usage=None, choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    upstream.events = [chunk(message), STREAM[-3], STREAM[-1]]
    for stream in (False, True):
        assert told(gateway, stream=stream)[0] == 200
    one, other = Generation.objects.all()
    assert one.usage_source == other.usage_source == "estimated"
    assert min(one.cost, other.cost) > 0
    assert one.output_tokens == other.output_tokens > 0
    if WORDS in str(message):
        assert one.output_tokens >= len(WORDS) // 4


def test_nothing_produced_and_no_usage_is_free(gateway, upstream):
    message = {"role": "assistant", "content": "", "tool_calls": [], "refusal": None}
    upstream.json = answer(usage=None, choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    upstream.events = [chunk(message), STREAM[-3], STREAM[-1]]
    for stream in (False, True):
        assert told(gateway, stream=stream)[0] == 200
    assert {(generation.usage_source, generation.cost) for generation in Generation.objects.all()} == {("none", 0)}
