"""How answers are framed, and what becomes of an application that fails."""

import asyncio
import http.client
import io
import socket

import pytest

from chuizi.server import Connection
from tests.chuizi.server.conftest import Client
from tests.serving import Server

HEAD = {"type": "http.response.start", "status": 200}


def body(data: bytes, *, more: bool = False) -> dict:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def fails(scope, receive, send):
    raise ValueError("on purpose")


async def fails_in_the_middle(scope, receive, send):
    await send(HEAD)
    await send(body(b"some", more=True))
    raise ValueError("on purpose")


async def says_nothing(scope, receive, send):
    return


async def injects(scope, receive, send):
    odd = [
        (b"x", b"a\r\nSet-Cookie: b"),
        (b"bell", b"\x07"),
        (b"a b", b"c"),
        (b"cut", b"\r\n"),
        (b"said", "é".encode()),
    ]
    await send({**HEAD, "headers": [*odd, (b"last", b"1")]})
    await send(body(b"paid for"))


async def says_too_much(scope, receive, send):
    await send({**HEAD, "headers": [(b"content-length", b"2")]})
    await send(body(b"too much"))


async def says_too_much_later(scope, receive, send):
    await send({**HEAD, "headers": [(b"content-length", b"4")]})
    await send(body(b"too ", more=True))
    await send(body(b"much"))


async def says_too_little(scope, receive, send):
    await send({**HEAD, "headers": [(b"content-length", b"20")]})
    await send(body(b"too little"))


async def waits_before(scope, receive, send):
    await asyncio.sleep(0.2)
    await streams(scope, receive, send)


async def waits_within(scope, receive, send):
    await send(HEAD)
    await send(body(b"one", more=True))
    await asyncio.sleep(0.2)
    await send(body(b"two"))


async def streams(scope, receive, send):
    await send({**HEAD, "headers": [(b"Content-Type", b"text/plain")]})
    await send(body(b"one", more=True))
    await send(body(b"", more=True))
    await send(body(b"two"))


async def has_no_content(scope, receive, send):
    await send({**HEAD, "status": 204})
    await send(body(b""))


async def has_not_changed(scope, receive, send):
    await send({**HEAD, "status": 304, "headers": [(b"content-length", b"20")]})
    await send(body(b""))


async def fails_afterwards(scope, receive, send):
    await closes(scope, receive, send) if scope["query_string"] else await has_no_content(scope, receive, send)
    raise ValueError("on purpose")


async def closes(scope, receive, send):
    await send({**HEAD, "headers": [(b"content-length", b"2"), (b"connection", b"close")]})
    await send(body(b"{}"))


PATHS = [fails, fails_in_the_middle, says_nothing, injects, says_too_much, says_too_much_later, says_too_little]
PATHS += [streams, has_no_content, has_not_changed, fails_afterwards, closes, waits_before, waits_within]
ALL = {path.__name__: path for path in PATHS}


async def application(scope, receive, send):
    await ALL[scope["path"].strip("/")](scope, receive, send)


@pytest.fixture(scope="module")
def port():
    server = Server(application, http=Connection, log_level="critical", lifespan="off").start()
    yield server.port
    server.stop()


@pytest.fixture
def ask(port):
    clients = []

    def ask(path: str, *, method: str = "GET", version: str = "1.1", twice: bool = True) -> bytes:
        clients.append(Client(port))
        request = f"{method} /{path} HTTP/{version}\r\nHost: x\r\n\r\n".encode()
        last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        clients[-1].send(request + last if twice else last).read_to_the_end()
        return clients[-1].seen

    yield ask
    for client in clients:
        client.close()


@pytest.mark.parametrize("path", ["fails", "says_nothing", "says_too_much"])
def test_an_application_that_fails_first_is_500_in_our_shape_and_the_connection_ends(ask, path):
    seen = ask(path)
    assert seen.count(b"HTTP/1.1") == 1
    assert seen.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b'"code":"internal_error"' in seen
    assert b"\r\nx-request-id: req-" in seen
    assert b"on purpose" not in seen


def test_a_header_that_cannot_be_sent_is_left_out_and_the_answer_comes(ask):
    head, _, rest = ask("injects").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [line for line in head.split(b"\r\n") if line[:4] in (b"said", b"last")] == [b"said: \xc3\xa9", b"last: 1"]
    for gone in (b"Set-Cookie", b"\x07", b"a b", b"\nx:", b"cut:"):
        assert gone not in head
    assert b"paid for" in rest


@pytest.mark.parametrize("path", ["fails_in_the_middle", "says_too_much_later", "says_too_little"])
def test_an_answer_that_fails_in_the_middle_is_cut_off_visibly(ask, path):
    seen = ask(path)
    assert seen.count(b"HTTP/1.1 200") == 1
    assert not seen.endswith(b"\r\n0\r\n\r\n")


def test_an_answer_without_a_length_comes_in_chunks(ask):
    first, second = ask("streams").split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b"\r\ncontent-type: text/plain\r\n" in first
    assert first.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert second.endswith(b"connection: close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_who_speaks_http_1_0_gets_an_answer_without_a_length_up_to_the_end(ask):
    seen = ask("streams", version="1.0", twice=False)
    assert b"chunked" not in seen
    assert seen.endswith(b"connection: close\r\n\r\nonetwo")


@pytest.mark.parametrize("path", ["streams", "closes"])
def test_head_has_the_head_alone(ask, path):
    assert ask(path, method="HEAD", twice=False).endswith(b"\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("has_no_content", b"HTTP/1.1 204 No Content\r\n"),
        ("has_not_changed", b"HTTP/1.1 304 Not Modified\r\n"),
        ("fails_afterwards", b"HTTP/1.1 204 No Content\r\n"),
    ],
)
def test_an_answer_without_a_body_is_whole(ask, path, line):
    seen = ask(path)
    assert seen.count(line) == 2
    assert b"chunked" not in seen
    assert seen.endswith(b"\r\n\r\n")


def test_an_application_may_end_the_connection(ask):
    seen = ask("closes")
    assert seen.count(b"HTTP/1.1") == 1
    assert seen.endswith(b"\r\nconnection: close\r\n\r\n{}")


@pytest.mark.parametrize("path", ["waits_before", "waits_within"])
def test_who_has_shut_its_sending_side_alone_gets_every_answer(port, path):
    client = Client(port)
    client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 2)
    client.socket.shutdown(socket.SHUT_WR)
    client.read_to_the_end()
    client.close()
    answers = [http.client.HTTPResponse(Replayed(answer)) for answer in client.seen.split(b"HTTP/1.1 200")[1:]]
    for answer in answers:
        answer.begin()
    assert [answer.read() for answer in answers] == [b"onetwo"] * 2


class Replayed(io.BytesIO):
    """An answer that has come, as `http.client` takes one."""

    def __init__(self, rest: bytes) -> None:
        super().__init__(b"HTTP/1.1 200" + rest.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""))

    def makefile(self, _mode: str) -> io.BytesIO:
        return self
