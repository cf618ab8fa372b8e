"""Streams as a JSON array, and `countTokens`."""

from dataclasses import replace

import orjson
import pytest

from billing.models import Hold
from proxy.models import Generation
from proxy.protocols.array import AsArray
from proxy.relay.answers import client_stream
from tests.proxy.conftest import only_generation, wait_for
from tests.spoken import GENERATE

ARRAY = replace(GENERATE, stream_path=GENERATE.stream_path.partition("?")[0])
pytestmark = pytest.mark.parametrize("spoken", [ARRAY], ids=str)


def test_a_stream_without_alt_is_an_array_of_what_would_be_events(gateway, upstream):
    with gateway.stream() as response:
        pieces = list(response.iter_raw())
    assert response.headers["content-type"].startswith("application/json")
    items = orjson.loads(b"".join(pieces))
    assert "".join(map(GENERATE.words_of, items)) == "one two three "
    assert items[-1]["x_chuizi"]["generation_id"] == only_generation().pk
    assert len(pieces) > 1
    assert upstream.calls


def test_an_error_in_the_middle_is_the_last_item(gateway, upstream):
    upstream.events = list(GENERATE.begun)
    with gateway.stream() as response:
        [said, failed] = orjson.loads(response.read())
    assert (GENERATE.words_of(said), failed["error"]["status"]) == ("one two three four ", "INTERNAL")


def test_silence_is_filled_with_white_space_and_an_error_after_it_is_an_item(gateway, upstream, monkeypatch):
    monkeypatch.setattr(client_stream, "HEAD_AFTER_SECONDS", 0.2)
    upstream.events = [b": waiting\n\n", 1.0, GENERATE.failed("no")]
    with gateway.stream() as response:
        text = response.read()
    assert text.startswith(b"\n")
    [failed] = orjson.loads(text)
    assert (response.status_code, failed["error"]["status"]) == (200, "INTERNAL")
    assert wait_for("released").cost == 0


def test_no_item_is_an_empty_array(spoken):
    array = AsArray()
    assert array.items(b": waiting\n\n") == b""
    assert orjson.loads(array.last(b"")) == []


def test_alt_may_be_json_or_sse(gateway):
    answer = gateway.client.post(ARRAY.stream_path + "?alt=proto", json=ARRAY.asked)
    assert (answer.status_code, "alt" in answer.json()["error"]["message"]) == (400, True)


def test_tokens_are_counted_for_nothing(gateway, upstream):
    upstream.json = {"totalTokens": 12}
    path = "/v1beta/models/openai/m:countTokens"
    whole = {"model": "models/other", "contents": ARRAY.asked["contents"], "newer": 1}
    for asked in ({"contents": ARRAY.asked["contents"]}, {"model": "models/x", "generateContentRequest": whole}):
        answer = gateway.client.post(path, json=asked)
        assert (answer.status_code, answer.json()) == (200, {"totalTokens": 12}), answer.text
    first, second = upstream.calls
    assert first == {"contents": ARRAY.asked["contents"]}
    assert second == {"generateContentRequest": {**whole, "model": "models/m-at-upstream"}}
    kept = {"contents": [{"parts": [{"fileData": {"fileUri": "files/a", "mimeType": "text/plain"}}]}]}
    for refused in (kept, {"generateContentRequest": kept}, {"generate_content_request": {"cached_content": "a"}}):
        assert gateway.client.post(path, json=refused).status_code == 400
    assert len(upstream.calls) == 2
    assert not Hold.objects.exists()
    assert not Generation.objects.exists()
