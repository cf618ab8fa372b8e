"""What a connection may cost: bytes and time of a head and of trailers, silence, and answers that nobody reads."""

import re
import socket
import time
from pathlib import Path

import pytest

from chuizi.server import clock, connection
from chuizi.server.bodies import Chunked
from tests.chuizi.server.conftest import Client, Served

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def _ticks_often(monkeypatch):
    monkeypatch.setattr(clock, "TICK_SECONDS", 0.05)


def memory_mb() -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


# Heads


@pytest.mark.parametrize("size", [32_001, 120_000, 1_000_000])
@pytest.mark.parametrize("piece", [500, 30_000, 10_000_000])
def test_a_head_of_more_than_32_kb_is_431_however_it_is_cut(served, client, size, piece):
    head = HEAD + b"X: " + b"a" * size + b"\r\n\r\n"
    pieces = [head[at : at + piece] for at in range(0, min(len(head), 80 * piece), piece)]
    assert client.send(*pieces, pause=0.002).read_to_the_end() == [431]
    assert served.requests == []


@pytest.mark.parametrize("piece", [500, 10_000_000])
def test_a_head_of_32_kb_is_served(served, client, piece):
    head = HEAD + b"X: " + b"a" * (32_000 - len(HEAD) - 7) + b"\r\n\r\n"
    assert len(head) == 32_000
    assert client.send(*[head[at : at + piece] for at in range(0, len(head), piece)], pause=0.001).read(answers=1) == [
        200
    ]


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
@pytest.mark.parametrize("sent", [b"G", HEAD, HEAD + b"X: y\r\n\r"])
def test_a_head_that_comes_byte_by_byte_is_cut_in_time(served, monkeypatch, before, sent):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    client, piece = Client(served.port), b"\r" if sent.endswith(b"\n\r") else b"x"
    client.send_until_answered(before + sent, piece, answers=1 + bool(before))
    assert client.read_to_the_end()[-1:] in ([408], [400])
    client.close()
    assert len(served.requests) == bool(before)


