"""The paths of OpenAI's and its kin beside chat: a request to each, an upstream's answer, and what that used."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tests.uploads import sound

WORDS = ["one two three", "four five six"]


@dataclass(frozen=True)
class Kin:
    """`price` in USD as a catalog has it; `cost` with the margin. `lines` are those of the receipt."""

    name: str
    path: str
    price: dict[str, Any]
    asked: dict[str, Any]
    told: dict[str, Any]
    lines: dict[str, int]
    cost: Decimal
    counts: dict[str, str] = field(default_factory=dict)
    """Whose usage is charged with a fault, where it is another than of most: what was known beforehand is no news."""

    is_form: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def sent(self) -> dict[str, Any]:
        return {"model": "openai/m", **self.asked}

    @property
    def shown(self) -> dict[str, Any]:
        """`told` under the model's name that was asked for."""
        return {**self.told, **({"model": self.sent["model"]} if "model" in self.told else {})}


def vector(at: int) -> dict[str, Any]:
    return {"object": "embedding", "index": at, "embedding": [0.25, -0.5]}


EMBEDDINGS = Kin(
    name="embeddings",
    path="/v1/embeddings",
    price={"input": "10"},
    asked={"input": WORDS},
    told={
        "object": "list",
        "data": [vector(0), vector(1)],
        "model": "m-at-upstream",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
    lines={"input_token": 8},
    cost=Decimal("0.000084"),
)
RESULTS = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
COHERE = Kin(
    name="rerank",
    path="/v1/rerank",
    price={"search": "2"},
    asked={"query": "five?", "documents": WORDS, "top_n": 2},
    told={"id": "r-1", "results": RESULTS, "meta": {"billed_units": {"search_units": 1}}},
    lines={"search": 1},
    cost=Decimal("0.0021"),
)
JINA = Kin(
    name="rerank by tokens",
    path="/v2/rerank",
    price={"input": "10"},
    asked={"query": "five?", "documents": [{"text": "one"}, "two"]},
    told={"model": "m-at-upstream", "results": RESULTS, "usage": {"total_tokens": 10}},
    lines={"input_token": 10},
    cost=Decimal("0.000105"),
)
ALL = (EMBEDDINGS, COHERE, JINA)
KNOWN = {"no-usage": "upstream", "zero-usage": "upstream", "huge-usage": "upstream"}
SPEECH = Kin(
    name="speech",
    path="/v1/audio/speech",
    price={"character": "15"},
    asked={"input": "one two three four", "voice": "alloy"},
    told={},
    lines={"character": 18},
    cost=Decimal("0.0002835"),
    counts=KNOWN,
)
SPOKEN_BY_TOKEN = Kin(
    name="speech by tokens",
    path="/v1/audio/speech",
    price={"input": "1", "output_audio": "12"},
    asked={"input": "one two three four", "voice": "alloy"},
    told={},
    lines={},
    cost=Decimal(0),
    counts={"": "estimated", "huge-usage": "estimated"},
)
SPOKEN_EVENTS = Kin(
    name="speech as events",
    path="/v1/audio/speech",
    price={"input": "1", "output_audio": "12"},
    asked={"input": "one two three four", "voice": "alloy", "stream_format": "sse"},
    told={},
    lines={"input_token": 5, "output_audio_token": 27},
    cost=Decimal("0.00034545"),
)
BY_TOKEN = {"input_text": "5", "input_image": "10", "output_image": "40"}
PICTURES = Kin(
    name="images",
    path="/v1/images/generations",
    price={"image": "0.04"},
    asked={"prompt": "one two three four", "n": 2},
    told={},
    lines={"image": 2},
    cost=Decimal("0.084"),
    counts=KNOWN,
)
PICTURES_BY_TOKEN = Kin(
    name="images by tokens",
    path="/v1/images/generations",
    price=BY_TOKEN,
    asked={"prompt": "one two three four", "quality": "low"},
    told={},
    lines={"input_text_token": 5, "output_image_token": 272},
    cost=Decimal("0.01145025"),
)
PICTURE_EVENTS = Kin(
    name="images as events",
    path="/v1/images/generations",
    price=BY_TOKEN,
    asked={"prompt": "one two three four", "quality": "low", "stream": True, "partial_images": 2},
    told={},
    lines={"input_text_token": 5, "output_image_token": 472},
    cost=Decimal("0.01985025"),
)
TRANSCRIPT = Kin(
    name="a transcript",
    path="/v1/audio/transcriptions",
    price={"input": "2.5", "input_audio": "6", "output": "10"},
    asked={"file": sound(4), "prompt": "one"},
    told={},
    lines={"input_token": 1, "input_audio_token": 40, "output_token": 5},
    cost=Decimal("0.00030712"),
    is_form=True,
)
TRANSCRIPT_EVENTS = replace(TRANSCRIPT, name="a transcript as events", asked={**TRANSCRIPT.asked, "stream": "true"})
MEDIA = (SPEECH, SPOKEN_BY_TOKEN, PICTURES, PICTURES_BY_TOKEN)
STREAMS = (SPOKEN_EVENTS, PICTURE_EVENTS)
"""Those before the sandbox alone."""
COMPLETIONS = Kin(
    name="completions",
    path="/v1/completions",
    price={"input": "10", "output": "40"},
    asked={"prompt": WORDS, "max_tokens": 8},
    told={},
    lines={"input_token": 8, "output_token": 16},
    cost=Decimal("0.000756"),
)
