"""Any bytes of an answer of a path beside chat are read without a fault, and go on with their cost."""

from decimal import Decimal
from typing import Any

import orjson

from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Manner
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.audio.speech import Speech
from proxy.protocols.openai.embeddings import Embeddings
from proxy.protocols.openai.images.generations import ImageGenerations
from proxy.protocols.openai.rerank import Rerank
from proxy.protocols.sse import END, Splitter, data_of

PATHS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (Embeddings(), {"input": "a"}),
    (Rerank(), {"query": "a", "documents": ["b"]}),
    (ImageGenerations(), {"prompt": "a"}),
)
SEEDS = [
    b'{"object":"list","data":[{"embedding":[0.5,NaN]}],"usage":{"prompt_tokens":3,"total_tokens":"3","cost":1}}',
    b'{"results":[{"index":0,"relevance_score":1}],"meta":{"billed_units":{"search_units":1.0}},"usage":{"total_tokens":5}}',
    b'{"error":{"message":"m"},"data":[]}',
    b'{"data":[{"url":"u"}],"size":"s","quality":"\\u0000","usage":{"input_tokens":1,"output_tokens":2,'
    b'"input_tokens_details":{"image_tokens":5}}}',
    b'data: {"type":"image_generation.completed","b64_json":"A","usage":{"input_tokens":1,"output_tokens":9}}\n\n',
    b'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\ndata: {"type":"speech.audio.done","usage":'
    b'{"input_tokens":1,"output_tokens":2}}\n\n',
    b'event: speech.audio.done\ndata: {"usage":{},\ndata: "type":"speech.audio.done"}\n\nevent: error\ndata: no\n\n',
    b'{"data":"\\ud83d","results":{},"meta":[],"usage":[]}',
]
STREAMS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (Speech(), {"input": "a", "stream_format": "sse"}),
    (ImageGenerations(), {"prompt": "a", "stream": True}),
)
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))


def check(data: bytes) -> None:
    for endpoint, asked in STREAMS:
        call = endpoint.read(Asked(orjson.dumps({"model": "m", **asked}), {}, {}))
        stream, splitter = endpoint.dialects["openai"].events(call, Manner("gen-ours")), Splitter()
        relayed = stream.take(splitter.feed(data)) + stream.take(splitter.rest.rstrip() + END)
        assert b"done" not in relayed or not stream.done or data.count(b"done") > 1
        if stream.done:
            last = lossless.load(data_of(stream.tail(CHARGED, Usage(input_tokens=1, output_tokens=1))))
            assert last["x_chuizi"]["cost"] == "0.00042000"
    for endpoint, asked in PATHS:
        call = endpoint.read(Asked(orjson.dumps({"model": "m", **asked}), {}, {}))
        dialect = endpoint.dialects["openai"]
        try:
            answer, text = dialect.load(data)
        except ValueError:
            continue
        dialect.failure(answer)
        if not isinstance(answer, dict):
            continue
        reported = dialect.read_answer(call, answer)
        assert dialect.produced_bytes(answer) >= 0
        shown = lossless.load(dialect.decorate(text, answer, reported, CHARGED, Usage(input_tokens=1), None))
        assert shown["x_chuizi"]["cost"] == "0.00042000"
        assert Decimal(str(shown["usage"]["cost"])) == CHARGED.cost
