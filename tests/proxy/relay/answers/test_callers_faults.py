"""An error that comes with status 200 and is the caller's fault is told as such, and no failure of the upstream."""

from typing import Any

import orjson
import pytest

from proxy.errors import Refusal, unavailable
from proxy.models import Upstream
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, wait_for
from tests.proxy.relay.answers.raw import answers, told, words
from tests.upstream import STREAM, chunk

LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
FAULTS: dict[str, tuple[Any, str]] = {
    "a code": ({"error": {"message": LONG, "code": "context_length_exceeded", "param": "messages"}}, LONG),
    "a sentence": ({"error": {"message": LONG, "code": 400}}, LONG),
    "a text": ({"error": LONG}, LONG),
    "flat": ({"object": "error", "message": LONG, "type": "BadRequestError"}, LONG),
    "in a choice": ({"choices": [{"index": 0, "error": {"message": LONG}, "message": {"content": None}}]}, LONG),
    "an inner error": ({"error": {"message": "Failed", "innererror": {"code": "context_length_exceeded"}}}, ""),
}
FILTERS: dict[str, Any] = {
    "a code": {"error": {"message": "No.", "code": "content_filter"}},
    "Azure's": {"error": {"message": "No.", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    "DashScope's": {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."},
    "MiniMax's": {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}, "choices": None},
}
FRAMES = {
    "JSON": ("application/json", lambda body: body),
    "the first event": ("text/event-stream", lambda body: b"data: " + body + b"\n\ndata: [DONE]\n\n"),
    "an event named error": ("text/event-stream", lambda body: b": wait\n\nevent: error\ndata: " + body + b"\n\n"),
}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_context_that_is_too_long_is_400_with_its_code_and_free(gateway, upstream, name, frame):
    (fault, sentence), (label, framed) = FAULTS[name], FRAMES[frame]
    answers(upstream, framed(orjson.dumps(fault)), label=label)
    for stream in (True, False):
        status, [said], _ = told(gateway, stream=stream)
        error = said["error"]
        assert (status, error["code"], error["type"]) == (400, "context_length_exceeded", "invalid_request_error")
        assert sentence in error["message"]
    assert wait_for("released").cost == 0


@pytest.mark.parametrize("name", FILTERS)
def test_a_filtered_request_is_400_with_its_code(gateway, upstream, name):
    answers(upstream, orjson.dumps(FILTERS[name]))
    for stream in (True, False):
        status, [said], _ = told(gateway, stream=stream)
        assert (status, said["error"]["code"]) == (400, "content_filter")


@pytest.mark.parametrize("stream", [True, False])
def test_it_is_asked_of_no_other_upstream_and_does_not_count_for_the_cool_down(
    gateway, upstream, second_upstream, stream
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    answers(upstream, orjson.dumps(FAULTS["a code"][0]))
    for _ in range(6):
        status, _, _ = told(gateway, stream=stream)
        assert status == 400
    assert (len(upstream.calls), len(second_upstream.calls)) == (6, 0)


def test_in_the_middle_of_a_stream_it_is_told_as_such_after_the_words(gateway, upstream):
    event = chunk({}, error={"message": "No more.", "code": "content_filter"})
    answers(upstream, STREAM[1] + event, label="text/event-stream")
    for _ in range(4):  # more than begin a cool-down
        status, events, _ = told(gateway, stream=True)
        assert (status, words(events[:-1]), events[-1]["error"]["code"]) == (200, "one ", "content_filter")
    assert wait_for("metered").cost > 0


def test_too_many_tokens_a_minute_are_not_the_requests_fault(gateway, upstream):
    answers(upstream, b'{"error":{"message":"Too many tokens, please wait before trying again."}}')
    status, [said], _ = told(gateway, stream=False)
    assert (status, said["error"]["code"]) == (502, "provider_error")


def test_every_503_says_when_to_come_back(gateway, upstream):
    assert Refusal(503, "provider_unavailable", "No.").headers == {"Retry-After": "5"}
    assert unavailable("No.", retry_after=1).headers == {"Retry-After": "1"}
    assert Refusal(502, "provider_error", "No.").headers == {}
    Upstream.objects.update(is_active=False)
    gateway.look_at_catalog()
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
