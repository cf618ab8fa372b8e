"""Any bytes are a chat request that every server reads alike, or the caller's fault; nothing else comes of them."""

import json
from collections.abc import Iterator
from typing import Any

from proxy.prices.catalog import Destination
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.asked.careful import read_carefully
from proxy.protocols.structure import MOST_DEPTH

THERE = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
SEEDS = [
    b'{"model":"openai/m","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"stream":true}',
    b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:'
    b'image/png;base64,AAAA", "detail": "low"}}]}], "n": 2}',
    b'{"model":"m","messages":[{"role":"tool","content":null,"tool_call_id":"c"}],'
    b'"tools":[{"type":"function","function":{}}]}',
    b'{"model":"m","model":"n","messages":[{"role":"user","content":"a","Content":"b"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\\u00e9"}],"stream_options":{"include_usage":false,"x":1}}',
    b'{"model":"m","messages":[{"role":"tool","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,'
    b'AAAA","filename":"a.pdf"}},{"type":"text","text":"a"}]}],"prediction":{"type":"content","content":[]}}',
    b'{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]'
    b'}],"metadata":{"a":"\\\\\\"[{"},"x":' + b"[" * 190 + b"]" * 190 + b"}",
    b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":"https://x/film.mp4"}]}]}',
    b'{"model":"m","messages":[{"role":"user","content":"hi"}],"modalities":["text","audio"],"audio":{"voice":"alloy"},'
    b'"web_search_options":{"search_context_size":"low"},"service_tier":"priority"}',
]
WORDS = [
    *(
        b'"model":',
        b'"messages":',
        b'"n":',
        b'"role":',
        b'"content":',
        b'"type":',
        b'"image_url":',
        b'"file":',
        b'"url":',
    ),
    *(b'"file_data":', b'"file_id":', b'"video_url":', b'"prediction":', b'"metadata":', b'"format":', b'"filename":'),
    *(
        b'"data:video/mp4;base64,"',
        b'"DATA:audio/wav,"',
        b'"text"',
        b'"input_audio"',
        b'"file"',
        b"[[[[[[[[",
        b"]]]]]]]]",
    ),
    *(b"\\u0064", b"\\/", b"\\t"),
]
EXAMPLES = 300
TYPES = {"text", "refusal", "thinking", "reasoning", "image_url", "input_audio", "file"}
APART = ("data:audio/", "data:video/")


def check(data: bytes) -> None:
    try:
        call = chat.read(data)
    except BadRequest:
        return
    assert read_carefully(data) == call
    body = b"".join(chat.upstream_body(call, THERE, output_limit=7))
    readers: list[Any] = [dict, lambda pairs: dict(reversed(pairs)), lambda pairs: {n.casefold(): v for n, v in pairs}]
    for reader in readers:
        theirs = json.loads(body, object_pairs_hook=reader)
        assert theirs["model"] == "theirs"
        assert {theirs[name] for name in ("max_tokens", "max_completion_tokens") if name in theirs} == {7}
        assert theirs.get("n") in (None, call.choices)
        assert bool(theirs.get("stream")) == call.stream
        assert depth_of(theirs) <= MOST_DEPTH
        if theirs.get("audio") is not None or "audio" in (theirs.get("modalities") or ()):
            assert "output_audio" in call.units
        if theirs.get("web_search_options") is not None:
            assert "web_search" in call.units
        for part in parts_of(theirs):
            assert call.units or not sounds_or_moves(part)


def depth_of(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [held for item in level for held in (item.values() if isinstance(item, dict) else item)]
    return depth


def parts_of(body: Any) -> Iterator[dict[str, Any]]:
    """The parts of messages and of what is predicted."""
    for holder in (*body["messages"], body.get("prediction") or {}):
        content = holder.get("content")
        yield from content if isinstance(content, list) else ()


def sounds_or_moves(part: dict[str, Any]) -> bool:
    """Whether anything in it is audio or video, by its type or by its data."""
    if part["type"] not in TYPES or part["type"] == "input_audio" or part.get("video_url"):
        return True
    held = part.get(part["type"]) if part["type"] in ("image_url", "file") else None
    texts = [held] if isinstance(held, str) else list(held.values()) if isinstance(held, dict) else []
    return any(isinstance(text, str) and "".join(text.split()).lower().startswith(APART) for text in texts)
