"""Any bytes of an upstream's error become a short sentence within a moment, without the key in use or its host."""

import time

from proxy.prices.catalog import Destination
from proxy.relay import errors

KEY = "sk-live-9f8e7d6c5b4a39281706"
THERE = Destination("m", 1, "main", "openai", "https://gw-7.internal.example.com:8443/v1", KEY, "m", 1, 1)
LONGEST_SECONDS = 0.5
"""Of the processor, for 64 kB; a quadratic pattern takes a minute."""
SEEDS = [
    b'{"error":{"message":"Incorrect API key: ' + KEY.encode() + b'","param":"messages","code":"invalid_api_key"}}',
    b"a." * 2000,
    b"a:b:c:d::" * 500,
    b'[{"error":{"message":"maximum context length is 8192 tokens","status":"INVALID_ARGUMENT"}}]',
    b'{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"}]}',
    b'data: {"error":{"message":"at 10.0.0.7:8000, gw-7.internal.example.com, [fe80::1]:80"}}\n\n',
    b"<html><title>502</title></html>",
    b'{"error":' * 400,
]
WORDS = [b"data: ", b"error: ", KEY.encode()]


def check(data: bytes) -> None:
    own, _, body = data.partition(b"\xff")
    began = time.thread_time()
    refusal = errors.callers_fault(400, body or own, destination=THERE, own=own if body else b"")
    assert time.thread_time() - began < LONGEST_SECONDS
    for text in (refusal.message, refusal.param or ""):
        assert len(text) <= 600
        assert KEY not in text
        assert "gw-7.internal.example.com" not in text.lower()
        assert text == text.strip()
        assert text.isprintable()
    assert refusal.code in errors.CODES | {"validation_error", "request_too_large"}
