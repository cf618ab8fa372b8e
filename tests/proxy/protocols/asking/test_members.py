"""What goes upstream reads alike for every server, whichever of two names it takes, and whatever their letters."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.prices.catalog import Destination
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.members import Ambiguous, members_of
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.asked.careful import read_carefully
from proxy.protocols.openai.chat.asked.fields import READ

THERE = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
HELLO = b'[{"role":"user","content":"hi"}]'


def sent(raw: bytes, *, limit: int | None = 50, **route: Any) -> bytes:
    there = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1, **route)
    return b"".join(chat.upstream_body(chat.read(raw), there, output_limit=limit))


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.casefold(): value for name, value in pairs}


READERS = {"the first": first_wins, "the last": dict, "any case": any_case}


def read_by(body: bytes, reader: str) -> Any:
    return json.loads(body, object_pairs_hook=READERS[reader])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_every_server_reads_what_was_held(reader, style):
    body = {
        "model": "openai/m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hé"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"model": 1, "max_tokens": 2}}}],
        "max_tokens": 900,
        "stream": True,
        "stream_options": {"include_usage": False, "chunk": 3},
        "service_tier": "auto",
        "metadata": {"model": "no"},
    }
    theirs = read_by(sent(json.dumps(body, **style).encode()), reader)
    assert (theirs["model"], theirs["max_tokens"], theirs["service_tier"]) == ("theirs", 50, "default")
    assert theirs["stream_options"] == {"include_usage": True, "chunk": 3}
    assert (theirs["messages"], theirs["metadata"]) == (body["messages"], body["metadata"])


@pytest.mark.parametrize(
    "members",
    [
        b'"model":"a","model":"b"',
        b'"model":"b","model":"a"',
        b'"model":"a","MODEL":"b"',
        b'"model":"a","mo\\u0064el":"b"',
        b'"m\\u006fdel":"a","model":"b"',
        b'"model":"a","max_tokens":1,"max_tokens":9',
        b'"model":"a","max_tokens":1,"Max_Tokens":9',
        b'"model":"a","max_to\xe2\x84\xaaens":9',  # the Kelvin sign folds to k
        b'"model":"a","\xc5\xbftream":true',  # the long s folds to s
        b'"model":"a","n":1,"n":2',
        b'"model":"a","n":12,"n":1',
        b'"model":"a" , "n" : 1 , "n" : 2',
        b'"model":"a","stream":false,"stream":true',
        b'"model":"a","service_tier":"default","service_tier":"flex"',
        b'"model":"a","stream_options":{"include_usage":true,"include_usage":false}',
        b'"model":"a","stream_options":{"include_usage":true,"Include_Usage":false}',
        b'"model":"a","tools":[{"type":"function","type":"web_search"}]',
        b'"model":"a","tools":[{"type":"function","Type":"web_search"}]',
        b'"model":"a","tools":[{"type":"function"}],"tools":[{"type":"web_search"}]',
        b'"model":"a","x":1,"x":2',
    ],
)
def test_a_name_that_servers_would_not_agree_upon_is_refused(members):
    for text in (members + b',"messages":' + HELLO, b'"messages":' + HELLO + b"," + members):
        with pytest.raises(BadRequest):
            chat.read(b"{" + text + b"}")


@pytest.mark.parametrize(
    "message",
    [
        b'{"role":"user","content":"a","content":[{"type":"image_url","image_url":"http://x/a.png"}]}',
        b'{"role":"user","content":[{"type":"image_url","image_url":"http://x/a.png"}],"content":"a"}',
        b'{"role":"user","Content":[],"content":"a"}',
        b'{"role":"user","content":"a","c\\u006fntent":"b"}',
        b'{"role":"user","role":"system","content":"a"}',
        b'{"role":"user","content":[{"type":"text","type":"image_url","image_url":"http://x/a.png"}]}',
        b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"a","url":"b"}}]}',
        b'{"role":"user","content":[{"type":"image_url","image_url":{"detail":"low","Detail":"high","url":"a"}}]}',
    ],
)
def test_a_message_is_read_alike_by_everybody(message):
    for around in (
        b"[%b]",
        b"[ %b ]",
        b'[{"role":"user","content":"x"},%b]',
        b'[{"role": "user", "content": "x"}, %b]',
    ):
        with pytest.raises(BadRequest):
            chat.read(b'{"model":"m","messages":' + around % message + b"}")


@pytest.mark.parametrize(
    "value",
    [
        b"340282366920938463463374607431768211455",
        b"1.00000000000000000000000000000000001",
        b"1e400",
        b'"\\u00e9\\/ \\ud83d\\ude00"',
        b'{"b":1,"a":{"b":[1,  2]}}',
        b"[1,\n2]",
    ],
)
def test_what_we_do_not_read_goes_upstream_byte_by_byte(value):
    raw = b'{"model":"m","messages":%b,"logit_bias":%b,"tools":[{"type":"function","function":{"parameters":%b}}]}'
    body = sent(raw % (HELLO, value, value))
    assert b'"logit_bias":' + value in body
    assert b'"parameters":' + value in body


def test_half_a_character_and_what_is_no_json_are_refused():
    for raw in (b'"\\ud83d"', b"NaN", b"Infinity", b"-Infinity", b"01", b"[1,]", b'"\xff"', b'"\x00"', b"'a'"):
        with pytest.raises(BadRequest):
            chat.read(b'{"model":"m","messages":%b,"user":%b}' % (HELLO, raw))
    for body in (b"", b"[]", b"null", b"1", b'"a"', b"{", b"\xef\xbb\xbf{}", b"{}{}"):
        with pytest.raises(BadRequest):
            chat.read(body)


names = st.sampled_from(["model", "n", "stream", "a", "b", "model ", "Model", "messages"])
spaces = st.sampled_from(["", " ", "\n\t"])
values = st.sampled_from(["1", "12", '"1"', "[1]", "{}", "null", '{"model":1}', '"model\\":"', "[[1],[2]]"])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(names, values, spaces, spaces, spaces), max_size=6))
def test_a_name_is_taken_for_repeated_if_and_only_if_it_is_or_hides_in_no_room(pairs):
    text = ",".join(f'{a}"{name}"{b}:{c}{value}' for name, value, a, b, c in pairs)
    plain = [name for name, *_ in pairs]
    is_repeated = len(set(plain)) < len(plain)
    twins = [name for name in plain if name not in READ and name.casefold() in READ]
    try:
        found = members_of(f"{{{text}}}".encode(), READ)
    except Ambiguous:
        assert is_repeated or twins
    else:
        assert not {name for name in plain if plain.count(name) > 1} & READ
        assert not twins
        assert set(found) == set(plain)


parts = st.lists(st.fixed_dictionaries({"type": st.just("text")}), max_size=2)
contents = st.one_of(st.none(), st.text(max_size=6), parts)
roles = st.sampled_from(["user", "tool", "system"])
options = st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "x": st.none()})
more = {"content": contents, "x": contents, "Content": contents}
messages = st.lists(st.fixed_dictionaries({"role": roles}, optional=more), max_size=3)
bodies = st.fixed_dictionaries(
    {"model": st.text(max_size=4), "messages": messages},
    optional={
        "n": st.integers(-1, 3),
        "stream": st.booleans(),
        "max_tokens": st.none() | st.integers(-1, 9),
        "max_completion_tokens": st.integers(1, 9),
        "service_tier": st.sampled_from(["auto", "flex", "priority"]),
        "stream_options": st.none() | options,
        "tools": st.lists(st.fixed_dictionaries({"type": st.sampled_from(["function", "custom", "x"])}), max_size=2),
        "temperature": st.floats(allow_nan=False, allow_infinity=False),
    },
)


def told(raw: bytes, reader: Any) -> Call | str:
    try:
        return reader(raw)  # type: ignore[no-any-return]
    except BadRequest as error:
        return str(error.param)


@settings(max_examples=400, deadline=None)
@given(bodies, st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}]))
def test_both_readers_come_to_the_same(body, style):
    raw = json.dumps(body, **style).encode("utf-8", "surrogatepass")
    assert told(raw, chat.read) == told(raw, read_carefully)
    if not isinstance(told(raw, chat.read), str):
        assert orjson.loads(sent(raw))["model"] == "theirs"
