"""Real proxies before the server: a stranger's body is never another's request, and what they ship with works."""

import json
import threading
import time
from contextlib import closing

import pytest

from accounts.keys import issuing
from tests.chuizi.server.conftest import Client
from tests.chuizi.server.proxies import proxy
from tests.conftest import NOW

SHIPPED = ["nginx", "haproxy", "caddy"]
ALL = [*SHIPPED, "nginx with WebSockets", "nginx with WebSockets and kept connections"]
STOLEN = b"DELETE /v1/keys/7 HTTP/1.1\r\nHost: x\r\nX-Hidden: "
UPGRADES = (b"foo", b"websocket", b"h2c", b"TLS/1.0", b"websocket, h2c")


@pytest.fixture(params=ALL)
def before(request, served, tmp_path):
    """The port of a proxy before the telling server."""
    with proxy(request.param, port=served.port, folder=tmp_path) as port:
        yield port


def upgrade(kind: bytes, body: bytes, *, method: bytes = b"POST") -> bytes:
    head = method + b" /stranger HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + kind
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_a_strangers_body_never_becomes_a_request_of_another(served, before):
    """The victim asks on its own connections, which the proxy may send over those that the stranger's request used."""
    over, wrong = threading.Event(), []

    def victim() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with closing(Client(before)) as client:
                client.send(b"GET /mine-%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ck-victim\r\n\r\n" % number)
                client.read(answers=1)
                if b"/mine-%d" % number not in client.seen:
                    wrong.append(client.seen)

    asking = threading.Thread(target=victim)
    asking.start()
    try:
        for kind in UPGRADES:
            for method in (b"POST", b"GET", b"PUT"):
                body = b"\r\n\r\n" + STOLEN
                with closing(Client(before)) as stranger:
                    request = upgrade(kind, body, method=method)
                    stranger.send(request[: -len(body)], body, pause=0.02)
                    stranger.read(answers=1)
                    time.sleep(0.02)
    finally:
        over.set()
        asking.join()
    assert wrong == []
    paths = {path for _, path, _ in served.requests}
    assert "/v1/keys/7" not in paths
    assert all(path == "/stranger" or path.startswith("/mine-") for path in paths)
    assert {body for _, path, body in served.requests if path == "/stranger"} == {b"\r\n\r\n" + STOLEN}


@pytest.mark.parametrize("kind", UPGRADES)
def test_an_offer_to_switch_is_ignored_and_its_body_arrives(served, before, kind):
    body = json.dumps({"model": "m"}).encode()
    with closing(Client(before)) as client:
        assert client.send(upgrade(kind, body)).read(answers=1) == [200]
    assert served.requests == [("POST", "/stranger", body)]


def test_a_websocket_gets_an_answer_and_no_tunnel(served, before):
    with closing(Client(before)) as client:
        client.send(
            b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.read(answers=1)[0] in (200, 426)
        assert not any(path != "/next" for _, path, _ in served.requests)


def test_trailers_reach_nobody(served, before):
    head = b"POST /stranger HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n"
    with closing(Client(before)) as client:
        client.send(head + b"2\r\nhi\r\n0\r\nX-Forwarded-For: 9.9.9.9\r\nAuthorization: Bearer ck-x\r\n\r\n")
        assert client.read(answers=1) == [200]
    [headers] = served.headers
    assert not any(b"9.9.9.9" in value or name == b"authorization" for name, value in headers)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_stream_is_not_buffered(served, tmp_path, name):
    with proxy(name, port=served.port, folder=tmp_path) as port, closing(Client(port)) as client:
        client.send(b"GET /told HTTP/1.1\r\nHost: x\r\n\r\n")
        while b"[" not in client.seen:
            client._more()
        assert b"]" not in client.seen
        served.tell.set()
        assert client.read(answers=1) == [200]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_body_that_is_too_long_for_all_of_them_is_413(served, tmp_path, name):
    with proxy(name, port=served.port, folder=tmp_path) as port, closing(Client(port)) as client:
        client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\nExpect: 100-continue\r\n\r\n")
        statuses = client.read(answers=1)
        assert statuses[0] == 413 or (name == "caddy" and statuses[-1] == 200)  # Caddy counts what comes


@pytest.mark.parametrize("name", SHIPPED)
def test_the_clients_address_is_what_the_proxy_says(gateway, customer, settings, tmp_path, name):
    """Whatever the client writes into the header, before or behind, on one line or on two."""
    settings.TRUSTED_PROXY_DEPTH = 1
    own = issuing.issue(customer=customer, name="own", now=NOW, allowed_ips=["127.0.0.1/32"]).text
    other = issuing.issue(customer=customer, name="other", now=NOW, allowed_ips=["9.9.9.9/32"]).text
    body = b'{"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}'
    with proxy(name, port=int(gateway.url.rpartition(":")[2]), folder=tmp_path) as port:
        for lines in (["9.9.9.9"], ["9.9.9.9", "9.9.9.9"], ["1.1.1.1, 9.9.9.9"], []):
            for key, status in ((own, 200), (other, 403)):
                head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode()
                head += b"".join(b"\r\nX-Forwarded-For: " + line.encode() for line in lines)
                with closing(Client(port)) as client:
                    client.send(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    assert client.read(answers=1) == [status], (lines, client.seen)
