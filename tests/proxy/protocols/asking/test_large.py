"""Large bodies cost what they hold and no more, and nobody without a balance has one read."""

import socket
import time
import tracemalloc

import pytest

from accounts.keys import issuing
from accounts.people.customers import suspend
from proxy.prices.loading import load_catalog
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from tests.conftest import NOW
from tests.proxy.conftest import catalog

SIZE = 19_000_000
HEAD = b'{"model":"openai/m","messages":[{"role":"user","content":"hi"}],'


def filled(unit: bytes, name: bytes = b"metadata") -> bytes:
    return HEAD + b'"%b":[%b]}' % (name, b",".join([unit] * (SIZE // (len(unit) + 1))))


UNITS = (b"[]", b"{}", b"1", b"1.5", b'"ab"', b"null", b'{"a":[]}', b"[[[]]]")
PLACES = [(b"metadata", unit) for unit in UNITS]
PLACES += [(name, unit) for name in (b"tools", b"functions", b"stop") for unit in (b"[]", b'"ab"', b'{"a":[]}')]


@pytest.mark.parametrize(("name", "unit"), PLACES)
def test_a_finely_divided_body_takes_little_memory_and_time(name, unit):
    raw = filled(unit, name)
    tracemalloc.start()
    began = time.thread_time()
    try:
        call = chat.read(raw)
    except BadRequest:
        call = None
    seconds, (_now, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80_000_000, f"{peak / 1e6:.0f} MB beside the body"
    assert seconds < 3, "of a processor, under tracemalloc, which slows it several times"
    del call


def test_messages_without_end_are_refused_before_they_are_parsed():
    item = b'{"role":"user","content":""}'
    raw = b'{"model":"m","messages":[%b]}' % b",".join([item] * (SIZE // len(item)))
    tracemalloc.start()
    with pytest.raises(BadRequest, match="objects or lists"):
        chat.read(raw)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


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
    poor = issuing.issue(customer=make_customer(name="Poor"), name="k", now=NOW)
    assert b" 402 " in announce(gateway, key=poor.text, size=SIZE).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("allowed", "status"), [((), 200), (("openai/free",), 200), (("free",), 200), (("openai/m",), 402)]
)
def test_without_a_balance_a_large_body_is_read_where_the_key_may_use_a_free_model(
    gateway, upstream, make_customer, allowed, status
):
    data = catalog(upstream)
    free = {**data["models"][0], "id": "openai/free", "price": {"billing": "per_token", "input": "0", "output": "0"}}
    load_catalog({**data, "models": [*data["models"], free]})
    gateway.look_at_catalog()
    poor = issuing.issue(customer=make_customer(name="Poor"), name="k", now=NOW, allowed_models=list(allowed))
    headers = {"Authorization": f"Bearer {poor.text}"}
    text = [{"role": "user", "content": "word, " * 50_000}]
    assert gateway.chat(model="openai/free", messages=text, headers=headers).status_code == status
    if status == 402:
        assert b" 402 " in announce(gateway, key=poor.text, size=SIZE).split(b"\r\n")[0]
    elif not allowed:
        assert gateway.chat(messages=text, headers=headers).status_code == 402


def test_a_suspended_customers_large_body_is_refused_unread(gateway, customer):
    suspend(customer=customer, reason="test", now=NOW)
    assert b" 403 " in announce(gateway, key=gateway.key, size=SIZE).split(b"\r\n")[0]
