"""The bound and the estimate against real vocabularies, with what a chat template adds to the words."""

import base64
import json
import warnings
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from proxy.models import Generation
from proxy.prices.bounds import (
    AUDIO_CHARACTERS,
    FRAME_TOKENS,
    IMAGE_TOKENS,
    LOW_IMAGE_TOKENS,
    TOOL_FRAME_TOKENS,
    Material,
    likely_input,
    most_extra_output,
    most_input,
)
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from tests.proxy.conftest import only_generation

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it opens its data in an old way
    import bpe_openai

Body = dict[str, Any]
PROSE = [
    " ".join(part.split())
    for file in ("LICENSE", "CONTRIBUTING.md", "docs/ledger.md")
    for part in Path(file).read_text(encoding="utf-8").split("\n\n")
    if len(part.split()) >= 25 and not set("|`#{}") & set(part)
]


# --- True counts ------------------------------------------------------------------------------------------------------


def openai_count(body: Body, encoding: str) -> int:
    """OpenAI's own recipe (its cookbook's `num_tokens_from_messages`): 3 tokens a message and 3 to begin the answer.

    Its rendering of tools is not published; here they stand as the open templates that spell most write them: JSON
    with an indent of 4.
    """
    encode = bpe_openai.get_encoding(encoding).encode_ordinary
    count = 3
    for message in body["messages"]:
        count += 3 + len(encode(message["role"])) + len(encode(message["content"]))
    if "tools" in body:
        count += sum(len(encode(json.dumps(tool, indent=4, ensure_ascii=False))) + 2 for tool in body["tools"])
    return count


@cache
def mistral(version: str) -> Any:
    return MistralTokenizer.v3(is_tekken=True) if version == "tekken" else MistralTokenizer.v7()


def mistral_count(body: Body, version: str) -> int:
    """Mistral's own template around its own vocabulary."""
    request = ChatCompletionRequest.from_openai(messages=body["messages"], tools=body.get("tools"))
    return len(mistral(version).encode_chat_completion(request).tokens)


COUNTS: dict[str, Callable[[Body], int]] = {
    "cl100k": lambda body: openai_count(body, "cl100k_base"),
    "o200k": lambda body: openai_count(body, "o200k_base"),
    "tekken": lambda body: mistral_count(body, "tekken"),
    "sentencepiece": lambda body: mistral_count(body, "sentencepiece"),
}


# --- What people send -------------------------------------------------------------------------------------------------

ENGLISH = st.lists(st.sampled_from(" ".join(PROSE).split()), min_size=1, max_size=200).map(" ".join)
CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1)
RARE = st.text(st.characters(min_codepoint=0x20000, max_codepoint=0x2FA1D), min_size=1)
CODE = st.text("{}[]()<>;:=!+-*/\\\"'`#@$%^&|~_ \t\n\r0123456789abcxyzABC", min_size=1)
EMOJI = st.lists(
    st.sampled_from(["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇨🇳", "😀", "🫠", "❤️‍🔥", "\u200d", "\ufe0f"]), min_size=1
).map("".join)
CONTROL = st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), min_size=1)
ANY = st.text(min_size=1)
TEXTS = st.one_of(ENGLISH, CHINESE, RARE, CODE, EMOJI, CONTROL, ANY)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "number", "null"])}, optional={"description": TEXTS}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=4)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"enum": st.lists(TEXTS | st.integers() | st.booleans(), max_size=6)}),
    ),
    max_leaves=12,
)
TOOLS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "description": TEXTS, "parameters": SCHEMAS}).map(
        lambda function: {"type": "function", "function": function}
    ),
    min_size=1,
    max_size=5,
)


def body_of(text: str, *, system: str | None = None, tools: list[Any] | None = None) -> Body:
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"model": "m", "messages": messages, **({} if tools is None else {"tools": tools})}


def material(body: Body, **style: Any) -> Material:
    return chat.read(json.dumps(body, separators=(",", ":"), ensure_ascii=False, **style).encode()).material


def bound(body: Body) -> int:
    """By the shortest JSON there is."""
    return most_input(material(body), context=None)


@pytest.mark.parametrize("vocabulary", COUNTS)
@given(text=TEXTS, system=st.none() | TEXTS)
@example(text="ﷺ" * 500, system=None)
@example(text="⿕" * 1000, system="𒐫" * 500)
@settings(deadline=None)
def test_the_bound_is_never_below_the_true_count(vocabulary: str, text: str, system: str | None):
    body = body_of(text, system=system)
    assert bound(body) >= COUNTS[vocabulary](body)


@pytest.mark.parametrize("vocabulary", COUNTS)
@given(tools=TOOLS)
@settings(deadline=None, max_examples=50)
def test_the_bound_is_never_below_the_true_count_of_tool_schemas(vocabulary: str, tools: list[Any]):
    body = body_of("hi", tools=tools)
    assert bound(body) >= COUNTS[vocabulary](body)


@pytest.mark.parametrize("vocabulary", COUNTS)
def test_a_thousand_empty_messages_do_not_outweigh_their_bytes(vocabulary: str):
    body = body_of("hi")
    body["messages"] = [{"role": role, "content": "."} for _ in range(500) for role in ("user", "assistant")]
    body["messages"].append({"role": "user", "content": "."})
    assert bound(body) >= COUNTS[vocabulary](body)


@given(text=TEXTS)
@settings(deadline=None)
def test_escapes_make_a_text_longer_and_never_shorter(text: str):
    plain = material(body_of(text))
    escaped = chat.read(json.dumps(body_of(text)).encode()).material
    assert escaped.text_bytes >= plain.text_bytes


