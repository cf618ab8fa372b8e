"""Statements of accounts: what a month comes to, closed once and for good, in the account's zone."""

import csv
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.keys import issuing
from accounts.models import Customer
from billing.audit.run import audit
from billing.books.kinds import KINDS, Kind
from billing.books.ledger import Posting, house_account, post
from billing.models import Discrepancy, Event, MonthStatement, Transfer, Wallet
from billing.months import journal, writers
from billing.statements import closing, figures, reading
from billing.statements.lines import HOUSE, LINES
from tests.billing.conftest import in_threads
from tests.conftest import NOW
from tests.pdf_pages import read

AFTER = datetime(2026, 11, 1, 1, 0, tzinfo=UTC)
"""An hour after October in UTC."""


def moved(customer: Customer, kind: str, amount: str, *, at: datetime, to: str = "paid", fee: str = "") -> None:
    """A transfer into the customer's account, or out of it where the amount is negative."""
    wallet = Wallet.objects.get(customer=customer)
    account = wallet.paid_account if to == "paid" else wallet.bonus_account
    other, sum_ = house_account("clearing:stripe:USD"), Decimal(amount)
    debit, credit = (other, account) if sum_ > 0 else (account, other)
    key = f"{kind}:{at.isoformat()}:{to}"
    postings = [Posting(key, kind, debit, credit, abs(sum_))]
    if fee:
        postings.append(Posting(f"{key}:fee", Kind.TOPUP_FEE, other, house_account("fees:topup:USD"), Decimal(fee)))
    post(postings, now=at, group=key)


