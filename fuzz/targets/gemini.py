"""Gemini: any bytes are a request that every server reads alike, in either spelling, or the caller's fault; and a
stream of any bytes is relayed, counted and judged the same however the network cuts it, as events and as an array. The
first byte says which of the two the rest is."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from fuzz.choices import Choices
from proxy.prices.catalog import Destination, Entry
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.array import AsArray
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked
from proxy.protocols.gemini.generate.endpoint import StreamGenerate
from proxy.protocols.gemini.generate.stream import GenerateStream
from proxy.protocols.sse import END, Splitter

THERE = Destination("g/m", 1, "main", "gemini", "http://127.0.0.1/v1beta", "k", "theirs", 1, 1, kind="gemini")
GENERATE = StreamGenerate()
ENTRY = Entry(
    1,
    "g/m",
    PriceVersion(1, "per_token", {"input": Decimal(1), "output": Decimal(1)}, Decimal(1)),
    (THERE,),
    None,
    9_000,
)
SAID = b'"contents":[{"role":"user","parts":['
REQUESTS = [
    b'{%b{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":5,"candidateCount":2}}' % SAID,
    b'{%b{"inline_data":{"mime_type":"image/png","data":"AA"}}]}],"system_instruction":{"parts":{"text":"a"}}}' % SAID,
    b'{%b{"fileData":{"fileUri":"https://a/b.pdf","mimeType":"application/pdf"}}]}],"tools":{"googleSearch":{}}}'
    % SAID,
    b'{%b{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f"}],"code_execution":{}}],"cachedContent":""}'
    % SAID,
    b'{%b{"executableCode":{"code":"1"}}]}],"generation_config":{"max_output_tokens":3,"maxOutputToken\\u0073":4}}'
    % SAID,
    b'{%b{"functionResponse":{"parts":[{"fileData":{"fileUri":"files/a"}}]}}]}],"model":"x","serviceTier":"flex"}'
    % SAID,
]
PIECES = [
    b'{"candidates":[{"content":{"parts":[{"text":"one "}]},"index":0}],"usageMetadata":{"promptTokenCount":3}}',
    b'{"candidates":[{"content":{"parts":[{"text":"two ","thought":true}]}}],"modelVersion":"m","responseId":"r"}',
    b'{"candidates":[{"finishReason":"STOP","index":0}],"usageMetadata":{"candidatesTokenCount":2,"cost":0.1}}',
    b'{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}',
]
STREAM = b"".join(b"data: %b\r\n\r\n" % piece for piece in PIECES)
SEEDS = [
    *(b"\x00" + request for request in REQUESTS),
    b"\x01\x03\x00\x30\x00\x60\x00\x90".ljust(17, b"\x05") + STREAM,
    b"\x01".ljust(17, b"\x07") + STREAM.replace(b"\r", b""),
    b"\x01".ljust(17, b"\x02") + STREAM[:230] + b'data: {"error":{"code":500,"message":"x"}}\n\n',
    b"\x01".ljust(17, b"\x02") + b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n',
]
WORDS = [
    *(b'"contents":', b'"parts":', b'"generationConfig":', b'"max_output_tokens":', b'"inlineData":', b'"fileData":'),
    *(b'"tools":', b'"googleSearch":', b'"cachedContent":', b'"candidateCount":', b'"usageMetadata":', b"\\u0054"),
    *(b'"finishReason":', b'"candidates":', b'"index":', b'"error":', b'"blockReason":', b'"functionResponse":'),
]
EXAMPLES = 300
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)
PLACE = {"model": "m"}


def check(data: bytes) -> None:
    if data[:1] == b"\x00":
        check_request(data[1:])
    else:
        plan = Choices(data[1:17])
        assert said(plan.cut(data[17:])) == said([data[17:]])


def check_request(raw: bytes) -> None:
    try:
        call = GENERATE.check(GENERATE.read(Asked(raw, PLACE, {}, b"alt=sse")), ENTRY)
    except BadRequest:
        return
    sending = GENERATE.dialects["gemini"].request(call, THERE, output_limit=7, habits=Habits())
    readers: list[Any] = [plain, lambda pairs: dict(reversed(plain_pairs(pairs))), plain_of_any_case]
    for reader in readers:
        theirs = json.loads(b"".join(sending.body), object_pairs_hook=reader)
        config = theirs["generationconfig"]
        assert (config["maxoutputtokens"], config.get("candidatecount") or 1) == (7, call.choices)
        assert not {"model", "cachedcontent", "n", "stream", "models"} & {
            name for name, value in theirs.items() if value is not None
        }
        tools = theirs.get("tools") or []
        for tool in [tools] if isinstance(tools, dict) else tools:
            found = {name for name, value in tool.items() if value is not None}
            assert not found & {"googlesearch", "codeexecution", "urlcontext", "filesearch", "googlemaps"}


def plain_pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Names as a server of either spelling knows them."""
    return [(name.replace("_", "").lower() if name.isascii() else name, value) for name, value in pairs]


def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(plain_pairs(pairs))


def plain_of_any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.replace("_", "").replace("-", "").casefold(): value for name, value in pairs}


def said(pieces: Iterable[bytes]) -> tuple[bytes, Reported, int, bool, object, bytes]:
    stream, splitter, array = GenerateStream(Manner("gen-ours")), Splitter(), AsArray()
    relayed = items = b""
    try:
        for piece in pieces:
            events = stream.take(splitter.feed(piece))
            relayed, items = relayed + events, items + array.items(events)
        if splitter.rest.strip():
            events = stream.take(splitter.rest.rstrip() + END)
            relayed, items = relayed + events, items + array.items(events)
    except ValueError:  # too much before an answer: it is cut
        return b"", Reported(None), 0, False, None, b""
    tail = stream.tail(CHARGED, USED)
    every = (relayed + tail).split(END)[:-1]
    for event in every:
        assert event.startswith(b"data: ")
        assert b"\n" not in event
    assert len(json.loads((items + array.last(tail)).decode("utf-8", "replace"), strict=False)) == len(every)
    return relayed, stream.reported, stream.content_bytes, stream.is_complete, stream.error, tail
