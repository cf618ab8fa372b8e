"""The outbox: a fact is written with its change, and each reader reads it once, wherever it is killed."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail as sent
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing import refunds
from billing.models import Alert, AlertPost, Event, Mail, RefundRequest, Unread
from billing.models.events import EVENTS_KEPT
from billing.outbox import alerts, events, letters, mail, readers
from billing.outbox.kinds import NOBODY, Fact
from tests.billing.conftest import in_threads, table_is_written, topup
from tests.conftest import NOW
from tests.test_architecture import APPS, sources

pytestmark = pytest.mark.django_db
HEAD = "| fact | what became true |\n|---|---|\n"


class Killed(BaseException):
    """A process is gone: nothing of its own runs any more."""


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What a reader of its own, "toy", has read."""
    keys: list[str] = []
    readers.register("toy", Fact, lambda event: keys.append(event.key))
    yield keys
    readers._readers.pop("toy")


def write(key: str = "alert:1:red", kind: Fact = Fact.ALERT_RED, **given: object) -> bool:
    figure = {"figure": "Books / Drifts", "value": "1", "since": "2026-11-23T12:00:00Z", "page": "/admin/"}
    given = {"subject": "alert:1", "data": {"message_id": f"msg_{key}", "data": figure}, "now": NOW} | given
    with transaction.atomic():
        return events.record(kind, key=key, **given)


def test_a_fact_is_there_with_its_change_or_not_at_all(customer, wallet):
    def fail(_refund: RefundRequest) -> None:
        raise IntegrityError("no answer could be kept")

    topup(wallet, "20")
    given = {"customer": customer, "amount": "5.00", "reason": "x", "now": NOW}
    with pytest.raises(IntegrityError), transaction.atomic():
        refunds.ask(**given, in_transaction=fail)
    assert not Event.objects.exists()
    refund = refunds.ask(**given)
    event = Event.objects.get()
    assert (event.kind, event.customer, event.subject) == ("refund.asked", customer, refund.number)
    assert (event.key, event.created_at, event.data["amount"]) == (f"refund:{refund.pk}:asked", NOW, "5.00")


@pytest.mark.django_db(transaction=True)
def test_a_fact_without_a_transaction_is_refused():
    with pytest.raises(RuntimeError, match="in the transaction"):
        events.record(Fact.ALERT_RED, key="x", subject="x", data={}, now=NOW)


def test_the_same_fact_is_written_once_and_its_key_takes_no_other(customer):
    assert (write(), write()) == (True, False)
    assert Unread.objects.count() == 2
    with pytest.raises(events.EventConflict):
        write(kind=Fact.ALERT_GREEN)
    with pytest.raises(events.EventConflict):
        write(customer_id=customer.pk)


def test_no_kind_but_those_of_the_table_is_taken():
    with pytest.raises(ValueError, match=r"alert\.blue"):
        write(kind="alert.blue")


def test_what_may_come_again_is_numbered_also_after_the_first_were_forgotten():
    for _time in range(3):
        write(key="alert:1:still_red", may_come_again=True, now=NOW - EVENTS_KEPT * 2)
    Unread.objects.all().delete()
    Event.objects.order_by("pk")[0].delete()
    write(key="alert:1:still_red", may_come_again=True)
    assert list(Event.objects.order_by("pk").values_list("key", flat=True)) == [
        f"alert:1:still_red:{number}" for number in (2, 3, 4)
    ]


