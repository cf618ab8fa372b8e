"""What of a stream goes on at once, and what waits for METER."""

from decimal import Decimal

import orjson
import pytest

from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Manner
from proxy.protocols.gemini.generate.stream import GenerateStream
from tests.spoken import GENERATED_USAGE, generated

CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))


def test_from_the_first_reason_to_end_on_the_last_event_is_kept():
    stream = GenerateStream(Manner("gen-ours"))
    said, ends, last = generated("one"), generated("two", finish="STOP"), generated(usage=GENERATED_USAGE)
    assert stream.take(said) == said
    assert stream.take(ends) == b""
    assert stream.is_complete
    assert stream.take(last) == ends
    told = orjson.loads(stream.tail(CHARGED, Usage(20, 5))[6:])
    assert told["usageMetadata"] == {**GENERATED_USAGE, "cost": 0.00042}
    assert (stream.reported.usage.input_tokens, stream.done, stream.is_over) == (20, False, False)


def test_what_comes_before_an_answer_waits_for_it():
    stream = GenerateStream(Manner("gen-ours"))
    counts = b'data: {"usageMetadata":{"promptTokenCount":20}}\n\n'
    assert stream.take(counts) == b""
    assert stream.is_complete
    assert not stream.is_answer
    assert stream.take(generated("one")) == counts + generated("one")
    assert not stream.is_complete
    with pytest.raises(ValueError, match="too much"):
        GenerateStream(Manner("gen-ours")).take(counts * 5_000)


def test_an_upstreams_cost_is_taken_out_and_lines_of_one_event_are_one():
    stream = GenerateStream(Manner("gen-ours"))
    event = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],\ndata: "usageMetadata":{"cost":1,"a":2}}\n\n'
    [told] = stream.take(event).split(b"\n\n")[:-1]
    assert orjson.loads(told[6:])["usageMetadata"] == {"a": 2}
    assert b"\n" not in told


def test_of_a_stream_that_was_cut_the_output_counts_as_told_where_nothing_was_said_since():
    stream = GenerateStream(Manner("gen-ours"))
    stream.take(generated("one ", usage={"promptTokenCount": 20, "candidatesTokenCount": 3}))
    assert stream.reported.usage.output_tokens == 3
    stream.take(generated("two "))
    assert (stream.reported.usage.output_tokens, stream.reported.is_counted) == (0, False)
    stream.take(generated("", finish="STOP"))
    assert stream.reported.usage.output_tokens == 3
