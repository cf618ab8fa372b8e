"""What is learned against real vocabularies: a guess is below the true count in less than one of a hundred prompts."""

import base64
import json
import random
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from proxy.learning import rows
from proxy.learning.guess import Lesson, guess_of
from proxy.prices.bounds import Material, wide_bytes

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it opens its data in an old way
    import bpe_openai

PROMPTS = 60
FIRST = 5
"""So many taught it before a guess counts here."""


def lines_of(*patterns: str) -> list[str]:
    files = [file for pattern in patterns for file in sorted(Path().glob(pattern))]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def source(kind: str) -> list[str]:
    if kind == "english":
        return lines_of("docs/*.md", "docs/decisions/*.md")
    if kind == "chinese":
        said = lines_of("locale/zh_Hans/LC_MESSAGES/django.po")
        return [line[8:-1] for line in said if line.startswith('msgstr "') and not line.isascii()]
    if kind == "code":
        return lines_of("proxy/*/*.py")
    chance = random.Random(7)
    if kind == "json":
        return [
            json.dumps(
                {"id": chance.randrange(10**9), "amount": f"{chance.random():.8f}", "tags": chance.sample(WORDS, 3)}
            )
            for _ in range(2_000)
        ]
    return [base64.b64encode(chance.randbytes(57)).decode() for _ in range(2_000)]


WORDS = ["held", "used", "refused", "tool_use", "path", "content", "cache_control", "2026-11-23T12:00:00Z"]
KINDS = ("english", "chinese", "code", "json", "base64")


def prompts(kind: str) -> list[bytes]:
    """Bodies of 8 to 30 kB, as they are sent: a text within JSON."""
    chance, found = random.Random(kind), []
    while len(found) < PROMPTS:
        lines, size = [], chance.randrange(8_500, 30_000)
        while size > 0:
            at = chance.randrange(len(source(kind)))
            piece = "\n".join(source(kind)[at : at + 20])
            lines.append(piece)
            size -= len(piece.encode())
        said = [{"role": "user", "content": "\n".join(lines)}]
        found.append(json.dumps({"model": "m", "messages": said}, ensure_ascii=False).encode())
    return found


@cache
def tekken() -> Any:
    return MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer


COUNTS: dict[str, Callable[[str], int]] = {
    "o200k": lambda text: len(bpe_openai.get_encoding("o200k_base").encode_ordinary(text)),
    "tekken": lambda text: len(tekken().encode(text, bos=False, eos=False)),
}


@pytest.mark.django_db
def test_a_guess_is_below_the_true_count_in_less_than_one_of_a_hundred():
    guesses, below, guessed, true = 0, 0, 0, 0
    bodies = {kind: prompts(kind) for kind in KINDS}
    places = [(customer, model) for customer in range(len(KINDS)) for model in range(len(COUNTS))]
    for number in range(PROMPTS):
        lessons = []
        known, _ = rows.find(places, [])
        for place in places:
            body, count = bodies[KINDS[place[0]]][number], list(COUNTS.values())[place[1]]
            tokens = count(json.loads(body)["messages"][0]["content"])
            assert tokens <= len(body), "a token has a byte at least"
            if number >= FIRST:
                material = Material(text_bytes=len(body), wide=wide_bytes(body))
                guess = guess_of(material, limit=1_000, ratio=known[place], warm=None)
                assert guess is not None
                assert guess.input <= len(body)
                guesses, below = guesses + 1, below + (guess.input < tokens)
                guessed, true = guessed + guess.input, true + tokens
            lessons.append(Lesson(*place, 1, len(body), tokens, 0, 100, True, monotonic()))
        rows.write(lessons)
    assert below < guesses / 100
    assert guessed < 1.3 * true