def test_a_fact_is_written_in_one_round_trip(django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(1):
        write_given = {"key": "x", "subject": "x", "data": {}, "now": NOW}
        events.record(Fact.ALERT_RED, **write_given)


def test_a_fact_is_never_changed_and_stays_while_it_may_be_asked_for():
    write()
    with pytest.raises(Exception, match="Cannot update"), transaction.atomic():
        Event.objects.update(subject="y")
    Unread.objects.all().delete()
    Event.objects.filter(created_at__lt=timezone.now() - EVENTS_KEPT).delete()
    write(key="new", now=timezone.now())
    Unread.objects.all().delete()
    with pytest.raises(Exception, match="Cannot delete"), transaction.atomic():
        Event.objects.filter(key="new").delete()


def test_facts_of_long_ago_are_forgotten_once_all_have_read_them_and_their_mail_stays(settings):
    settings.ALERT_EMAILS = ["ops@example.org"]
    now, old = timezone.now(), timezone.now() - EVENTS_KEPT - timedelta(days=1)
    write(now=old)
    write(key="unread", now=old)
    write(key="new", now=now)
    mail.send_due(now=now)
    Unread.objects.exclude(event__key="unread").delete()
    assert events.forget(now=now) == 1
    assert set(Event.objects.values_list("key", flat=True)) == {"unread", "new"}
    assert (Mail.objects.count(), Mail.objects.filter(event=None).count()) == (3, 1)


def test_readers_read_by_themselves_and_a_new_one_is_a_line(seen, settings):
    settings.ALERT_EMAILS, settings.ALERT_WEBHOOK = ["ops@example.org"], "https://hook.example/"
    write()
    assert (readers.read("toy", now=NOW), readers.read("toy", now=NOW), seen) == (1, 0, ["alert:1:red"])
    assert not Mail.objects.exists()
    assert (readers.read(mail.READER, now=NOW), Mail.objects.count()) == (1, 1)
    assert (readers.read(alerts.READER, now=NOW), AlertPost.objects.get().message_id) == (1, "msg_alert:1:red")
    assert not Unread.objects.exists()


def test_a_fact_that_cannot_be_read_waits_ever_longer_and_keeps_none_behind_it(seen, monkeypatch):
    write(key="bad")
    write(key="good")

    def act(event: Event) -> None:
        if event.key == "bad" and not seen:
            seen.append("good after bad")
            Alert.objects.create(code="half of what it makes")
            raise KeyError("words")
        seen.append(event.key)

    monkeypatch.setitem(readers._readers, "toy", readers.Reader(frozenset(Fact), act))
    assert (readers.read("toy", now=NOW), seen) == (1, ["good after bad", "good"])
    assert not Alert.objects.exists()
    unread = Unread.objects.get(reader="toy")
    assert (unread.attempts, unread.problem, unread.due_at) == (1, "KeyError", NOW + readers.FIRST_RETRY)
    assert readers.read("toy", now=NOW) == 0
    assert (readers.read("toy", now=NOW + readers.FIRST_RETRY), seen[-1]) == (1, "bad")


def test_facts_are_read_in_the_order_in_which_they_were_written(seen):
    keys = [f"alert:{number}:red" for number in range(5)]
    for key in keys:
        write(key=key)
    assert [readers.read("toy", now=NOW, limit=2) for _turn in range(4)] == [2, 2, 1, 0]
    assert seen == keys


@pytest.mark.django_db(transaction=True)
def test_of_those_who_read_at_once_one_reads_and_each_fact_once_in_order(seen, monkeypatch):
    keys = [f"alert:{number}:red" for number in range(30)]
    for key in keys:
        write(key=key)

    def act(event: Event) -> None:
        time.sleep(0.01)  # the others are there meanwhile
        seen.append(event.key)

    monkeypatch.setitem(readers._readers, "toy", readers.Reader(frozenset(Fact), act))
    read = in_threads(*[lambda: readers.read("toy", now=NOW)] * 4)
    assert sorted(read) == [0, 0, 0, 30]
    assert seen == keys


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_before_any_statement_writes_each_mail_once_and_sends_it_at_least_once(settings):
    settings.ALERT_EMAILS = ["ops@example.org"]
    for at in range(100):
        write(key=f"alert:{at}:red", data={"data": {"figure": f"F{at}.", "value": "1", "since": "", "page": ""}})
        statements = 0

        def kill(execute, sql, params, many, context, at=at):
            nonlocal statements
            statements += 1
            if statements > at:
                raise Killed
            return execute(sql, params, many, context)

        is_killed = False
        try:
            with connection.execute_wrapper(kill):
                mail.send_due(now=NOW)
        except Killed:
            is_killed = True
        for _turn in range(2):  # what was claimed when it was killed has its next turn later
            mail.send_due(now=NOW + timedelta(hours=3))
        assert Mail.objects.filter(event__key=f"alert:{at}:red", sent_at__isnull=False).count() == 1
        assert [m for m in sent.outbox if f"F{at}." in m.subject]
        if not is_killed:
            break
    assert 5 < at < 100, "not one statement too few was killed"
    assert Mail.objects.count() == at + 1


def test_the_database_refuses_a_second_mail_of_a_fact(settings):
    settings.ALERT_EMAILS = ["ops@example.org", "ops@example.org"]
    write()
    event = Event.objects.get()
    letters.read(event)
    assert Mail.objects.count() == 1
    with pytest.raises(IntegrityError, match="mail_once_a_fact"), transaction.atomic():
        letters.read(event)


def test_each_kind_has_a_reader_or_is_named_as_having_none():
    read = {kind for kind in Fact if readers.readers_of(kind)}
    assert read | NOBODY.keys() == set(Fact)
    assert not read & NOBODY.keys()


def test_each_kind_that_mail_reads_has_words():
    invoice = {"currency": "USD", "buyer": "Ada Ltd", "carrier": "SF", "tracking": "1", "email": "", "document": None}
    request = {"number": "x_1", "amount": "5.00", "approved": "4.00", "returned": "4.00", "due_at": "2026-11-30T12:00Z"}
    alert = {"data": {"figure": "F", "value": "1", "since": "", "page": ""}}
    rerate = {"model": "a/b", "first": "2026-11-01", "last": "2026-11-02", "back": "1", "from": "2026-11-30"}
    people = {"account": "A", "by": "", "role": "viewer", "until": "2026-11-30", "sealed": "x", "invitation": 0}
    low = {"level": "1.00000000", "line": "2.00000000"}
    spent = {"of": "key", "name": "k", "period": "day", "percent": 50, "limit": "2", "spent": "1", "needed": None}
    spent |= {"resets_at": "2026-11-30T00:00:00+00:00", "time_zone": "UTC"}
    week = {"from": "2026-11-23", "to": "2026-11-29", "used": "1", "paid_in": "1", "granted": "1", "refunded": "1"}
    auto = {"card": "Visa ···· 4242", "off_reason": "declined", "charge": "5.00"}
    facts = (
        low
        | spent
        | week
        | invoice
        | people
        | auto
        | request
        | alert
        | rerate
        | {"left": "1.0000", "at": "2026-11-30 12:00 UTC"}
        | {"place": "https://hook.example/", "why": "gone", "count": 1}
        | {"decision": "", "question": "", "reason": "", "locale": "en", "asked_from": ""}
    )
    for kind in letters.LETTERS:
        letter = letters.LETTERS[kind](Event(key="x", kind=kind, subject="x_1", data=facts, created_at=NOW))
        assert letter.subject
        assert "%(" not in letter.body


AWAITED: set[Fact] = set()
"""Kinds whose writers come after them."""


def test_every_kind_is_written_somewhere(repository):
    text = "".join(text for file, text in sources(repository, *APPS) if file.name not in ("kinds.py", "letters.py"))
    for kind in Fact:
        is_written = re.search(rf"\bFact\.{kind.name}\b", text) is not None
        assert is_written == (kind not in AWAITED), f"is {kind} written?"


def test_the_page_lists_every_kind(repository):
    """`UPDATE=1 pytest tests/billing/outbox/test_facts.py` writes it anew."""
    table_is_written(repository / "docs" / "ledger.md", HEAD, Fact)
