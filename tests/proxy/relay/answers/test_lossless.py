"""What orjson refuses in an answer is read all the same, and comes out as it went in."""

import json

import pytest

from proxy.protocols import lossless
from tests.proxy.conftest import only_generation
from tests.proxy.relay.answers.raw import answers
from tests.upstream import STREAM

BIG = 2**128 - 1
ODD = {
    "NaN": (b"NaN", lambda value: value != value),
    "minus infinity": (b"-Infinity", lambda value: value == float("-inf")),
    "beyond a double": (b"1e999", lambda value: value == float("inf")),
    "an integer beyond 64 bits": (str(BIG).encode(), lambda value: value == BIG),
    "half an emoji": (rb'"\ud83d"', lambda value: value == "\ud83d"),
    "the other half": (rb'"x\ude00y"', lambda value: value == "x\ude00y"),
    "a whole emoji": (rb'"\ud83d\ude00"', lambda value: value == "\U0001f600"),
    "a number with all its digits": (b"0.10000000000000000555", lambda value: value == 0.1),
}
BODY = (
    b'%b{"id":"chatcmpl-theirs","odd":%b,"choices":[{"index":0,"logprobs":{"content":[{"logprob":%b}]},'
    b'"%b":{"role":"assistant","content":"one two three"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}}'
)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_value_passes_in_json_and_in_streams(gateway, upstream, name, bom):
    value, is_same = ODD[name]
    answers(upstream, BODY % (bom, value, value, b"message"))
    said = json.loads(gateway.chat().content)
    assert is_same(said["odd"])
    assert is_same(said["choices"][0]["logprobs"]["content"][0]["logprob"])
    assert (said["id"], said["x_chuizi"]["cost"]) == (only_generation().pk, "0.00042000")
    event = b"data: " + BODY % (b"", value, value, b"delta") + b"\n\n"
    for framed in (
        bom + event,
        bom + STREAM[0] + event.replace(b'"stop"', b"null"),
        BODY % (bom, value, value, b"message"),
    ):
        answers(upstream, framed + b"data: [DONE]\n\n" if b"data" in framed else framed, label="text/event-stream")
        with gateway.stream() as response:
            text = response.read()
        events = [json.loads(line[6:]) for line in text.split(b"\n\n") if line.startswith(b"data: {")]
        odd = next(event for event in events if "odd" in event)
        assert is_same(odd["odd"])
        assert is_same(odd["choices"][0]["logprobs"]["content"][0]["logprob"])
        assert b"one two three" in text
        assert events[-1]["usage"]["total_tokens"] == 25


def test_members_that_are_left_alone_are_copied_byte_for_byte():
    raw = b'{ "a" : 1.50, "id":"x","b":[ 1,\t2 ],"c":{"id":"x"} }'
    assert lossless.splice(raw, {"id": b'"y"', "d": b"4"}) == b'{"a":1.50,"id":"y","b":[ 1,\t2 ],"c":{"id":"x"},"d":4}'
    assert lossless.splice(b'{"a":NaN,"b":1}', {"b": None}) == b'{"a":NaN}'


@pytest.mark.parametrize("raw", [b"[1]", b"", b"{", b"nul", b'{"a":' + b"[" * 100_000, b"\xff\xfe", b"1" * 5000])
def test_what_is_no_object_is_refused_with_words(raw):
    with pytest.raises(ValueError, match=r".+"):
        lossless.splice(raw, {"a": b"1"})


@pytest.mark.parametrize("odd", [b"caf\xe9", b"\xed\xa0\xbdx", b"a\x01b", b"a\tb"])
def test_a_text_that_strict_parsers_refuse_is_written_so_that_they_take_it(gateway, upstream, odd):
    body = b'{"id":"a","choices":[{"index":0,"%b":{"content":"%b"},"finish_reason":"stop"}]}'
    meant = odd.decode("utf-8", "replace")
    for framed in (body % (b"message", odd), b"data: %b\n\ndata: [DONE]\n\n" % (body % (b"delta", odd))):
        answers(upstream, framed)
        assert json.loads(gateway.chat().content.decode())["choices"][0]["message"]["content"] == meant
        with gateway.stream() as response:
            first, *_ = response.read().decode().split("\n\n")
        assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["content"] == meant
