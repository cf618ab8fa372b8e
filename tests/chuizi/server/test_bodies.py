"""Bodies have the same limits of silence, slowness and size on every path, of the gateway and of pages."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from proxy import exchange
from proxy.models import Generation
from tests.chuizi.server.conftest import Client
from tests.staffing import at_desk

PATHS = [
    "/v1/chat/completions",
    "/v1/topups",
    "/accounts/login/",
    "/payments/stripe/webhook",
    "/admin/login/",
    "/nothing",
]


def head(gateway, path: str, *lines: str) -> bytes:
    shown = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {gateway.key}", *lines, "", ""]
    return "\r\n".join(shown).encode()


@pytest.fixture
def connect(gateway):
    clients = []

    def connect() -> Client:
        clients.append(Client(int(gateway.url.rpartition(":")[2])))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_silent_body_is_408_and_ends_its_connection(gateway, connect, monkeypatch, path):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 0.3)
    client = connect().send(head(gateway, path, "Content-Length: 1000") + b"{")
    assert client.read_to_the_end() == [408]
    assert b'"validation_error"' in client.seen
    assert b"connection: close" in client.seen
    assert Generation.objects.count() == 0


@pytest.mark.parametrize(
    ("path", "framing", "piece"),
    [(path, "Content-Length: 1000", b"{") for path in PATHS]
    + [(path, "Transfer-Encoding: chunked", b"1\r\n{\r\n") for path in PATHS[:2]],
)
def test_a_byte_now_and_then_is_no_progress(gateway, connect, monkeypatch, path, framing, piece):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 0.3)
    client = connect().send_until_answered(head(gateway, path, framing), piece)
    assert client.read_to_the_end() == [408]


@pytest.mark.parametrize("path", PATHS[:3])
def test_a_body_has_its_time_however_well_it_comes(gateway, connect, monkeypatch, path):
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.6)
    client = connect().send_until_answered(head(gateway, path, "Content-Length: 900000"), b"x" * 3_000)
    assert client.read_to_the_end() == [408]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/topups"])
def test_a_body_that_comes_slowly_but_surely_is_read(gateway, connect, monkeypatch, path):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 1.0)
    body = b"[" + b" " * 40_000
    pieces = [body[at : at + 4000] for at in range(0, len(body), 4000)]
    client = connect().send(
        head(gateway, path, f"Content-Length: {len(body)}", "Connection: close"), *pieces, pause=0.15
    )
    assert client.read_to_the_end() == [400]


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("path", PATHS[1:])
def test_a_page_takes_a_megabyte_and_no_more(gateway, connect, settings, path, framing):
    settings.MAX_PAGE_BODY_BYTES = 100_000
    body = b"x" * 150_000
    if framing == "length":
        client = connect().send(head(gateway, path, f"Content-Length: {len(body)}") + body)
    else:
        client = connect().send(head(gateway, path, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(body), body))
    assert client.read(answers=1) == [413]
    assert b'"request_too_large"' in client.seen


def test_what_is_announced_as_too_long_is_refused_before_it_comes(gateway, connect):
    for path, length in (("/accounts/login/", 1_000_001), ("/v1/chat/completions", 20_000_001)):
        assert connect().send(head(gateway, path, f"Content-Length: {length}")).read(answers=1) == [413]


@pytest.mark.parametrize(("is_staff", "status"), [(True, 403), (False, 413)])
def test_staff_upload_more_than_others_may_send(gateway, connect, settings, is_staff, status):
    """403 is Django's: the body came through, and lacks a form's token."""
    settings.MAX_PAGE_BODY_BYTES = 100_000
    user = get_user_model().objects.create_user("s@example.org", "a rather long one", is_staff=is_staff)
    session = at_desk(user).cookies["sessionid"].value
    kind = "Content-Type: text/plain"
    sent = head(gateway, "/admin/", "Content-Length: 300000", f"Cookie: a=b; sessionid={session}", kind)
    assert connect().send(sent + b"x" * 300_000).read(answers=1) == [status]
    for cookie in ("sessionid=nobody", "sessionid=", "=", "\xff"):
        sent = head(gateway, "/admin/", "Content-Length: 300000", f"Cookie: {cookie}", kind)
        assert connect().send(sent + b"x" * 300_000).read(answers=1) == [413]


def test_forty_silent_bodies_leave_no_files_and_no_memory(gateway, connect, monkeypatch):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 1.5)

    def memory_mb() -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000

    before = memory_mb()
    clients = [connect() for _ in range(40)]
    for client in clients:
        client.send(head(gateway, "/accounts/login/", "Content-Length: 20000000") + b"x" * 1_900_000)
    for client in clients:
        assert client.read(answers=1) == [413]
    assert memory_mb() - before < 60
    clients = [connect() for _ in range(40)]
    for client in clients:
        client.send(head(gateway, "/accounts/login/", "Content-Length: 1000000") + b"x" * 900_000)
    for client in clients:
        assert client.read(answers=1)[0] in (408, 503)


def test_long_bodies_that_fill_the_pages_budget_keep_no_form_out(gateway, connect, settings):
    from chuizi.asgi import pages

    filled = settings.PAGE_BODY_BUDGET_BYTES
    pages._budget.take(filled)
    try:
        sent = head(gateway, "/v1/topups", "Content-Length: 100000", "Connection: close")
        assert connect().send(sent + b"x" * 100_000).read_to_the_end() == [503]
        sent = head(gateway, "/v1/topups", "Content-Length: 10", "Connection: close")
        assert connect().send(sent + b"x" * 10).read_to_the_end() == [400]
    finally:
        pages._budget.give_back(filled)
    with closing(connect()) as client:
        sent = head(gateway, "/v1/topups", "Content-Length: 100000", "Connection: close")
        assert client.send(sent + b"x" * 100_000).read_to_the_end() == [400]