def test_hundreds_of_connections_that_send_nothing_are_closed_in_time(served, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    clients = [Client(served.port) for _ in range(300)]
    assert all(client.read_to_the_end() == [408] for client in clients)
    for client in clients:
        client.close()


def test_a_connection_that_says_nothing_after_an_answer_is_closed_without_a_word(served, client, monkeypatch):
    """A proxy might take a 408 for the answer to the request that it sends at that moment."""
    monkeypatch.setattr(served.server.config, "timeout_keep_alive", 0.3)
    assert client.send(GET).read_to_the_end() == [200]


def test_blank_lines_keep_no_connection_open(served, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    client = Client(served.port)
    client.send_until_answered(b"\r\n", b"\r\n")
    assert client.read_to_the_end() in ([408], [])
    client.close()


# What comes behind a request


def test_a_request_behind_a_long_body_is_served(served, client):
    body = b"x" * 36_000
    sent = HEAD + b"Content-Length: 36000\r\n\r\n" + body + GET
    assert client.send(sent).read(answers=2) == [200, 200]


def test_many_requests_at_once_are_answered_in_turn(served, client):
    sent = b"".join(HEAD + b"Content-Length: 3\r\n\r\n%03d" % number for number in range(400))
    assert client.send(sent, GET).read(answers=401) == [200] * 401
    assert [body for _, _, body in served.requests[:-1]] == [b"%03d" % number for number in range(400)]


@pytest.mark.parametrize("early", [b"G", GET[:-3], HEAD + b"Content-Length: 9\r\n"])
def test_a_head_that_begins_during_an_answer_has_its_time_from_the_answers_end(served, client, monkeypatch, early):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    client.send(SLOW + early)
    assert client.read(answers=1) == [200]
    assert client.seen.endswith(b"\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n")
    assert client.read_to_the_end() == [200, 408]


@pytest.mark.parametrize(
    ("behind", "status"),
    [(b"nonsense\r\n\r\n", 400), (HEAD + b"X: " + b"a" * 120_000 + b"\r\n\r\n", 431), (HEAD + b"\0\r\n\r\n", 400)],
)
def test_a_refusal_waits_for_the_end_of_the_answer_before_it(served, client, behind, status):
    client.send(SLOW + behind)
    assert client.read_to_the_end() == [200, status]
    assert b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\nHTTP/1.1 %d" % status in client.seen


def test_what_comes_during_an_answer_is_left_in_the_network(served, client):
    client.send(SLOW)
    before = memory_mb()
    much = bytes(30_000_000)
    client.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.socket.sendall(much)
    assert memory_mb() - before < 35  # 30 MB are the client's
    [held] = [each for each in served.connections if each._cycle is not None]
    assert len(held._kept) < 400_000


# Trailers and chunks


def test_trailers_are_dropped(served, client):
    trailers = b"X-Forwarded-For: 9.9.9.9\r\nAuthorization: Bearer ck-x\r\nHost: y\r\n"
    client.send(CHUNKED + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n" + GET)
    assert client.read(answers=2) == [200, 200]
    assert served.requests == [("POST", "/", b"hello"), ("GET", "/next", b"")]
    assert served.headers == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")], [(b"host", b"x")]]


@pytest.mark.parametrize("piece", [b"a:b\r\n" * 1000, b"a" * 5000, b"a: " + b"b" * 5000 + b"\r\n"])
def test_trailers_without_end_are_refused_and_leave_nothing(served, client, piece):
    before = memory_mb()
    client.send(CHUNKED + b"0\r\n", *[piece] * 3000, pause=0)
    assert client.read_to_the_end() in ([431], [400])
    assert memory_mb() - before < 15
    assert served.requests == []


@pytest.mark.parametrize(("head", "trailers", "statuses"), [(200, 20_000, [200, 200]), (20_000, 20_000, [431])])
def test_trailers_count_against_the_heads_limit(served, client, head, trailers, statuses):
    sent = HEAD + b"X: " + b"a" * head + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    client.send(sent + b"Y: " + b"b" * trailers + b"\r\n\r\n" + GET)
    assert client.read(answers=2) == statuses


@pytest.mark.parametrize("line", [b"X: " + b"a" * 31_000, b"X: a\r\n" * 5_000])
def test_trailers_that_come_byte_by_byte_are_looked_at_once(line):
    body, began = Chunked(head_bytes=200), time.process_time()
    body.feed(b"0\r\n")
    for at in range(len(line)):
        body.feed(line[at : at + 1])
    assert time.process_time() - began < 3  # looked through anew for each byte it takes twenty
    body.feed(b"\r\n" if line.endswith(b"\n") else b"\r\n\r\n")
    assert body.ended


def test_a_body_in_crumbs_is_refused_once_they_are_many(served, client):
    client.send(CHUNKED + b"1;abc\r\nx\r\n" * 30_000)
    assert client.read_to_the_end() == [400]
    client = Client(served.port)
    assert client.send(CHUNKED + b"1\r\nx\r\n" * 5_000 + b"0\r\n\r\n").read(answers=1) == [200]
    client.close()


# Answers before the body's end


def test_a_long_rest_of_a_body_ends_the_connection_with_its_answer(served, client, monkeypatch):
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.3)
    client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 1000)
    assert client.read(answers=1) == [200]
    assert b"connection: close" in client.seen
    client.send(*[b"x" * 100_000] * 20)
    assert client.read_to_the_end() == [200]


def test_a_short_rest_of_a_body_is_dropped_and_the_connection_goes_on(served, client):
    client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    assert client.read(answers=1) == [200]
    assert b"connection: close" not in client.seen
    assert client.send(GET * 2000 + b"x" * (100_000 - 2000 * len(GET)), GET).read(answers=2) == [200, 200]
    assert [path for _, path, _ in served.requests] == ["/at-once", "/next"]


def test_a_short_rest_of_a_body_that_does_not_come_ends_the_connection(served, client, monkeypatch):
    monkeypatch.setattr(connection, "REST_SECONDS", 0.3)
    client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nxx")
    assert client.read_to_the_end() == [200]


def test_a_body_that_turns_out_broken_after_its_answer_ends_the_connection_alone(served, client):
    client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    client.read(answers=1)
    client.send(b"nonsense\r\n\r\n" + GET)
    assert client.read_to_the_end() == [200]
    assert len(served.requests) == 1


def test_100_continue_is_said_when_the_body_is_asked_for(served, client):
    client.send(HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    while not client.seen:
        client._more()
    assert client.seen == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send(b"hello" + GET).read(answers=3) == [100, 200, 200]
    assert served.requests[0] == ("POST", "/", b"hello")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_100_continue_is_not_said_where_the_body_is_here_or_nobody_knows_it(served, client, version):
    head = HEAD.replace(b"HTTP/1.1", b"HTTP/" + version)
    client.send(head + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
    assert client.read(answers=1) == [200]


def test_a_body_that_waits_for_100_continue_and_is_not_wanted_ends_the_connection(served, client):
    """Whether it comes all the same, nobody can know."""
    client.send(b"POST /at-once HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.read(answers=1) == [200]
    assert b"connection: close" in client.seen
    assert client.send(GET).read_to_the_end() == [200]


# Readers


@pytest.mark.parametrize("paths", [("much",), ("big",), ("big", "much"), ("big", "next")], ids=" ".join)
def test_who_reads_nothing_of_an_answer_is_cut(served: Served, monkeypatch, paths):
    monkeypatch.setattr(connection, "STALLED_READER_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(("127.0.0.1", served.port))
        silent.sendall(b"".join(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths))
        time.sleep(0.2)
        assert any(each.unwritable for each in served.connections)
        deadline = time.monotonic() + 5
        while any(each.unwritable for each in served.connections):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_reads_slowly_gets_the_whole_answer(served: Served, monkeypatch):
    monkeypatch.setattr(connection, "STALLED_READER_SECONDS", 0.5)
    monkeypatch.setattr(connection, "LEAST_READ_BYTES", 1)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.settimeout(5)
        slow.connect(("127.0.0.1", served.port))
        slow.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        taken, started = 0, time.monotonic()
        while time.monotonic() - started < 2:
            piece = slow.recv(200_000)
            assert piece
            taken += len(piece)
            time.sleep(0.02)
    assert taken > 1_000_000
