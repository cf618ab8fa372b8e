"""What Django and a proxy would have supplied: a slow or huge request takes nothing down."""

import socket

import pytest

from chuizi.server import connection as server
from proxy import exchange
from proxy.models import Generation
from tests.proxy.conftest import wait_for
from tests.upstream import STREAM, chunk


def connection(gateway) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def answer_of(open_connection: socket.socket) -> bytes:
    seen = b""
    while piece := open_connection.recv(65536):
        seen += piece
    return seen


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


def test_a_head_of_more_than_32_kb_is_refused_while_it_comes(gateway):
    with connection(gateway) as client:
        client.sendall(HEAD)
        client.sendall(b"".join(f"X-{number}: {'a' * 1000}\r\n".encode() for number in range(32)))
        assert answer_of(client).startswith(b"HTTP/1.1 431")


def test_a_complete_head_of_more_than_32_kb_is_refused_in_our_shape(gateway):
    response = gateway.chat(headers={f"X-{number}": "a" * 1000 for number in range(33)})
    assert (response.status_code, response.json()["error"]["code"]) == (431, "request_too_large")


@pytest.mark.parametrize("sent", [b"", HEAD])
def test_a_head_that_does_not_come_within_the_time_is_cut(gateway, monkeypatch, sent):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with connection(gateway) as client:
        client.sendall(sent)
        assert answer_of(client).startswith(b"HTTP/1.1 408")


def test_a_second_slow_head_on_one_connection_is_cut_too(gateway, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with connection(gateway) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(65536)
        client.sendall(HEAD)
        assert b"408" in answer_of(client)


def test_a_body_that_stalls_is_408_and_holds_nothing(gateway, monkeypatch):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 0.3)
    with connection(gateway) as client:
        client.sendall(HEAD + f"Authorization: Bearer {gateway.key}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        client.settimeout(3)
        assert client.recv(65536).startswith(b"HTTP/1.1 408")
    assert Generation.objects.count() == 0


def test_bodies_have_a_budget_for_the_whole_process(gateway, settings):
    from chuizi.asgi import gateway as served  # the one that runs

    served._budget.take(settings.BODY_BUDGET_BYTES - 10)
    try:
        assert gateway.chat().status_code == 503
    finally:
        served._budget.give_back(settings.BODY_BUDGET_BYTES - 10)
    assert gateway.chat().status_code == 200


def test_a_client_that_reads_nothing_is_cut_and_billed_the_true_usage(gateway, upstream, monkeypatch):
    """Back-pressure: what it does not read is not collected here."""

    monkeypatch.setattr(exchange, "STALLED_READER_SECONDS", 0.5)
    upstream.events = [STREAM[0], *[chunk({"content": "x" * 100_000})] * 120, *STREAM[-3:]]
    body = (
        b'{"model": "openai/m", "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}'
    )
    with connection(gateway) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(
            HEAD + f"Authorization: Bearer {gateway.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        generation = wait_for("metered", seconds=10)
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "upstream")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_405(gateway, method):
    response = gateway.client.request(method, "/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_an_unknown_path_of_the_api_is_404_in_its_shape(gateway):
    response = gateway.client.post("/v1/nothing/here", json={})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_a_body_that_no_page_takes_is_cut_off_before_it_fills_the_disk(gateway, settings):
    settings.MAX_BODY_BYTES = 100_000
    response = gateway.client.post("/v1/topups", content=b"x" * 300_000)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert response.headers["x-request-id"]