@pytest.mark.parametrize("vocabulary", COUNTS)
@given(start=st.integers(0, len(PROSE) - 1), words=st.integers(25, 3000))
@settings(deadline=None, max_examples=60)
def test_the_estimate_is_at_most_three_times_the_true_count_of_english_prose(vocabulary: str, start: int, words: int):
    text = " ".join(" ".join(PROSE[start:] + PROSE).split()[:words])
    body = body_of(text, system="You are a helpful assistant.")
    likely, true = likely_input(material(body), context=None), COUNTS[vocabulary](body)
    assert true <= likely <= 3 * true


# --- What is not text -------------------------------------------------------------------------------------------------


def parts(*content: Body) -> Material:
    return chat.read(json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()).material


def image(url: str, **more: str) -> Body:
    return {"type": "image_url", "image_url": {"url": url, **more}}


DATA = base64.b64encode(bytes(90_000)).decode()


def test_an_image_counts_by_the_piece_whether_it_comes_as_data_or_as_a_url():
    sent, linked = parts(image(f"data:image/png;base64,{DATA}")), parts(image("https://example.com/cat.png"))
    assert (sent.images, linked.images) == (1, 1)
    assert sent.text_bytes < 200
    assert IMAGE_TOKENS <= most_input(sent, context=None) < IMAGE_TOKENS + 200 + FRAME_TOKENS


def test_an_image_of_low_detail_counts_less_and_any_other_detail_in_full():
    low, odd = parts(image("https://x/a.png", detail="low")), parts(image("https://x/a.png", detail="LOW"))
    assert (low.low_images, low.images, odd.low_images, odd.images) == (1, 0, 0, 1)
    assert LOW_IMAGE_TOKENS < most_input(low, context=None) < most_input(odd, context=None)


def test_images_are_counted_beyond_the_context_as_they_are_billed():
    assert most_input(parts(*[image("https://x/a.png")] * 20), context=128_000) >= 20 * 48_169


def test_an_image_may_be_named_by_its_url_alone():
    assert parts({"type": "image_url", "image_url": f"data:image/png;base64,{DATA}"}).text_bytes < 200


@pytest.mark.parametrize("audio_format", ["wav", "mp3"])
def test_audio_counts_by_its_length(audio_format: str):
    sound = parts({"type": "input_audio", "input_audio": {"data": DATA, "format": audio_format}})
    assert (sound.audio, sound.files) == (len(DATA), 0)
    # A minute of the slowest mp3 there is, 8 kbit/s, is 60 s x 32 tokens to Gemini.
    minute = base64.b64encode(bytes(60_000)).decode()
    slow = parts({"type": "input_audio", "input_audio": {"data": minute, "format": "mp3"}})
    assert most_input(slow, context=None) - slow.text_bytes - FRAME_TOKENS == -(-len(minute) // AUDIO_CHARACTERS)
    assert -(-len(minute) // AUDIO_CHARACTERS) >= 60 * 32


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{DATA}"}},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "opus"}},
        {"type": "input_audio", "input_audio": {"data": "https://example.com/day.mp3", "format": "mp3"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/film.mp4"}},
        image(f"data:video/mp4;base64,{DATA}"),
    ],
)
def test_what_cannot_be_measured_counts_as_the_whole_context(part: Body):
    found = parts(part)
    assert found.files + found.sounds + found.films == 1
    assert most_input(parts(part), context=200_000) >= 200_000
    assert likely_input(parts(part), context=200_000) == 200_000
    assert most_input(parts(part), context=None) >= 1_000_000


def test_a_context_rounded_by_its_catalog_does_not_cut_the_bound():
    assert most_input(Material(text_bytes=5_000_000, wide=0), context=1_000_000) >= 1_048_576


def test_tools_cost_what_a_provider_says_about_them_too():
    tool = {"type": "function", "function": {"name": "f"}}
    for field in ({"tools": [tool]}, {"functions": [{"name": "f"}]}):
        with_tools = {**body_of("hi"), **field}
        assert bound(with_tools) - bound(body_of("hi")) >= TOOL_FRAME_TOKENS


def test_a_providers_own_tools_are_refused_as_they_are_billed_by_the_call():
    called = {"tools": [{"type": "web_search"}], "tool_choice": "required"}
    for extra in (called, {"tools": [{"google_search": {}}]}, {"search_parameters": {}}):
        with pytest.raises(BadRequest, match="here"):
            chat.read(json.dumps({**body_of("hi"), **extra}).encode())


@pytest.mark.parametrize("field", [{"n": "2"}, {"n": 0}, {"n": 129}, {"n": 1.0}, {"max_completion_tokens": "100"}])
def test_a_size_that_is_not_a_whole_number_is_refused_and_never_taken_for_one(field: Body):
    with pytest.raises(BadRequest) as refused:
        chat.read(json.dumps({**body_of("hi"), **field}).encode())
    assert refused.value.param == next(iter(field))


def test_predicted_output_that_is_not_used_is_output_too():
    predicted = {"type": "content", "content": "def f(): return 1\n" * 100}
    assert most_extra_output(material({**body_of("hi"), "prediction": predicted})) >= 1800


def test_several_choices_are_each_held_at_the_output_limit(gateway):
    rates = (Decimal("0.0000105"), Decimal("0.000042"))  # an input and an output token with the margin
    gateway.chat()
    one = only_generation()
    one_bound, one_id = one.bound, one.pk
    gateway.chat(n=3, prediction={"type": "content", "content": ""})
    three = Generation.objects.exclude(pk=one_id).get()
    assert three.bound - one_bound >= 2 * 100 * rates[1]
    assert three.bound - one_bound <= 2 * 100 * rates[1] + 100 * rates[0] + 3 * 40 * rates[1]
