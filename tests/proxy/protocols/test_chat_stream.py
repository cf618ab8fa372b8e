"""A stream's events, cut anywhere: the same words under our id, the same usage, whatever stands together in a chunk."""

from decimal import Decimal
from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Manner
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.sse import Splitter

OURS = "gen-ours"
CHARGED = Charged(Manner(OURS), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
WORDS = st.text(max_size=12) | st.sampled_from(
    ['"id":"chatcmpl-1"', "[DONE]", '{"error":{', '"usage":{"a":1}', "\n\ndata: "]
)


def event(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def choice(delta: dict, finish: str | None = None) -> dict:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


PLAIN = st.builds(lambda words: event({**HEAD, **choice({"content": words}), "usage": None}), WORDS)
EVENTS = st.one_of(
    PLAIN,
    PLAIN,
    PLAIN,
    st.builds(lambda words: event({**HEAD, **choice({"reasoning_content": words, "content": None})}), WORDS),
    st.builds(lambda words: event({**choice({"content": words}), **HEAD}), WORDS),  # its id is not the first
    st.builds(lambda words: event({**HEAD, "created": 2, **choice({"content": words})}), WORDS),
    st.builds(lambda words: event({**HEAD, "model": "other", **choice({"content": words})}), WORDS),
    st.builds(lambda words: event({"id": "chatcmpl-1", **choice({"content": words}), "model": "m"}), WORDS),
    st.builds(lambda words: event({"id": "chatcmpl-1", **choice({"content": words, "a": {"model": "m"}})}), WORDS),
    st.builds(lambda words: event({**HEAD, "id": "another", **choice({"content": words})}), WORDS),
    st.builds(
        lambda words: event({**HEAD, **choice({"tool_calls": [{"id": "call_1", "function": {"arguments": words}}]})}),
        WORDS,
    ),
    st.builds(lambda finish: event({**HEAD, **choice({}, finish)}), st.sampled_from(["stop", "length", "tool_calls"])),
    st.just(event({**HEAD, **choice({"content": "x"}), "usage": {"prompt_tokens": 3, "completion_tokens": 2}})),
    st.just(event({**HEAD, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})),
    st.just(event({**HEAD, "choices": [], "prompt_filter_results": []})),
    st.sampled_from([b": still here\n\n", b"data: not JSON\n\n", b"event: x\nid: 1\n\n", b"data: [1, 2]\n\n"]),
)


MANNERS = st.sampled_from([Manner(OURS), Manner(OURS, "asked"), Manner(OURS, is_plain=True)])


def seen(stream: ChatStream) -> tuple[object, ...]:
    return stream.content_bytes, stream.finish_reason, stream.usage, stream.done, stream.error


@given(
    events=st.lists(EVENTS, max_size=12),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    ends=st.booleans(),
    asked=st.booleans(),
    manner=MANNERS,
)
def test_it_makes_no_difference_where_a_stream_is_cut(events, cuts, ends, asked, manner):
    events = [*events, b"data: [DONE]\n\n"] if ends else events
    alone, together = (ChatStream(manner, include_usage=asked) for _ in range(2))
    whole = b"".join(events)
    one_by_one = b"".join(map(alone.take, events))
    splitter, places = Splitter(), [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    cut_up = b"".join(together.take(splitter.feed(whole[a:b])) for a, b in pairwise(places))
    assert cut_up == one_by_one
    assert seen(together) == seen(alone)
    tail = together.tail(CHARGED, USED)
    assert tail == alone.tail(CHARGED, USED)
    if manner.model:
        chunks = [orjson.loads(line[6:]) for line in (one_by_one + tail).split(b"\n\n") if line]
        assert {chunk["model"] for chunk in chunks if "model" in chunk} <= {"asked"}
        assert all(
            choice["delta"].get("a", {"model": "m"}) == {"model": "m"}
            for chunk in chunks
            for choice in chunk["choices"]
        )


@given(words=st.lists(WORDS, min_size=1, max_size=12))
def test_every_word_is_relayed_under_our_id_and_counted(words):
    events = [event({**HEAD, **choice({"content": text}), "usage": None}) for text in words]
    stream = ChatStream(Manner(OURS))
    relayed = [orjson.loads(line[6:]) for line in stream.take(b"".join(events)).split(b"\n\n") if line]
    assert [chunk["id"] for chunk in relayed] == [OURS] * len(words)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in relayed] == words
    assert stream.content_bytes == sum(len(orjson.dumps(text)) - 2 for text in words)


def test_a_chunk_without_choices_stays_where_it_stood():
    words = [event({**HEAD, **choice({"content": text})}) for text in ("one ", "two ")]
    nothing = event({**HEAD, "choices": [], "prompt_filter_results": []})
    for events, place in (([*words, nothing], 2), ([words[0], nothing, words[1]], 1), ([nothing, *words], 0)):
        relayed = ChatStream(Manner(OURS)).take(b"".join(events)).split(b"\n\n")[:-1]
        assert [b"filter" in line for line in relayed] == [number == place for number in range(3)]


def test_words_that_come_together_with_an_error_are_relayed_and_what_follows_is_not():
    words = [event({**HEAD, **choice({"content": text})}) for text in ("one ", "two ", "three ")]
    stream = ChatStream(Manner(OURS))
    relayed = stream.take(words[0] + words[1] + event({"error": {"message": "overloaded"}}) + words[2])
    assert relayed.count(b"\n\n") == 2
    assert stream.error == {"message": "overloaded"}
    assert stream.content_bytes == len("one two ")


def test_nothing_is_relayed_after_an_error_that_comes_first():
    stream = ChatStream(Manner(OURS))
    assert stream.take(event({**HEAD, "error": {"message": "overloaded"}}) + event({**HEAD, **choice({})})) == b""
    assert stream.error == {"message": "overloaded"}
