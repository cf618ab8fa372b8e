"""The paths beside chat: how each is asked, shortly and as an agent does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.machine import CHAT, MESSAGES, MODEL, RESPONSES

WORDS = "Say a few words, please."
LONG = "You are an agent. " * 800
TURNS, TOOLS = 20, 30
SCHEMA = {"type": "object", "description": "a word " * 180}


@dataclass(frozen=True, slots=True)
class Line:
    """One path; `stream_path` where it streams, "" where it does not. A long one is 60 kB, as an agent asks."""

    path: str
    asked: Mapping[str, Any]
    stream_path: str = ""
    model: str = MODEL
    is_long: bool = False


def _turns(text: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}] * TURNS


def _functions(wrap: Any) -> list[Any]:
    return [wrap(f"tool_{number}") for number in range(TOOLS)]


def _gemini(verb: str) -> str:
    return f"/v1beta/models/{MODEL}:{verb}"


GENERATE, STREAMS = _gemini("generateContent"), _gemini("streamGenerateContent") + "?alt=sse"
CHAT_AGENT = {
    "max_tokens": 100,
    "messages": [{"role": "system", "content": LONG}, *_turns("word " * 40)],
    "tools": _functions(lambda name: {"type": "function", "function": {"name": name, "parameters": SCHEMA}}),
}
MESSAGES_AGENT = {
    "max_tokens": 100,
    "system": LONG,
    "messages": _turns([{"type": "text", "text": "word " * 40}]),
    "tools": _functions(lambda name: {"name": name, "input_schema": SCHEMA}),
}
RESPONSES_AGENT = {
    "max_output_tokens": 100,
    "instructions": LONG,
    "input": [{"type": "message", **turn} for turn in _turns([{"type": "input_text", "text": "word " * 40}])],
    "tools": _functions(lambda name: {"type": "function", "name": name, "parameters": SCHEMA}),
    "store": False,
}
"""Its first events and the last one repeat it."""
GENERATE_AGENT = {
    "systemInstruction": {"parts": [{"text": LONG}]},
    "contents": [{"role": "user", "parts": [{"text": "word " * 40}]}] * TURNS,
    "tools": [{"functionDeclarations": _functions(lambda name: {"name": name, "parameters": SCHEMA})}],
    "generationConfig": {"maxOutputTokens": 100},
}
HELLO = {"max_tokens": 100, "messages": [{"role": "user", "content": WORDS}]}
LINES = (
    Line(MESSAGES, HELLO, MESSAGES),
    Line(RESPONSES, {"input": WORDS, "max_output_tokens": 100}, RESPONSES),
    Line(GENERATE, {"contents": [{"parts": [{"text": WORDS}]}], "generationConfig": {"maxOutputTokens": 100}}, STREAMS),
    Line("/v1/completions", {"prompt": WORDS, "max_tokens": 100}, "/v1/completions"),
    Line("/v1/embeddings", {"input": [WORDS] * 4}, model="bench/vectors"),
    Line("/v1/rerank", {"query": WORDS, "documents": [WORDS] * 4}, model="bench/ranks"),
    Line("/v1/images/generations", {"prompt": WORDS}, model="bench/pictures"),
    Line("/v1/audio/speech", {"input": WORDS, "voice": "alloy"}, model="bench/voice"),
    Line("/v1/moderations", {"input": WORDS}, model="bench/judge"),
    Line(CHAT, HELLO, CHAT, model="bench/on-messages"),
    Line(MESSAGES, HELLO, MESSAGES, model="bench/on-chat"),
    Line(CHAT, CHAT_AGENT, CHAT, is_long=True),
    Line(MESSAGES, MESSAGES_AGENT, MESSAGES, is_long=True),
    Line(RESPONSES, RESPONSES_AGENT, RESPONSES, is_long=True),
    Line(GENERATE, GENERATE_AGENT, STREAMS, is_long=True),
)
SLOW = (CHAT, MESSAGES, RESPONSES, GENERATE, "/v1/completions")
"""What streams text, for a thousand at once."""
