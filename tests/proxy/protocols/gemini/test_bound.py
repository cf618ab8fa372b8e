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
from proxy.prices.usage import Usage
from proxy.protocols.endpoint import Asked, Endpoint
from proxy.protocols.gemini.embed import BatchEmbed
from proxy.protocols.gemini.generate import usage as usages
from proxy.protocols.gemini.generate.endpoint import Generate
from tests.proxy.prices.steps import priced

THERE = Destination("g/m", 1, "main", "gemini", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
POLICY = KeyPolicy(1, 1, 1, 1, math.inf)
CONTEXT, LIMIT, CALLS = 20_000, 500, 4
PRICE = {
    **{"input": "3", "output": "20", "cache_read": "0.3", "input_audio": "40", "cache_read_audio": "4"},
    **{"input_video": "4", "cache_read_video": "0.4", "output_image": "60", "output_audio": "30"},
    **{"web_search": "14", "tiers": [{"above": 5_000, "rates": {"input": "6", "output": "30"}}]},
}
TEXTS = st.lists(st.text(max_size=300), min_size=1, max_size=5)
PICTURE, SOUND, FILM, PAGES = "image/png", "audio/wav", "video/mp4", "application/pdf"
MEDIA = st.lists(st.sampled_from([PICTURE, SOUND, FILM, PAGES]), max_size=4)
SOUND_BYTES = 32_000  # of base64: mp3's slowest, 24 characters and more a token


def asked(endpoint: Endpoint[Any], price: dict[str, Any], **body: Any) -> tuple[Any, Entry, Ask]:
    """The call as its model takes it, the model, and what is held."""
    entry = Entry(1, "g/m", priced(price, margin="1.05"), (THERE,), None, CONTEXT, CALLS)
    call = endpoint.check(endpoint.read(Asked(orjson.dumps(body), {"model": "m"}, {})), entry)
    return call, entry, ask_of(endpoint, call, entry, policy=POLICY, model_rpm=0)


def told(name: str, **counts: int) -> dict[str, Any]:
    return {name: [{"modality": kind.upper(), "tokenCount": count} for kind, count in counts.items()]}


@given(
    texts=TEXTS,
    media=MEDIA,
    candidates=st.integers(1, 4),
    searches=st.none() | st.integers(0, CALLS),
    hit=st.floats(0, 1),
    thought=st.floats(0, 1),
    made=st.sampled_from(["TEXT", "IMAGE", "AUDIO", None]),
)
def test_content(texts, media, candidates, searches, hit, thought, made):
    data = {PICTURE: "A" * 40, SOUND: "A" * SOUND_BYTES, FILM: "A" * 400, PAGES: "A" * 400}
    parts: list[dict[str, Any]] = [{"text": text} for text in texts]
    parts += [{"inlineData": {"mimeType": kind, "data": data[kind]}} for kind in media]
    config: dict[str, Any] = {"maxOutputTokens": LIMIT, "candidateCount": candidates}
    if made:
        config["responseModalities"] = [made]
    more = {} if searches is None else {"tools": [{"googleSearch": {}}]}
    call, entry, ask = asked(Generate(), PRICE, contents=[{"parts": parts}], generationConfig=config, **more)
    words = sum(len(text.encode()) + 4 for text in texts)
    counts = {"image": 258 * 6 * media.count(PICTURE), "audio": SOUND_BYTES // 24 * media.count(SOUND), "video": 0}
    if PAGES in media:
        words = CONTEXT
    if FILM in media:
        counts["video"], counts["audio"] = CONTEXT * 2 // 3, counts["audio"] + CONTEXT // 3
    prompt = words + sum(counts.values())
    found = 0 if not searches else searches * CONTEXT
    output = LIMIT * candidates
    thoughts = int(output * thought) if made in (None, "TEXT") else 0
    kind = "TEXT" if made is None else made
    usage: dict[str, Any] = {
        "promptTokenCount": prompt,
        "toolUsePromptTokenCount": found,
        "cachedContentTokenCount": int(prompt * hit),
        "candidatesTokenCount": output - thoughts,
        "thoughtsTokenCount": thoughts,
        **told("promptTokensDetails", text=words, **counts),
        **told("cacheTokensDetails", **{name: int(count * hit) for name, count in counts.items()}),
        **told("candidatesTokensDetails", **{kind.lower(): output - thoughts}),
    }
    read = usages.read(usage, searches=searches or 0)
    assert read is not None
    assert (read.usage.input_tokens, read.usage.output_tokens, read.is_odd) == (prompt + found, output, False)
    assert cost_of(entry.price, read.usage, asked=call.terms).charged <= ask.bound
    assert ask.estimate <= ask.bound


@given(texts=TEXTS)
def test_vectors(texts):
    requests = [{"content": {"parts": [{"text": text}]}} for text in texts]
    call, entry, ask = asked(BatchEmbed(), {"input": "3"}, requests=requests)
    count = sum(len(text.encode()) + 3 for text in texts)
    assert cost_of(entry.price, Usage(input_tokens=count)).charged <= ask.bound
    assert cost_of(entry.price, call.fair).charged <= ask.bound
    assert ask.estimate <= ask.bound
