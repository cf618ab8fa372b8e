"""A model may think for minutes: the head goes out after some silence, then comments, and failover still works."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.prices.loading import load_catalog
from proxy.relay.answers import client_stream
from tests.proxy.conftest import catalog, only_generation, wait_for
from tests.proxy.relay.answers.raw import told
from tests.spoken import each_protocol


@pytest.fixture(autouse=True)
def _short_silences(monkeypatch) -> None:
    monkeypatch.setattr(client_stream, "HEAD_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(client_stream, "COMMENT_EVERY_SECONDS", 0.3)


def arrivals(gateway: Any) -> Iterator[tuple[float, bytes]]:
    """Each piece of a stream, and after how many seconds it came; the head is the first, empty."""
    start = time.monotonic()
    with gateway.stream() as response:
        assert response.status_code == 200
        yield time.monotonic() - start, b""
        for piece in response.iter_raw():
            yield time.monotonic() - start, piece


@each_protocol
def test_the_head_goes_out_after_some_silence_and_comments_after_it(gateway, upstream, spoken):
    upstream.events = [1.3, *spoken.stream]
    pieces = list(arrivals(gateway))
    assert pieces[0][0] < 1.2
    comments = [seconds for seconds, piece in pieces if piece == b": waiting\n\n"]
    assert 2 <= len(comments) <= 4
    assert b"".join(piece for _, piece in pieces).endswith(spoken.last)
    assert only_generation().settlement_reason == "completed"


@each_protocol
def test_silence_in_the_middle_is_filled_too_and_no_event_is_cut(gateway, upstream, spoken):
    said, word, *left = spoken.words
    half = len(word) // 2
    upstream.events = [*spoken.opening, said, word[:half], 1.0, word[half:], *left, *spoken.ending]
    text = b"".join(piece for _, piece in arrivals(gateway))
    assert text.count(b": waiting\n\n") in (2, 3)
    assert all(event.startswith((b"data: ", b"event: ", b": waiting")) for event in text.split(b"\n\n")[:-1])


@each_protocol
def test_a_quick_stream_has_no_comment(gateway, upstream, spoken):
    upstream.events = [piece for event in spoken.stream for piece in (event, 0.05)]
    assert b"waiting" not in b"".join(piece for _, piece in arrivals(gateway))


@pytest.mark.parametrize(
    "failing", [[0.6], [0.6, b"data: [DONE]\n\n"], [0.6, b'data: {"error": {"message": "no"}}\n\n'], [3.0]]
)
@each_protocol
def test_after_comments_alone_another_upstream_is_still_tried_under_the_same_200(
    gateway, upstream, second_upstream, failing, spoken
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.events = failing
    second_upstream.events = [0.8, *spoken.stream]
    status, events, head = told(gateway, stream=True)
    assert (status, "".join(map(spoken.words_of, events))) == (200, "one two three ")
    generation = only_generation()
    assert (generation.settlement_reason, generation.pk) == ("completed", head["x-generation-id"])
    assert len(second_upstream.calls) == 1


@each_protocol
@pytest.mark.parametrize("second_fails", [[0.5], None])
def test_where_every_upstream_fails_after_the_head_the_stream_ends_with_our_error(
    gateway, upstream, second_upstream, customer, second_fails, spoken
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.events = [0.6]
    if second_fails is None:
        second_upstream.status, second_upstream.json = 400, {"error": {"message": "too long"}}
    else:
        second_upstream.events = second_fails
    status, events, _ = told(gateway, stream=True)
    assert status == 200
    code = "validation_error" if second_fails is None else "provider_error"
    assert spoken.code_of(events[-1]) == spoken.code(code)
    assert wait_for("released").cost in (None, 0)


def test_an_error_of_an_upstream_that_does_not_answer_at_once_keeps_its_status(gateway, upstream):
    async def late(request):
        import asyncio

        from aiohttp import web

        await asyncio.sleep(0.6)
        return web.json_response({"error": {"message": "too long"}}, status=400)

    upstream.handler = late
    assert told(gateway, stream=True)[0] == 400
