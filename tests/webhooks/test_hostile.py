"""Receivers that mean no good: they answer slowly, for ever, or from where nothing may go."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
import pytest
from django.utils import timezone

from billing.outbox import readers
from tests.billing.conftest import in_threads
from tests.webhooks.conftest import add, low, only, work
from webhooks import claiming, endpoints, places, posting
from webhooks.models import Attempt, Delivery, Endpoint

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Half a second instead of ten."""
    monkeypatch.setattr(posting, "SECONDS", 0.5)


def trickle(handler) -> None:
    """A byte of the head now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.05)


def test_an_answer_that_trickles_in_ends_in_time(customer, receiver, endpoint, impatient):
    receiver.answer = trickle
    low(customer)
    began = time.monotonic()
    work()
    assert time.monotonic() - began < 8
    [attempt] = Attempt.objects.all()
    assert (attempt.status, attempt.problem, only().state) == (None, "timeout", State.WAITING)


def test_a_body_that_trickles_in_after_2xx_is_a_delivery_and_ends_in_time(customer, receiver, endpoint, impatient):
    def answer(handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    receiver.answer = answer
    low(customer)
    work()
    [attempt] = Attempt.objects.all()
    assert (attempt.status, attempt.problem, only().state) == (200, "", State.DELIVERED)
    assert set(attempt.answer) == {"x"}


def test_of_an_endless_answer_64_kb_are_read_and_1_kb_is_kept(customer, receiver, endpoint):
    sent = [0]

    def answer(handler) -> None:
        handler.wfile.write(b"HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\n")
        while True:  # until the other side hangs up
            sent[0] += handler.connection.send(b"<\0\xff>" * 4096)

    receiver.answer = answer
    low(customer)
    work()
    [attempt] = Attempt.objects.all()
    assert (attempt.status, len(attempt.answer)) == (500, 1024)
    assert attempt.answer[:4] == "<\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}>"
    assert sent[0] < 30_000_000, "what lies in buffers, but not the whole of it"


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA" * 90])
def test_what_is_no_answer_of_http_is_a_failed_attempt(customer, receiver, endpoint, said):
    receiver.answer = lambda handler: handler.wfile.write(said)
    low(customer)
    work()
    [attempt] = Attempt.objects.all()
    assert (attempt.status, only().state) == (None, State.WAITING)
    assert attempt.problem in ("connection", "answer")


def test_nobody_there_is_a_failed_attempt(customer, receiver, endpoint):
    endpoint.url = "http://127.0.0.1:1/"
    endpoint.save()
    low(customer)
    work()
    assert Attempt.objects.get().problem == "connection"


def test_a_machine_that_speaks_no_tls_or_has_no_valid_certificate_gets_nothing(customer, receiver, endpoint):
    endpoint.url = receiver.url.replace("http://", "https://")
    endpoint.save()
    low(customer)
    work()
    assert (Attempt.objects.get().problem, receiver.taken) == ("tls", [])


@pytest.fixture
def names(monkeypatch) -> Iterator[dict[str, list[str]]]:
    """What names lead to, by name; each resolution takes the next, the last for ever."""
    table: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(host, port, *args, **given):
        if host in table:
            addresses = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
            kind = {True: socket.AF_INET6, False: socket.AF_INET}
            return [
                (kind[":" in a], socket.SOCK_STREAM, 6, "", (a, port, 0, 0) if ":" in a else (a, port))
                for a in addresses.split()
            ]
        if host in ("127.0.0.1", "::1", "localhost"):
            return real(host, port, *args, **given)
        raise socket.gaierror(f"no test may ask for {host}")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return table


def test_a_name_that_leads_inside_later_is_never_connected_to(customer, receiver, names, settings):
    """It leads to a public address when it is saved, and to this machine when it is posted to."""
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    names["rebind.example"] = ["93.184.216.34", "127.0.0.1"]
    port = receiver.url.split(":")[2].split("/")[0]
    made = endpoints.make(
        customer=customer, url=f"https://rebind.example:{port}/x", wanted=["balance.low"], now=timezone.now()
    )
    Endpoint.objects.filter(pk=made.endpoint.pk).update(created_at=timezone.now() - timedelta(days=1))
    low(customer)
    work()
    assert (Attempt.objects.get().problem, receiver.taken) == ("address", [])


def test_the_connection_goes_to_the_address_that_was_looked_at(customer, receiver, names):
    """The name leads elsewhere with each question; it is asked once a post."""
    port = receiver.url.split(":")[2].split("/")[0]
    names["turns.example"] = ["127.0.0.1", "127.0.0.1", "169.254.169.254"]
    made = endpoints.make(
        customer=customer, url=f"http://turns.example:{port}/x", wanted=["balance.low"], now=timezone.now()
    )
    Endpoint.objects.filter(pk=made.endpoint.pk).update(created_at=timezone.now() - timedelta(days=1))
    low(customer)
    work()
    assert [post.headers["host"] for post in receiver.taken] == [f"turns.example:{port}"]
    low(customer)
    work()
    assert [attempt.problem for attempt in Attempt.objects.order_by("pk")] == ["", "address"]


def test_a_name_that_leads_nowhere_is_a_failed_attempt(customer, receiver, endpoint, names):
    endpoint.url = "http://gone.example/"
    endpoint.save()
    low(customer)
    work()
    assert Attempt.objects.get().problem == "name"


REFUSED = [
    *("", "x", "ftp://example.org/", "http://example.org/", "javascript:alert(1)", "https://", "https:///x", "//x.org"),
    *("https://user@example.org/", "https://user:pw@example.org/", "https://@example.org/", "https://a b.org/"),
    *("https://example.org/#x", "https://example.org/\n", "https://example.org\\@10.0.0.1/", "https://example.org:0/"),
    *("https://example.org:70000/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0/"),
    *("https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://10.1/"),
    *("https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::1]/", "https://[2001:0:808:808:0:ffff:80ff:fffe]/"),
    *("https://169.254.169.254/latest/meta-data", "https://[fe80::1]/", "https://[fd00:ec2::254]/", "https://1.2.3/"),
    *("https://100.100.100.200/", "https://168.63.129.16/", "https://192.168.0.1/", "https://[fc00::1]/"),
    *("https://127。0。0。1/", "https://１２７.0.0.1/", "https://inside.example/", "https://half.example/"),
    *("https://nowhere.example/", "https://metadata.example/", "https://" + "a" * 2000 + ".org/"),
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_hostile_address_is_refused_when_it_is_saved(names, settings, customer, url):
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    names["example.org"] = ["93.184.216.34"]
    names["inside.example"] = ["10.0.0.7"]
    names["half.example"] = ["93.184.216.34 ::1"]
    names["metadata.example"] = ["169.254.169.254"]
    with pytest.raises(endpoints.EndpointError) as error:
        endpoints.make(customer=customer, url=url, wanted=["balance.low"], now=timezone.now())
    assert error.value.field == "url"
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["https://example.org/", "https://example.org:8443/a?b=c%20d", "https://93.184.216.34/", "https://六.example/"],
)
def test_an_honest_address_is_taken(names, settings, customer, url):
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    names["example.org"] = names["xn--65q.example"] = ["93.184.216.34 2606:4700::1111"]
    endpoints.make(customer=customer, url=url, wanted=["balance.low"], now=timezone.now())
    assert places.parsed(Endpoint.objects.get().url)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://0/"]
)
def test_link_local_and_cloud_metadata_are_refused_even_where_private_ones_are_not(customer, url):
    with pytest.raises(endpoints.EndpointError):
        endpoints.make(customer=customer, url=url, wanted=["balance.low"], now=timezone.now())


def test_one_endpoint_is_posted_to_by_four_at_once(customer, receiver, endpoint):
    there, seen, lock = set(), [], threading.Lock()

    def answer(handler) -> None:
        with lock:
            there.add(handler)
            seen.append(len(there))
        time.sleep(0.05)
        with lock:
            there.discard(handler)
        handler.send_response(204)
        handler.end_headers()

    receiver.answer = answer
    for _each in range(16):
        low(customer)
    in_threads(*[work] * 2)
    assert (max(seen) <= 4, len(receiver.taken)) == (True, 16)
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}


def test_an_endpoint_that_hangs_keeps_nobody_else_waiting(make_customer, customer, receiver, endpoint, monkeypatch):
    monkeypatch.setattr(posting, "SECONDS", 3)  # long enough for those who answer, on a busy machine too
    other = make_customer()
    with_others = add(other, receiver, path="/other")
    let_go = threading.Event()

    def answer(handler) -> None:
        if not handler.path.endswith("/other"):
            let_go.wait(12)
            return
        handler.send_response(204)
        handler.end_headers()

    receiver.answer = answer
    for _each in range(4):
        low(customer)
        low(other)
    work()
    let_go.set()
    delivered = Delivery.objects.filter(state=State.DELIVERED)
    assert delivered.count() == 4 == delivered.filter(endpoint=with_others.endpoint).count()


def test_one_that_fails_is_tried_one_delivery_at_a_time(customer, receiver, endpoint):
    for _each in range(6):
        low(customer)
    now = timezone.now()
    Endpoint.objects.update(failing_since=now)
    readers.read("webhooks", now=now)
    assert [len(claiming.claim(now=now, limit=9)) for _turn in range(2)] == [1, 0]


def test_a_claim_that_is_over_is_anothers_and_the_first_ones_failure_counts_no_more(customer, receiver, endpoint):
    now = timezone.now()
    low(customer, now=now)
    readers.read("webhooks", now=now)
    [first] = claiming.claim(now=now, limit=9)
    assert claiming.claim(now=now + timedelta(seconds=29), limit=9) == []
    [second] = claiming.claim(now=now + timedelta(seconds=31), limit=9)
    failed = posting.Answer(500, "", "", 1)
    claiming.finish(first, failed, now=now + timedelta(seconds=32))
    assert (only().attempts, only().claimed_until) == (0, second.until)
    claiming.finish(second, failed, now=now + timedelta(seconds=33))
    assert (only().attempts, only().claimed_until) == (1, None)


class Killed(BaseException):
    """A process is gone."""


def test_a_worker_killed_between_post_and_result_has_it_posted_again(customer, receiver, endpoint, monkeypatch):
    now = timezone.now()
    low(customer, now=now)

    def die(*_args, **_given) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(claiming, "finish", die)
        with pytest.raises(Killed):
            work(now)
    assert len(receiver.taken) == 1
    assert work(now + timedelta(seconds=29)) == 0
    assert work(now + timedelta(seconds=31)) == 1
    assert len({post.headers["webhook-id"] for post in receiver.taken}) == 1
    assert only().state == State.DELIVERED


def test_a_worker_killed_while_it_reads_facts_loses_none_and_doubles_none(customer, receiver, endpoint, monkeypatch):
    add(customer, receiver, path="/2")
    low(customer)
    real = Delivery.objects.bulk_create

    def die_after(rows):
        real(rows)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(Delivery.objects), "bulk_create", lambda _self, rows: die_after(rows))
        with pytest.raises(Killed):
            work()
    assert not Delivery.objects.exists()
    assert (work(), len(receiver.taken)) == (2, 2)


def test_no_connection_to_the_database_is_held_while_a_post_is_under_way(customer, receiver, endpoint, monkeypatch):
    from django.db import connections

    held = []
    real = aiohttp.ClientSession.post

    def watching(self, *args, **given):
        held.append([c for c in connections.all(initialized_only=True) if c.connection is not None])
        return real(self, *args, **given)

    monkeypatch.setattr(aiohttp.ClientSession, "post", watching)
    low(customer)
    connections.close_all()
    work()
    assert held == [[]]
