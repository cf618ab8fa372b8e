"""Any bytes are a chat request that every server reads alike, or the caller's fault; nothing else comes of them."""

import json
from typing import Any

from proxy.catalog import Destination
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from proxy.protocols.openai.careful import read_carefully

THERE = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
SEEDS = [
    b'{"model":"openai/m","messages":[{"role":"user","content":"hi"}],"max_tokens":5,"stream":true}',
    b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:'
    b'image/png;base64,AAAA", "detail": "low"}}]}], "n": 2}',
    b'{"model":"m","messages":[{"role":"tool","content":null,"tool_call_id":"c"}],'
    b'"tools":[{"type":"function","function":{}}]}',
    b'{"model":"m","model":"n","messages":[{"role":"user","content":"a","Content":"b"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\\u00e9"}],"stream_options":{"include_usage":false,"x":1}}',
]
WORDS = [b'"model":', b'"messages":', b'"n":', b'"role":', b'"content":', b'"type":']
EXAMPLES = 300


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
