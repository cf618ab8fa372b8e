"""What turns red is told once, daily while it stays, and once when it is green again; by mail and by a signed POST."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
import requests
from django.core import mail as outbox
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from billing.models import Alert, AlertPost, Wallet
from billing.outbox import alerts, mail
from billing.tasks import watch
from tests.conftest import NOW
from tests.outbox import mails

FIGURE = "What we owe customers / Wallets below zero"


class Receiver(BaseHTTPRequestHandler):
    """Takes POSTs; answers with the statuses that wait, then with 200."""

    taken: ClassVar[list[tuple[dict[str, str], bytes]]] = []
    statuses: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.statuses.pop(0) if self.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def receiver(settings) -> Iterator[type[Receiver]]:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.ALERT_WEBHOOK = f"http://127.0.0.1:{server.server_port}/alerts"
    Receiver.taken.clear()
    Receiver.statuses.clear()
    yield Receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def operator(settings) -> None:
    settings.ALERT_EMAILS = ["ops@example.org", "boss@example.org"]


def below_zero(wallet: Wallet, paid: int) -> None:
    Wallet.objects.filter(pk=wallet.pk).update(paid=paid)


def told() -> list[tuple[str, str]]:
    return list(mails().filter(about="alert", subject__contains=FIGURE).order_by("id").values_list("to", "subject"))


def test_red_is_told_once_daily_while_it_stays_and_once_when_it_is_green_again(operator, wallet):
    alerts.watch(now=NOW)
    assert told() == []
    below_zero(wallet, -5)
    for seconds in (1, 20, 40):
        alerts.watch(now=NOW + timedelta(seconds=seconds))
    both = ("ops@example.org", "boss@example.org")
    expected = [(to, f"RED: {FIGURE}") for to in both]
    assert told() == expected
    alerts.watch(now=NOW + timedelta(hours=23))
    assert told() == expected
    alerts.watch(now=NOW + timedelta(hours=25))
    expected += [(to, f"still red: {FIGURE}") for to in both]
    assert told() == expected
    below_zero(wallet, 0)
    for hours in (26, 27):
        alerts.watch(now=NOW + timedelta(hours=hours))
    expected += [(to, f"green again: {FIGURE}") for to in both]
    assert told() == expected
    below_zero(wallet, -1)
    alerts.watch(now=NOW + timedelta(hours=28))
    assert told()[-1] == ("boss@example.org", f"RED: {FIGURE}")
    assert Alert.objects.filter(code=FIGURE).count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_who_watch_at_once_tell_once(operator, wallet):
    from django.db import connections

    below_zero(wallet, -5)

    def look() -> None:
        alerts.watch(now=NOW)
        connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told()) == 2


def test_a_post_is_signed_and_says_which_figure_since_when_and_where(receiver, wallet, settings):
    below_zero(wallet, -5)
    alerts.watch(now=timezone.now())
    alerts.post_due(now=timezone.now())
    [headers, body] = next(taken for taken in receiver.taken if FIGURE.encode() in taken[1])
    Webhook(alerts.secret()).verify(body.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(alerts.secret()).verify(body.decode() + " ", headers)
    told = json.loads(body)
    assert (told["type"], told["data"]["figure"], told["data"]["value"]) == ("alert.red", FIGURE, "1")
    assert told["data"]["page"].startswith(f"{settings.SITE_URL}/admin/billing/wallet/")


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_is_not_taken_comes_again_under_its_own_id(receiver, wallet, status, settings):
    settings.ALERT_EMAILS = []
    alerts.test(now=NOW)
    receiver.statuses.append(status)
    assert alerts.post_due(now=NOW) == 0
    assert alerts.post_due(now=NOW + timedelta(seconds=5)) == 0
    assert alerts.post_due(now=NOW + timedelta(seconds=15)) == 1
    first, second = receiver.taken
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert alerts.post_due(now=NOW + timedelta(days=1)) == 0


def test_a_receiver_that_is_away_loses_nothing(wallet, settings, db):
    settings.ALERT_WEBHOOK = "http://127.0.0.1:1/"
    alerts.test(now=NOW)
    alerts.post_due(now=NOW)
    post = AlertPost.objects.get()
    assert (post.attempts, post.problem, post.sent_at) == (1, "ConnectionError", None)


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_a_post_or_a_mail_leaves(operator, settings, monkeypatch):
    """A process has few; a receiver that hangs would keep them from everybody else."""
    is_held: list[bool] = []

    def hang(*_args: object, **_given: object) -> None:
        is_held.append(connection.connection is not None)
        raise requests.Timeout

    monkeypatch.setattr(requests, "post", hang)
    monkeypatch.setattr(mail.EmailMessage, "send", hang)
    settings.ALERT_WEBHOOK = "https://hangs.example/"
    alerts.test(now=NOW)
    assert (alerts.post_due(now=NOW), mail.send_due(now=NOW)) == (0, 0)
    assert is_held == [False] * 3


def test_the_watching_task_tells_within_its_turn(operator, receiver, wallet):
    below_zero(wallet, -5)
    watch()
    mail.send_due(now=timezone.now())
    assert [m for m in outbox.outbox if FIGURE in m.subject]
    assert [body for _headers, body in receiver.taken if FIGURE.encode() in body]


def test_the_command_sends_one_of_each_and_says_so(operator, receiver, db, capsys):
    call_command("check_alerts")
    printed = capsys.readouterr().out
    assert "mail to ops@example.org: sent" in printed
    assert "taken" in printed
    assert alerts.secret() in printed
    assert len(receiver.taken) == 1


def test_the_command_fails_where_nobody_is_told_or_takes_it(db, settings, receiver):
    receiver.statuses += [500]
    with pytest.raises(CommandError, match="did not arrive"):
        call_command("check_alerts")
    settings.ALERT_WEBHOOK = ""
    with pytest.raises(CommandError, match="Nobody would be told"):
        call_command("check_alerts")


def test_check_mail_sends_one_mail_and_fails_where_it_does_not_leave(capsys, settings, db):
    call_command("check_mail", to="ops@example.org")
    assert outbox.outbox[-1].to == ["ops@example.org"]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        1,
    )
    with pytest.raises(CommandError, match="did not leave"):
        call_command("check_mail", to="ops@example.org")
