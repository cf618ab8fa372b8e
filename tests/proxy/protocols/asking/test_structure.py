"""How deep and how finely divided a body is, is found without parsing it; what a large one holds is read alike."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.protocols import members, structure
from proxy.protocols.base import BadRequest
from proxy.protocols.members import Ambiguous, members_of
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.asked.fields import READ
from proxy.protocols.structure import MOST_DEPTH, NotJson, check_structure
from tests.proxy.protocols.asking.test_members import names, spaces, values

texts = st.text(st.sampled_from('a"\\{}[]:,é\n'), max_size=8)
anything = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=30,
)
styles: Any = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}])


def marks_of(value: Any) -> str:
    """Brackets, colons and commas as they stand outside of texts."""
    if isinstance(value, dict):
        return "{" + ",".join(":" + marks_of(held) for held in value.values()) + "}"
    return "[" + ",".join(map(marks_of, value)) + "]" if isinstance(value, list) else ""


@settings(max_examples=400, deadline=None)
@given(anything, styles, st.integers(1, 7))
def test_brackets_colons_and_commas_are_seen_outside_of_texts_alone_however_the_text_is_cut(value, style, piece):
    raw = json.dumps(value, **style).encode()
    whole, structure.PIECE = structure.PIECE, piece
    try:
        assert b"".join(structure._marks(raw)).decode() == marks_of(value)
    finally:
        structure.PIECE = whole


def test_a_deeper_body_is_refused_and_one_just_as_deep_is_not():
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        fits = opening * MOST_DEPTH + (b"1" if closing == b"}" else b"") + closing * MOST_DEPTH
        check_structure(fits)
        check_structure(b"[" * (MOST_DEPTH - 1) + b"[],[]," * 500 + b"[]" + b"]" * (MOST_DEPTH - 1))
        with pytest.raises(NotJson, match="deep"):
            check_structure(opening + fits + closing)
    check_structure(json.dumps("[" * 5000 + '"' + "{" * 5000).encode())


@pytest.mark.parametrize("where", ["metadata", "tools", "messages", "stop"])
@pytest.mark.parametrize("depth", [MOST_DEPTH, 254, 500, 999, 5_000, 100_000])
@pytest.mark.parametrize("beside", [b"", b'"x":"%b",' % (b'\\"]}' * 100_000)])
def test_what_is_nested_deeper_than_two_hundred_is_refused_wherever_it_is(where, depth, beside):
    nested = {
        "metadata": b'"metadata":{"a":%b}',
        "tools": b'"tools":[{"type":"function","function":%b}]',
        "messages": b'"messages":[{"role":"user","content":"hi","x":%b}]',
        "stop": b'"stop":[%b]',
    }[where] % (b"[" * depth + b"]" * depth)
    messages = b"" if where == "messages" else b'"messages":[{"role":"user","content":"hi"}],'
    with pytest.raises(BadRequest, match=r"nested more than 200 deep|more than 100000"):
        chat.read(b'{"model":"m",%b%b%b}' % (messages, beside, nested))


def test_over_the_wire_it_is_the_callers_fault_in_the_contracts_shape(gateway):
    nested = b'{"model":"openai/m","messages":[{"role":"user","content":"hi"}],"a":%b}' % (b"[" * 300 + b"]" * 300)
    answer = gateway.client.post("/v1/chat/completions", content=nested)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_brackets_in_a_long_text_are_no_structure():
    text = json.dumps('{"a": [1, 2], "b": {}}\n' * 50_000)
    call = chat.read(b'{"model":"m","messages":[{"role":"user","content":%b}]}' % text.encode())
    assert call.material.text_bytes > 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * structure.MOST_PARTS + b"{}]",
        b"[" + b"1," * structure.MOST_COMMAS + b"1,1]",
        b"{" + b'"a":1,' * structure.MOST_MEMBERS + b'"b":1}',
    ],
)
def test_a_large_body_has_no_more_parts_than_can_be_kept(body):
    with pytest.raises(NotJson, match="more than"):
        check_structure(body)


# --- Large objects are walked over, to the same end ----------------------------------------------------------------


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LARGE", 0)


def told(raw: bytes) -> dict[str, bytes] | type[Exception]:
    try:
        return {name: bytes(value) for name, value in members_of(raw, READ).items()}
    except (Ambiguous, NotJson) as error:
        return type(error)


ends = st.sampled_from(["", "", "", " ", ",", "}", "]", " x", "{}"])


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(names, values, spaces, spaces, spaces), max_size=6), ends)
def test_a_large_objects_members_are_those_of_a_small_one(pairs, end):
    text = ",".join(f'{a}"{name}"{b}:{c}{value}' for name, value, a, b, c in pairs)
    raw = ("{" + text + "}" + end).encode()
    small = told(raw)
    members.LARGE, whole = 0, members.LARGE
    try:
        large = told(raw)
    finally:
        members.LARGE = whole
    # Another name may hide in no room, or come before what is malformed: then only the walk sees it.
    assert large == small or (large is Ambiguous and len({name for name, *_ in pairs}) < len(pairs))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"1", b'{"a"', b'{"a":', b'{"a":}', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{"a" 1}', b"{a:1}",
     b'{"a":1 "b":2}', b'{"a":tru}', b'{"\\ud83d":1}', b'{"a":[1,]}', b'{"a":1}{}', b'{,"a":1}', b'{"a":01}'],
)  # fmt: skip
def test_what_is_no_object_is_none_when_it_is_large_either(raw, all_is_large):
    assert told(raw) is NotJson


def test_a_large_objects_values_are_without_the_blanks_around_them(all_is_large):
    assert told(b' { "a" : 1 , "b":\n"x"\t,"c": { } } ') == {"a": b"1", "b": b'"x"', "c": b"{ }"}
    assert told(b" { } ") == {}


def test_blanks_without_end_cost_nothing():
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}]' + b" " * 19_000_000 + b"}"
    began = time.process_time()
    assert bytes(members_of(raw, READ)["messages"]) == b'[{"role":"user","content":"hi"}]'
    assert time.process_time() - began < 1  # it took 5 s, byte by byte


@pytest.mark.parametrize("place", ["", "messages", "tools", "content", "image_url", "stream_options"])
@pytest.mark.parametrize("inner", [b'"%b":1' % (b"\\u0061" * 60_000), b",".join(b'"%x":1' % n for n in range(60_000))])
def test_a_name_without_end_and_members_without_end_are_refused_where_we_look(place, inner):
    message = b'{"role":"user","content":%b}'
    bodies = {
        "": b'"messages":[%b],%b' % (message % b'"hi"', inner),
        "messages": b'"messages":[{"role":"user","content":"hi","tool_calls":[],%b}]' % inner,
        "tools": b'"messages":[%b],"tools":[{"type":"function",%b}]' % (message % b'"hi"', inner),
        "content": b'"messages":[%b]' % (message % (b'[{"type":"text",%b}]' % inner)),
        "image_url": b'"messages":[%b]' % (message % (b'[{"type":"image_url","image_url":{%b}}]' % inner)),
        "stream_options": b'"messages":[%b],"stream_options":{%b}' % (message % b'"hi"', inner),
    }
    with pytest.raises(BadRequest, match="members"):
        chat.read(b'{"model":"m",%b}' % bodies[place])