@pytest.fixture
def ada(make_customer, transactional_db) -> Customer:
    """Made in October; paid 20, used 3 of it, had 1 of bonus, and used 0.5 in November."""
    customer: Customer = make_customer()
    Customer.objects.filter(pk=customer.pk).update(created_at=datetime(2026, 10, 5, tzinfo=UTC), time_zone="UTC")
    moved(customer, Kind.TOPUP, "20", at=datetime(2026, 10, 6, tzinfo=UTC), fee="0.88")
    moved(customer, Kind.GRANT, "1", at=datetime(2026, 10, 7, tzinfo=UTC), to="bonus")
    moved(customer, Kind.USAGE, "-3", at=datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
    moved(customer, Kind.USAGE, "-0.5", at=datetime(2026, 11, 1, 0, 0, tzinfo=UTC))
    customer.refresh_from_db()
    return customer


def test_every_kind_of_transfer_has_a_line_or_is_the_houses_alone():
    assert set(LINES) | HOUSE == set(KINDS)
    assert not set(LINES) & HOUSE


def test_a_kind_without_a_line_closes_nothing(ada, monkeypatch):
    monkeypatch.setattr(figures, "LINES", {kind: name for kind, name in LINES.items() if kind != Kind.GRANT})
    assert closing.close_due(now=AFTER) == closing.Progress(closed=0, refused=1)
    assert not MonthStatement.objects.exists()


def test_a_month_is_closed_an_hour_after_its_end_and_adds_up(ada):
    assert closing.close_due(now=AFTER - timedelta(seconds=1)).closed == 0
    assert closing.close_due(now=AFTER).closed == 1
    [statement] = MonthStatement.objects.all()
    said = statement.body
    assert (said["opening"], said["closing"], said["state"]) == ("0.00000000", "18.00000000", "closed")
    assert (said["opens_at"], said["closes_at"]) == ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    assert {line["kind"]: line["amount"] for line in said["lines"]} == {
        "topup": "20.00000000",
        "grant": "1.00000000",
        "usage": "-3.00000000",
    }
    assert said["lines"][0]["fees"] == [{"currency": "USD", "amount": "0.88000000"}], "beside it, outside the sum"
    assert {name: amount for name, amount in said["usage"].items() if isinstance(amount, str)} == {
        "charged": "3.00000000",
        "from_paid": "3.00000000",
        "from_bonus": "0.00000000",
    }
    assert statement.sha256 == hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    [fact] = Event.objects.filter(kind="statement.closed")
    assert (fact.subject, fact.customer_id, fact.shown["closing"]) == ("2026-10", ada.pk, "18.00000000")
    for change in (lambda: MonthStatement.objects.update(closing=0), statement.delete):
        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic():
            change()


def test_the_months_follow_each_other_and_agree_with_the_audit(ada):
    assert closing.close_due(now=datetime(2027, 1, 1, 1, tzinfo=UTC)).closed == 3
    months = list(MonthStatement.objects.order_by("month"))
    assert [one.opening for one in months[1:]] == [one.closing for one in months[:-1]]
    assert [one.opens_at for one in months[1:]] == [one.closes_at for one in months[:-1]]
    assert months[-1].closing == Wallet.objects.get(customer=ada).balance
    assert not [drift for drift in audit(customer_ids=[ada.pk]).drifts if "transfers" in drift]


def test_a_correction_says_which_month_it_is_about(ada, drawing):
    wallet, house = Wallet.objects.get(customer=ada), house_account("revenue:usage")
    november = datetime(2026, 11, 20, tzinfo=UTC)
    charges = {"gen-a": datetime(2026, 10, 8, tzinfo=UTC), "gen-b": datetime(2026, 11, 8, tzinfo=UTC)}
    for name, at in charges.items():
        post([Posting(f"{name}:paid", Kind.USAGE, wallet.paid_account, house, Decimal(1))], now=at)
        key = f"rerate:1:{name}:paid" if name == "gen-a" else f"{name}:paid:reversed"
        kind = Kind.RERATE if name == "gen-a" else Kind.REVERSAL
        post([Posting(key, kind, house, wallet.paid_account, Decimal("0.25"))], now=november)
    post([Posting("gen-a:bonus:reversed", Kind.REVERSAL, house, wallet.bonus_account, Decimal("0.5"))], now=november)
    assert closing.close_due(now=datetime(2026, 12, 1, 1, tzinfo=UTC)).closed == 2
    said = reading.one(ada, "2026-11", now=NOW)
    assert {line["kind"]: [(one["month"], one["amount"]) for one in line["months"]] for line in said["lines"]} == {
        "usage": [],
        "reversal": [("2026-10", "0.50000000"), ("2026-11", "0.25000000")],
        "rerate": [("2026-10", "0.25000000")],
    }
    rows = {row["kind"]: row for row in csv.DictReader(reading.as_csv(said).splitlines())}
    assert rows["reversal"]["months"] == "2026-10 0.50000000; 2026-11 0.25000000"
    [page] = read(bytes(reading.pdf(ada, "2026-11", locale="en", now=NOW).content))
    assert "of 2026-10: 0.50000000 USD" in page
    from tests.payments.topups.test_pages import browser

    assert "of 2026-10: 0.50000000" in browser(ada).get("/console/statements/2026-11").content.decode()


def test_a_changed_zone_leaves_no_gap_and_nothing_twice(ada):
    Customer.objects.filter(pk=ada.pk).update(time_zone="Asia/Shanghai")
    assert closing.close_due(now=AFTER).closed == 1
    Customer.objects.filter(pk=ada.pk).update(time_zone="America/New_York")
    moved(ada, Kind.USAGE, "-0.25", at=datetime(2026, 12, 1, 4, 59, tzinfo=UTC))
    moved(ada, Kind.USAGE, "-0.125", at=datetime(2026, 12, 1, 5, 0, tzinfo=UTC))
    assert closing.close_due(now=datetime(2026, 12, 1, 6, tzinfo=UTC)).closed == 1
    october, november = MonthStatement.objects.order_by("month")
    assert (october.closes_at, november.opens_at) == (datetime(2026, 10, 31, 16, tzinfo=UTC),) * 2
    assert november.closes_at == datetime(2026, 12, 1, 5, tzinfo=UTC)
    assert (october.closing, november.closing) == (Decimal(21), Decimal("17.25"))


def test_what_does_not_add_up_is_not_closed_and_waits_at_the_desk_until_it_does(ada):
    Wallet.objects.filter(customer=ada).update(paid=Decimal("17.5"))
    assert closing.close_due(now=AFTER) == closing.Progress(closed=0, refused=1)
    [found] = Discrepancy.objects.all()
    assert (found.provider, found.state, found.theirs, found.ours) == ("months", "open", Decimal(19), Decimal(18))
    assert str(ada.pk) in found.key
    Wallet.objects.filter(customer=ada).update(paid=Decimal("16.5"))
    assert closing.close_due(now=AFTER).closed == 1
    found.refresh_from_db()
    assert found.state == "cured"


@pytest.fixture
def late(ada, settings):
    """A connection of its own, in whose open transaction ada used another 0.75 in October."""
    wallet = Wallet.objects.get(customer=ada)
    given = ("late", wallet.paid_account_id, house_account("revenue:usage").pk, datetime(2026, 10, 31, 23, tzinfo=UTC))
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SET idle_in_transaction_session_timeout = 0")
        other.execute(
            'INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, "group", memo, created_at,'
            " booked_on) VALUES (%s, 'usage', %s, %s, 'USD', 0.75, '', '', %s, '2026-10-31')",
            given,
        )
        other.execute("UPDATE billing_wallet SET paid = paid - 0.75 WHERE customer_id = %s", [ada.pk])
        yield other
        other.rollback()


def test_a_transfer_that_is_held_open_over_the_closing_is_waited_for(ada, late, monkeypatch):
    monkeypatch.setattr(closing, "wait_for_writers", partial(writers.wait_for_writers, seconds=0.2))
    monkeypatch.setattr(journal, "wait_for_writers", partial(writers.wait_for_writers, seconds=0.2))
    assert closing.close_due(now=AFTER) == closing.Progress(waits=True)
    assert journal.close_days(now=AFTER) == 0
    assert not MonthStatement.objects.exists()
    late.commit()
    assert closing.close_due(now=datetime(2026, 12, 1, 1, tzinfo=UTC)).closed == 2
    october, november = MonthStatement.objects.order_by("month")
    assert (october.closing, november.closing) == (Decimal("17.25"), Decimal("16.75"))
    assert november.closing == Wallet.objects.get(customer=ada).balance
    assert journal.close_days(now=AFTER) > 0
    assert not [drift for drift in audit().drifts if "day" in drift or "transfers" in drift]


def test_whoever_writes_meanwhile_but_began_later_is_not_waited_for(ada, late):
    began = writers._writers()
    assert len(began) == 1
    late.commit()
    assert not began & writers._writers()
    assert writers.wait_for_writers(seconds=0)


def test_what_is_written_into_a_closed_month_counts_in_the_next(ada):
    assert closing.close_due(now=AFTER).closed == 1
    moved(ada, Kind.USAGE, "-0.75", at=datetime(2026, 10, 31, 23, 59, 58, tzinfo=UTC))
    stray = Transfer.objects.get(key__contains="23:59:58")
    assert stray.created_at > AFTER
    assert stray.booked_on == date(2026, 10, 31), "the day is not closed yet"
    later = stray.created_at + timedelta(days=40)
    assert closing.close_due(now=later).refused == 0
    statements = MonthStatement.objects.order_by("-month")
    assert statements[0].closing == Wallet.objects.get(customer=ada).balance == Decimal("16.75")
    assert statements.last().closing == 18


def test_a_month_is_summed_from_its_own_first_transfer_on(ada):
    closing.close_due(now=AFTER)
    first = Transfer.objects.get(amount=Decimal("0.5"))
    assert MonthStatement.objects.get().moves_from == first.pk
    closing.close_due(now=datetime(2026, 12, 1, 1, tzinfo=UTC))
    assert MonthStatement.objects.get(month="2026-11-01").moves_from == Transfer.objects.latest("pk").pk + 1
    moved(ada, Kind.USAGE, "-0.1", at=datetime(2026, 12, 2, tzinfo=UTC))
    assert reading.one(ada, "2026-12", now=datetime(2026, 12, 3, tzinfo=UTC))["closing"] == "17.40000000"


def test_the_list_has_what_each_month_says_and_sums_no_month_that_goes_on(ada):
    expected = {"2026-11": ("18.00000000", "17.50000000"), "2026-10": ("0.00000000", "18.00000000")}

    def told(now):
        months = [reading.one(ada, month, now=now) for month in expected]
        with CaptureQueriesContext(connection) as read:
            listed = reading.all_of(ada, now=now)
        for rows in (months, listed):
            assert {row["month"]: (row["opening"], row["closing"]) for row in rows} == expected
        return " ".join(query["sql"] for query in read), [row["state"] for row in listed]

    _queries, states = told(datetime(2026, 11, 1, 0, 30, tzinfo=UTC))
    assert states == ["open", "open"], "October is over and not closed yet"
    assert closing.close_due(now=AFTER).closed == 1
    queries, states = told(AFTER)
    assert states == ["open", "closed"]
    assert "billing_transfer" not in queries


def test_two_who_close_at_once_close_each_month_once(ada):
    in_threads(*[lambda: closing.close_due(now=AFTER)] * 4)
    assert MonthStatement.objects.count() == Event.objects.filter(kind="statement.closed").count() == 1


def test_one_that_is_killed_between_statement_and_fact_has_done_nothing_and_the_next_goes_on(
    ada, make_customer, monkeypatch
):
    eve = make_customer(name="Eve")
    Customer.objects.filter(pk=eve.pk).update(created_at=datetime(2026, 10, 5, tzinfo=UTC))
    record = closing.events.record

    def killed(*args, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(closing.events, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        closing.close_due(now=AFTER)
    assert not MonthStatement.objects.exists()
    monkeypatch.setattr(closing.events, "record", record)
    assert closing.close_due(now=AFTER).closed == 2
    assert closing.close_due(now=AFTER).closed == 0
    assert Event.objects.filter(kind="statement.closed").count() == 2


def test_a_close_that_is_not_due_costs_no_query_an_account(ada, django_assert_max_num_queries):
    closing.close_due(now=AFTER)
    with django_assert_max_num_queries(3):
        assert closing.close_due(now=AFTER + timedelta(days=7)) == closing.Progress()


def test_programs_read_open_and_closed_months_and_files_of_them(ada, client, drawing):
    closing.close_due(now=AFTER)
    headers = {"Authorization": f"Bearer {issuing.issue(customer=ada, name='k', now=NOW).text}"}
    listed = client.get("/v1/statements", headers=headers).json()
    states = {one["month"]: one["state"] for one in listed["data"]}
    assert (states["2026-10"], states["2026-11"], listed["next"]) == ("closed", "open", None)
    closed = client.get("/v1/statements/2026-10", headers=headers).json()["data"]
    assert {"opens_at", "closes_at", "state", "opening", "lines", "closing", "usage"} <= set(closed)
    assert closed["lines"][0]["description"] == "Top-ups"
    still_open = client.get("/v1/statements/2026-11", headers=headers).json()["data"]
    assert (still_open["state"], still_open["opening"], still_open["closing"]) == (
        "open",
        "18.00000000",
        "17.50000000",
    )
    answer = client.get("/v1/statements/2026-10.csv", headers={**headers, "Accept": "text/csv"})
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert [row["kind"] for row in rows[5:]] == ["usage_by_model", "usage_by_key", "usage_by_member"]
    rows = rows[:5]
    assert [row["kind"] for row in rows] == ["opening", "topup", "grant", "usage", "closing"]
    assert sum(Decimal(row["amount"]) for row in rows[:-1]) == Decimal(rows[-1]["amount"]) == 18
    pdf = client.get("/v1/statements/2026-10.pdf", headers=headers)
    assert pdf["Content-Type"] == "application/pdf"
    [page] = read(pdf.content)
    for said in ("Statement", "18.00000000 USD", "-3.00000000 USD", "fee on top: 0.88 USD"):
        assert said in page
    assert client.get("/v1/statements/2026-10.pdf", headers=headers).content == pdf.content
    [page] = read(bytes(reading.pdf(ada, "2026-10", locale="zh-hans", now=NOW).content))
    assert "期初余额" in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("2026-13", 400),
        ("october", 400),
        ("2026-1", 400),
        ("٢٠٢٦-10", 400),
        ("1999-01", 404),
        ("2199-01", 404),
        ("2026-11.pdf", 404),
    ],
)
def test_a_month_that_is_none_or_not_there_is_said(ada, client, path, status):
    headers = {"Authorization": f"Bearer {issuing.issue(customer=ada, name='k', now=NOW).text}"}
    answer = client.get(f"/v1/statements/{path}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == ("validation_error" if status == 400 else "not_found")


def test_another_customers_statement_is_not_shown(ada, client, make_customer):
    closing.close_due(now=AFTER)
    eve = make_customer(name="Eve")
    Customer.objects.filter(pk=eve.pk).update(created_at=datetime(2026, 11, 5, tzinfo=UTC))
    headers = {"Authorization": f"Bearer {issuing.issue(customer=eve, name='k', now=NOW).text}"}
    for path in ("2026-10", "2026-10.pdf", "2026-10.csv"):
        assert client.get(f"/v1/statements/{path}", headers=headers).status_code == 404


def test_the_pages_show_months_and_lines(ada):
    from tests.payments.topups.test_pages import browser

    closing.close_due(now=AFTER)
    page = browser(ada)
    listed = page.get("/console/statements").content.decode()
    assert "/console/statements/2026-10" in listed
    shown = page.get("/console/statements/2026-10").content.decode()
    assert "-3.00000000" in shown
    assert "/console/statements/2026-10.pdf" in shown
    assert page.get("/console/statements/2026-10.csv").content.startswith(b"kind,")
    assert page.get("/console/statements/nothing").status_code == 404
