"""Uploads through the gateway: slow, broken off, too large, and sent again when an upstream fails."""

import errno
import socket
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest
from aiohttp import web

from billing.models import Wallet
from chuizi.asgi import gateway as process
from proxy import exchange
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.uploads.spool import Spool
from tests.proxy.conftest import catalog, wait_for
from tests.uploads import KIND, fields, form, sound

PATH = "/v1/audio/transcriptions"
SOUND = sound(1)
BODY = form(*fields(model="openai/m", file=SOUND))


@pytest.fixture
def served(gateway, upstream):
    upstream.json = {"text": "one"}
    load_catalog(catalog(upstream, price={"second": "0.0001"}))
    gateway.look_at_catalog()
    return gateway


def post(gateway, body=BODY):
    return gateway.client.post(PATH, content=body, headers={"Content-Type": KIND})


@contextmanager
def begun(gateway, length):
    """A connection on which an upload has begun."""
    host, port = gateway.url.removeprefix("http://").split(":")
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {gateway.key}", f"Content-Type: {KIND}"]
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode())
        yield client


def answer_of(client):
    seen = b""
    while piece := client.recv(65536):
        seen += piece
    return seen


def wait_until_nothing_is_kept():
    deadline = time.monotonic() + 10
    while process._uploads.budget.left != 2_000_000_000 or process._uploads.budget._uploads:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_upload_that_is_too_long_is_refused_before_it_is_read(served, settings):
    with begun(served, settings.MAX_UPLOAD_BYTES + 1) as client:
        assert answer_of(client).startswith(b"HTTP/1.1 413")
    with begun(served, settings.MAX_BODY_BYTES + 1) as client:
        client.sendall(BODY[:-10])
        time.sleep(0.05)
        assert process._uploads.budget.left == 2_000_000_000 - settings.MAX_BODY_BYTES - 1
    wait_until_nothing_is_kept()
    assert not Generation.objects.exists()


def test_who_has_nothing_is_refused_before_the_upload_is_read(served):
    Wallet.objects.update(bonus=0)
    with begun(served, 50_000_000) as client:
        assert answer_of(client).startswith(b"HTTP/1.1 402")


def test_an_upload_in_chunks_may_be_no_longer(served, monkeypatch):
    monkeypatch.setattr(process._uploads, "_most", 10_000)
    answer = post(served, body=iter([BODY[:8_000], BODY[8_000:]]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    wait_until_nothing_is_kept()


def test_a_caller_that_leaves_in_the_middle_leaves_nothing(served, upstream):
    for _ in range(3):
        with begun(served, len(BODY)) as client:
            client.sendall(BODY[:-100])
    wait_until_nothing_is_kept()
    assert not Generation.objects.exists()
    assert not upstream.calls


def test_an_upload_that_stalls_is_408_and_holds_nothing(served, monkeypatch):
    monkeypatch.setattr(exchange, "STALLED_BODY_SECONDS", 0.3)
    with begun(served, len(BODY)) as client:
        client.sendall(BODY[:-100])
        assert answer_of(client).startswith(b"HTTP/1.1 408")
    wait_until_nothing_is_kept()
    assert not Generation.objects.exists()


def test_a_budget_that_is_spent_refuses_the_next(served, monkeypatch):
    budget = process._uploads.budget
    monkeypatch.setattr(budget, "_most_of_customer", len(BODY) - 1)
    answer = post(served)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    monkeypatch.undo()
    monkeypatch.setattr(budget, "left", len(BODY) - 1)
    assert post(served).status_code == 503
    monkeypatch.undo()
    assert post(served).status_code == 200
    wait_until_nothing_is_kept()


def test_a_full_disk_is_503_and_holds_nothing(served, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spool, "write", full)
    answer = post(served)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "disk is full" in answer.json()["error"]["message"]
    wait_until_nothing_is_kept()
    assert not Generation.objects.exists()


def test_the_next_upstream_gets_the_same_upload(gateway, upstream, second_upstream):
    bodies = []

    async def broken(request):
        bodies.append(await request.post())
        return web.Response(status=500, text="no")

    upstream.handler = broken
    second_upstream.json = {"text": "one"}
    load_catalog(catalog(upstream, second=second_upstream, price={"second": "0.0001"}))
    gateway.look_at_catalog()
    long = sound(60)
    answer = post(gateway, form(*fields(model="openai/m", file=long, prompt="a")))
    assert answer.json()["text"] == "one", answer.text
    assert upstream.calls == second_upstream.calls
    [call] = second_upstream.calls
    assert call == {"model": "m-at-upstream", "file": ("a.wav", "audio/wav", long), "prompt": "a"}
    assert wait_for("metered").cost == 60 * Decimal("0.000105")
    wait_until_nothing_is_kept()


def test_an_upstream_that_answers_before_it_has_read_all_harms_nobody(served, upstream):
    async def hasty(request):
        return web.json_response({"error": {"message": "too large"}}, status=413)

    upstream._answer = hasty
    body = form(*fields(model="openai/m", file=sound(300)))
    for _ in range(3):
        answer = post(served, body)
        assert answer.status_code in (413, 200), answer.text
    wait_until_nothing_is_kept()


def test_what_an_upstream_repeats_of_the_form_is_shown_and_its_key_is_not(served, upstream):
    upstream.status, upstream.json = (
        400,
        {"error": {"message": "no 'sk-mine-1234567890abcdef' for sk-first-upstream-key"}},
    )
    answer = post(served, form(*fields(model="openai/m", file=SOUND, prompt="sk-mine-1234567890abcdef")))
    assert answer.status_code == 400
    assert "sk-first" not in answer.text
    assert "sk-mine-1234567890abcdef" in answer.text
