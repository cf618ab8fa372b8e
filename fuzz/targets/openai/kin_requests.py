"""Any bytes are a request of a path beside chat that every server reads alike, or the caller's fault."""

import json
from typing import Any

from proxy.prices.catalog import Destination
from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.audio.speech import Speech
from proxy.protocols.openai.completions import Completions
from proxy.protocols.openai.embeddings import Embeddings
from proxy.protocols.openai.images.generations import ImageGenerations
from proxy.protocols.openai.moderations import Moderations
from proxy.protocols.openai.rerank import Rerank
from proxy.relay.habits import UNKNOWN

THERE = Destination("openai/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
PATHS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (Embeddings(), ("input",)),
    (Moderations(), ("input",)),
    (Completions(), ("prompt", "n", "best_of", "suffix")),
    (Rerank(), ("query", "documents")),
    (ImageGenerations(), ("prompt", "n", "size", "quality", "partial_images")),
    (Speech(), ("input", "instructions", "speed", "stream_format")),
)
"""Each with the fields that it is priced by."""
SEEDS = [
    b'{"model":"m","prompt":["a",""],"n":2,"best_of":3,"stream":true,"stream_options":{"include_usage":true}}',
    b'{"model":"m","prompt":[[1],[2]],"max_tokens":0,"echo":true,"service_tier":"flex"}',
    b'{"model":"m","prompt":"a","n":2,"size":"1024x1024","quality":"hd","N":3}',
    b'{"model":"m","input":["one",""],"dimensions":8,"encoding_format":"base64"}',
    b'{"model":"m","input":[[1,2],[3]],"user":"u"}',
    b'{"input":"\\u00e9","Input":[1],"model":"m"}',
    b'{"model":"m","query":"a","documents":["b",{"text":"c","text":"d"}],"top_n":1,"x":{"models":[]}}',
    b'{"model":"m","input":"a\\ud83d\\ude00","voice":"v","speed":0.5,"stream_format":"sse","instructions":"slowly"}',
]
WORDS = [b'"model":', b'"input":', b'"query":', b'"documents":', b'"stream":', b"[[", b"]]", b"\\u0064"]
EXAMPLES = 300


def check(data: bytes) -> None:
    for endpoint, fields in PATHS:
        try:
            call = endpoint.read(Asked(data, {}, {}))
        except BadRequest:
            continue
        sending = endpoint.dialects["openai"].request(call, THERE, output_limit=None, habits=UNKNOWN)
        body = b"".join(sending.body)
        ours = json.loads(data)
        readers: list[Any] = [dict, lambda pairs: dict(reversed(pairs)), _folded]
        for reader in readers:
            theirs = json.loads(body, object_pairs_hook=reader)
            assert theirs["model"] == "theirs"
            assert [theirs.get(name) for name in fields] == [_read(ours.get(name), reader) for name in fields]
            assert call.stream or not theirs.get("stream")


def _folded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.casefold(): value for name, value in pairs}


def _read(value: Any, reader: Any) -> Any:
    """As that server reads it; only what stands at the top is priced by its name."""
    return json.loads(json.dumps(value), object_pairs_hook=reader)
