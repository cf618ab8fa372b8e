"""A slow mail server: what waits behind others is sent once, and a server that is away is not waited for by each."""

from datetime import timedelta

import pytest
from django.core.mail import EmailMessage

from billing.models import AlertPost, Mail
from billing.outbox import alerts, mail, turns
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting():
    given = {"to": "a@example.org", "about": "x", "body": "", "created_at": NOW}
    for number in range(3):
        Mail.objects.create(subject=f"{number}", send_at=NOW - timedelta(seconds=3 - number), **given)


def test_what_waits_behind_slow_mail_is_sent_once(waiting, monkeypatch):
    """Each takes 20 s, and a second worker looks when the first is at its second mail."""
    went, clock = [], [0.0]

    def send(message):
        went.append(message.subject)
        clock[0] += 20
        if len(went) == 2:
            mail.send_due(now=NOW + timedelta(seconds=35), limit=1)

    monkeypatch.setattr(turns, "monotonic", lambda: clock[0])
    monkeypatch.setattr(EmailMessage, "send", send)
    mail.send_due(now=NOW)
    assert sorted(went) == ["0", "1", "2"]


@pytest.mark.parametrize(("error", "tried"), [(TimeoutError, 1), (ConnectionRefusedError, 1), (OSError, 3)])
def test_a_server_that_is_away_is_not_waited_for_by_each(waiting, monkeypatch, error, tried):
    went = []

    def send(message):
        went.append(message.subject)
        raise error

    monkeypatch.setattr(EmailMessage, "send", send)
    assert mail.send_due(now=NOW) == 0
    assert len(went) == tried
    assert Mail.objects.filter(attempts=1).count() == tried


def test_posts_that_wait_behind_slow_ones_are_posted_once(monkeypatch):
    went, clock = [], [0.0]
    for number in range(3):
        AlertPost.objects.create(message_id=f"{number}", body="", send_at=NOW - timedelta(seconds=3 - number))

    def post(row, *, now):
        went.append(row.message_id)
        clock[0] += 8
        if len(went) == 2:
            alerts.post_due(now=NOW + timedelta(seconds=12), limit=1)
        return ""

    monkeypatch.setattr(turns, "monotonic", lambda: clock[0])
    monkeypatch.setattr(alerts, "_post", post)
    alerts.post_due(now=NOW)
    assert sorted(went) == ["0", "1", "2"]
