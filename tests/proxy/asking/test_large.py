"""Large bodies cost what they hold and no more, and nobody without a balance has one read."""

import socket
import time
import tracemalloc

import pytest

from accounts.customers import suspend
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from tests.conftest import NOW

SIZE = 19_000_000
HEAD = b'{"model":"openai/m","messages":[{"role":"user","content":"hi"}],'


def filled(unit: bytes, name: bytes = b"metadata") -> bytes:
    return HEAD + b'"%b":[%b]}' % (name, b",".join([unit] * (SIZE // (len(unit) + 1))))


@pytest.mark.parametrize("unit", [b"[]", b"{}", b"1", b"1.5", b'"ab"', b"null", b'{"a":[]}', b"[[[]]]"])
@pytest.mark.parametrize("name", [b"metadata", b"tools", b"functions", b"stop"])
def test_a_finely_divided_body_takes_little_memory_and_time(unit, name):
    raw = filled(unit, name)
    tracemalloc.start()
    began = time.perf_counter()
    try:
        call = chat.read(raw)
    except BadRequest:
        call = None
    seconds, (_now, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80_000_000, f"{peak / 1e6:.0f} MB beside the body"
    assert seconds < 3, "under tracemalloc, which slows it several times"
    del call


def test_messages_without_end_are_refused_before_they_are_parsed():
    item = b'{"role":"user","content":""}'
    raw = b'{"model":"m","messages":[%b]}' % b",".join([item] * (SIZE // len(item)))
    tracemalloc.start()
    with pytest.raises(BadRequest, match="objects or lists"):
        chat.read(raw)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_long_text_is_taken_and_goes_upstream_whole(gateway, upstream):
    text = "word, " * 1_000_000
    gateway.chat(messages=[{"role": "user", "content": text}], max_tokens=1)
    if upstream.calls:
        assert upstream.calls[0]["messages"][0]["content"] == text


def announce(gateway, *, key: str, size: int) -> bytes:
    """The answer to a head that announces a body, of which nothing is sent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        lines = (
            "POST /v1/chat/completions HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {key}",
            f"Content-Length: {size}",
        )
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return connection.recv(65536)


def test_without_a_balance_a_large_body_is_refused_unread(gateway, make_customer):
    from accounts import keys

    poor = keys.issue(customer=make_customer(name="Poor"), name="k", now=NOW)
    assert b" 402 " in announce(gateway, key=poor.text, size=SIZE).split(b"\r\n")[0]


def test_a_suspended_customers_large_body_is_refused_unread(gateway, customer):
    suspend(customer=customer, reason="test", now=NOW)
    assert b" 403 " in announce(gateway, key=gateway.key, size=SIZE).split(b"\r\n")[0]
