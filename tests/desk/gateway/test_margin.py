"""The margin at the desk: by day, model, upstream and customer, for those who may see it."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.books.ledger import Posting, house_account, post
from billing.months import journal
from proxy.models import MarginDay, Model, Upstream
from proxy.purchases import margin, margin_figures
from proxy.purchases.margin_figures import By
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
DAY = NOW.date()
PERIOD = {"first": "2026-11-01", "last": "2026-11-30"}


@pytest.fixture
def desk() -> Client:
    return at_desk(in_role("finance"))


@pytest.fixture
def count(catalog: None, make_customer: Any) -> Any:
    """A function: requests of a day that were charged and cost so much."""
    models, upstream = {model.slug: model.pk for model in Model.objects.all()}, Upstream.objects.get()
    customers = {"Ada": make_customer(name="Ada"), "Bob": make_customer(name="=Bob")}

    def add(
        charged: str,
        purchase: str | None,
        *,
        day: date = DAY,
        model: str = "openai/whisper-1",
        of: str = "Ada",
        **more: Any,
    ) -> None:
        cost = None if purchase is None else Decimal(purchase)
        figures = (Decimal(charged), Decimal("0.5"), cost)
        margin.add([margin.Row(day, models[model], upstream.pk, customers[of].pk, *figures, **more)])

    return add


def page(desk: Client, **asked: str) -> str:
    answer = desk.get(reverse("admin:proxy_marginday_changelist"), {**PERIOD, **asked})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def rows(desk: Client, **asked: str) -> list[dict[str, str]]:
    answer = desk.get(reverse("admin:proxy_marginday_changelist"), {**PERIOD, **asked, "csv": "1"})
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


def test_a_day_says_what_was_charged_what_it_cost_and_what_is_left(desk, count):
    count("3", "2")
    count("1", "1", corrected=Decimal(-1), bonus=Decimal("0.25"))
    shown = page(desk)
    assert "<b>2026-11-23</b>" in shown
    assert 'data-label="Margin"><b>$0.0000</b>' in shown
    assert 'data-label="Requests">2<' in shown
    [line] = rows(desk)
    assert (line["day"], line["charged"], line["of it bonus"]) == ("2026-11-23", "3.00000000", "0.25000000")
    assert (line["purchase"], line["margin"], line["margin %"]) == ("3.00000000", "0.00000000", "0.0")


def test_models_upstreams_and_customers_come_from_the_highest_charge_down(desk, count):
    count("1", "1.5", model="openai/whisper-1", of="Ada")
    count("3", "1", model="openai/gpt-4.1-nano", of="Bob")
    assert [(line["model"], line["margin %"]) for line in rows(desk, by="model")] == [
        ("openai/gpt-4.1-nano", "66.7"),
        ("openai/whisper-1", "-50.0"),
    ]
    assert [line["margin"] for line in rows(desk, by="upstream")] == ["1.50000000"]
    assert [line["customer"] for line in rows(desk, by="customer")] == ["'=Bob", "Ada"]
    shown = page(desk, by="customer")
    assert "/admin/accounts/customer/" in shown
    assert 'class="r desk-bad" data-label="Margin"><b>-$0.5000</b>' in shown


def test_other_days_are_left_out_and_the_days_with_nothing_are_in_the_chart(desk, count):
    for day in (date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 30), date(2026, 12, 1)):
        count("1", "0.5", day=day)
    assert [line["day"] for line in rows(desk)] == ["2026-11-30", "2026-11-01"]
    shown = page(desk, by="customer")
    assert shown.count("<title>2026-11-") == 30
    assert "2026-11-01: charged $1.00, purchase $0.50, margin $0.50" in shown
    assert "There are totals from" not in shown
    assert "There are totals from 2026-10-31 on" in page(desk, first="2026-10-01", last="2026-10-31")


def test_claims_that_cannot_be_believed_stand_apart_and_so_does_what_has_no_rate(desk, count):
    count("1", None, is_believed=False)
    count("1", None)
    shown = page(desk)
    assert '/admin/proxy/claim/">1</a> (list cost $0.50, not in the purchase)' in shown
    assert '?lacks_rate__exact=1">1</a> (not in the purchase)' in shown
    [line] = rows(desk)
    assert (line["cost unknown"], line["list cost of these"], line["no rate"]) == ("1", "0.50000000", "1")


def test_the_fees_that_providers_took_stand_beside(desk):
    fees, clearing = house_account("expense:fees:USD"), house_account("clearing:stripe:USD")
    for number, days in enumerate((30, 20, 2, 0)):
        at = NOW - timedelta(days=days)
        post([Posting(f"fee:{number}", "fee", fees, clearing, Decimal(10**number))], now=at)
        if number == 1:
            journal.close_days(now=NOW - timedelta(days=10))
    assert "Fees of payment providers</dt><dd>1,110.00 USD</dd>" in page(desk, last="2026-11-23")
    assert "Fees of payment providers</dt><dd>110.00 USD</dd>" in page(desk, last="2026-11-22")


def test_the_last_thirty_days_are_shown_unless_others_are_asked_for(desk, count):
    answer = desk.get(reverse("admin:proxy_marginday_changelist"))
    days = answer.context["last"] - answer.context["first"]
    assert (days.days, "Nothing was settled on these days." in answer.content.decode()) == (29, True)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"first": "2026-12-01"}, "The first day comes before the last."),
        ({"first": "2025-01-01"}, "At most 400 days at once."),
        ({"first": "2026-01-01", "by": "customer"}, "At most 93 days at once."),
        ({"first": "yesterday"}, "Name two days"),
        ({"first": "0001-01-01"}, "The first day comes before the last."),
        ({"by": "key"}, "Name two days"),
    ],
)
def test_days_that_cannot_be_shown_are_told_and_the_usual_ones_shown(desk, asked, words):
    assert words in page(desk, **asked)


def test_only_the_highest_are_on_the_page(desk, count, monkeypatch):
    monkeypatch.setattr("desk.gateway.margin.MOST_LINES", 1)
    count("1", "1", of="Ada")
    count("3", "1", of="Bob")
    shown = page(desk, by="customer")
    assert "The 1 with the highest charge; the CSV has all." in shown
    assert len(rows(desk, by="customer")) == 2


@pytest.mark.parametrize(("role", "may"), [("finance", True), ("operator", True), ("support", False)])
def test_who_may_see_it(count, role, may):
    count("1", "1")
    client, address = at_desk(in_role(role)), reverse("admin:proxy_marginday_changelist")
    for asked in ({}, {"csv": "1"}):
        assert client.get(address, asked).status_code == (200 if may else 403)
    assert (f'href="{address}"' in client.get("/admin/").content.decode()) is may
    one = reverse("admin:proxy_marginday_change", args=[MarginDay.objects.get().pk])
    assert client.get(one).status_code == (200 if may else 403)


def test_every_way_of_summing_comes_to_the_same(count):
    count("1", "0.5", of="Ada")
    count("2", None, of="Bob", model="openai/gpt-4.1-nano")
    period = {"first": DAY, "last": DAY}
    total = margin_figures.total(**period)
    for by in By:
        assert sum(line.charged for line in margin_figures.lines(by, **period)) == total.charged == 3
        assert sum(line.unrated for line in margin_figures.lines(by, **period)) == total.unrated == 1
