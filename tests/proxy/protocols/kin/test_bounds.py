"""Whatever an honest provider counts of a request costs no more than was held as its bound."""

import math
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from accounts.limits.policy import KeyPolicy
from proxy.admission.ask import ask_of
from proxy.admission.rule import Ask
from proxy.prices.catalog import Destination, Entry
from proxy.prices.sums import cost_of
from proxy.prices.usage import Usage, counted
from proxy.protocols.endpoint import Asked, Endpoint
from proxy.protocols.openai.audio.speech import Speech
from proxy.protocols.openai.completions import Completions
from proxy.protocols.openai.embeddings import Embeddings
from proxy.protocols.openai.images.generations import ImageGenerations
from proxy.protocols.openai.rerank import Rerank
from tests.proxy.prices.steps import priced

THERE = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
POLICY = KeyPolicy(1, 1, 1, 1, math.inf)
TEXT = st.text(max_size=300)
IDS = st.lists(st.integers(0, 200_000), min_size=1, max_size=50)


def asked(endpoint: Endpoint[Any], price: dict[str, Any], **body: Any) -> tuple[Any, Entry, Ask]:
    """The call as its model takes it, the model, and what is held."""
    entry = Entry(1, "openai/m", priced(price, margin="1.05"), (THERE,), None, None)
    raw = orjson.dumps({"model": "m", **body})
    call = endpoint.check(endpoint.read(Asked(raw, {}, {})), entry)
    return call, entry, ask_of(endpoint, call, entry, policy=POLICY, model_rpm=0)


def charged(call: Any, entry: Entry, usage: Usage) -> Any:
    return cost_of(entry.price, usage, asked=call.terms).charged


def tokens(text: str) -> int:
    """A vocabulary's worst: each byte one."""
    return len(text.encode())


@given(said=st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=20), IDS, st.lists(IDS, min_size=1, max_size=9)))
def test_vectors(said):
    call, entry, ask = asked(Embeddings(), {"input": "3"}, input=said)
    inputs = [said] if isinstance(said, str) or isinstance(said[0], int) else said
    count = sum(3 + (len(one) if isinstance(one, list) else tokens(one)) for one in inputs)
    assert charged(call, entry, Usage(input_tokens=count)) <= ask.bound
    assert charged(call, entry, call.fair) <= ask.bound
    assert ask.estimate <= ask.bound


@given(query=TEXT.filter(bool), few=st.lists(TEXT, min_size=1, max_size=20), times=st.integers(1, 30))
def test_ranks(query, few, times):
    documents = few * times
    for price in ({"search": "2"}, {"input": "3"}, {"request": "1"}):
        call, entry, ask = asked(Rerank(), price, query=query, documents=documents)
        if "input" in price:
            usage = Usage(input_tokens=sum(tokens(query) + tokens(one) + 4 for one in documents))
        else:
            room = max(500 - tokens(query), 250)
            chunks = sum(max(1, math.ceil(tokens(one) / room)) for one in documents)
            usage = Usage(more={"search": math.ceil(chunks / 100)})
        assert charged(call, entry, usage) <= ask.bound
        assert charged(call, entry, call.fair) <= ask.bound
        assert ask.estimate <= ask.bound


@given(said=st.text(min_size=1, max_size=300), told=st.text(max_size=50), speed=st.sampled_from([None, 0.25, 1, 4.0]))
def test_speech(said, told, speed):
    more = {"input": said, "instructions": told, "speed": speed}
    call, entry, ask = asked(Speech(), {"character": "15"}, **more)
    assert charged(call, entry, Usage(more={"character": len(said)})) <= ask.bound
    call, entry, ask = asked(Speech(), {"input": "1", "output_audio": "12"}, **more)
    # Slowly read, each letter a digit: 0.4 s, and half a minute of silence.
    made = math.ceil(len(said) * 8 / min(1, speed or 1)) + 400
    usage = counted(input_tokens=tokens(said + told) + 3, output_tokens=made, made={"audio": made})
    assert charged(call, entry, usage) <= ask.bound
    assert charged(call, entry, call.fair) <= ask.bound
    assert ask.estimate <= ask.bound


SIZES = st.sampled_from([None, "auto", "1024x1024", "1024x1536", "3840x2160"])
QUALITIES = st.sampled_from([None, "auto", "low", "high", "hd"])
SERVED = {"size": ["1024x1024", "1024x1536", "3840x2160"], "quality": ["low", "high", "hd"]}
VARIANTS = [
    {"when": {"size": "3840x2160"}, "image": "0.9"},
    {"when": {"quality": "high"}, "image": "0.3"},
    {"when": {"size": "1024x1536", "quality": "hd"}, "image": "0.2"},
]


@given(
    prompt=st.text(min_size=1, max_size=200),
    count=st.integers(1, 10),
    size=SIZES,
    quality=QUALITIES,
    partial=st.integers(0, 3),
    served=st.fixed_dictionaries({}, optional={name: st.sampled_from(known) for name, known in SERVED.items()}),
)
def test_pictures(prompt, count, size, quality, partial, served):
    more = {"prompt": prompt, "n": count, "size": size, "quality": quality, "partial_images": partial}
    call, entry, ask = asked(ImageGenerations(), {"image": "0.04", "variants": VARIANTS}, **more)
    usage = Usage(more={"image": count})
    assert cost_of(entry.price, usage, asked=call.terms, served=served).charged <= ask.bound
    price = {"input_text": "5", "input_image": "8", "output_image": "30"}
    call, entry, ask = asked(ImageGenerations(), price, **more)
    # gpt-image-1: 6,240 for 1,024 x 1,536 at high quality, and 100 for each partial picture.
    made = count * (math.ceil(6_240 * (3840 * 2160 / (1024 * 1536) if size == "3840x2160" else 1)) + 100 * partial)
    usage = counted(input_tokens=tokens(prompt) + 40, output_tokens=made, made={"image": made})
    assert charged(call, entry, usage) <= ask.bound
    assert charged(call, entry, call.fair) <= ask.bound
    assert ask.estimate <= ask.bound


@given(
    said=st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=9), IDS, st.lists(IDS, min_size=1, max_size=9)),
    limit=st.none() | st.integers(0, 500),
    kept=st.none() | st.integers(1, 9),
    written=st.none() | st.integers(1, 9),
)
def test_completions(said, limit, kept, written):
    more = {"prompt": said, "max_tokens": limit, "n": kept, "best_of": written}
    call, entry, ask = asked(Completions(), {"input": "3", "output": "7"}, **more)
    prompts = [said] if isinstance(said, str) or isinstance(said[0], int) else said
    brought = sum(1 + (len(one) if isinstance(one, list) else tokens(one)) for one in prompts)
    made = len(prompts) * max(kept or 1, written or 1) * (16 if limit is None else limit)
    assert charged(call, entry, Usage(input_tokens=brought, output_tokens=made)) <= ask.bound
    assert ask.estimate <= ask.bound
