"""What a statement says of models, keys and members: each list comes to its usage, as requests and books have it."""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.db import connection
from django.db.models import Sum

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, User
from billing.audit.run import audit
from billing.books.reversals import reverse
from billing.models import Transfer
from billing.statements import closing, reading, usage
from billing.statements.usage import By, Used
from proxy.models import Generation
from tests.billing.conftest import in_threads
from tests.conftest import NOW, use_up
from tests.pdf_pages import read

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
LATER = datetime(2027, 2, 1, tzinfo=UTC)
NANO, SONNET = "openai/gpt-4.1-nano", "anthropic/claude-sonnet-4-6"


def said(customer: Customer, month: str = "2026-11") -> dict:
    customer.refresh_from_db()
    found = reading.one(customer, month, now=NOW)
    assert found is not None
    return found["usage"]


def charged(rows: list[dict]) -> Decimal:
    return sum((Decimal(row["charged"]) for row in rows), Decimal(0))


def rests(told: dict) -> list[str]:
    return [row["charged"] for by in By for row in told[by.value] if row["is_rest"]]


def adds_up(told: dict) -> bool:
    return {charged(told[by.value]) for by in By} == {Decimal(told["charged"])}


def csv_rows(found: dict) -> list[dict]:
    return [row for row in csv.DictReader(reading.as_csv(found).splitlines()) if row["kind"].startswith("usage_by")]


@pytest.fixture
def used(make_request, customer, user, key):
    """November: three requests with two models, two of them by a key of nobody; one given back; one in December."""
    ApiKey.objects.filter(pk=key.key.pk).update(created_by=user, name="=CI")
    other = issuing.issue(customer=customer, name="night", now=NOW)
    make_request(model=SONNET)
    made = [make_request(model=NANO, of=other, at=NOW + timedelta(days=n)) for n in (1, 2)]
    reverse(generation_id=made[0].pk, now=NOW + timedelta(days=3))
    make_request(model=NANO, at=DECEMBER)
    return other


def test_each_list_comes_to_the_usage_and_agrees_with_requests_books_and_audit(used, customer, user, key):
    told = said(customer)
    of_november = Generation.objects.filter(settled_at__lt=DECEMBER)
    by_model = dict(of_november.values_list("model__slug").annotate(cost=Sum("cost")))
    assert {row["name"]: Decimal(row["charged"]) for row in told["by_model"]} == by_model
    assert [row["name"] for row in told["by_model"]] == [SONNET, NANO], "the dearest first"
    assert [(row["id"], row["name"], row["prefix"], row["requests"]) for row in told["by_key"]] == [
        (str(key.key.pk), "=CI", key.text[:7], 1),
        (str(used.key.pk), "night", used.text[:7], 2),
    ]
    assert [(row["id"], row["name"], row["requests"]) for row in told["by_member"]] == [
        (str(user.pk), user.email, 1),
        ("", "", 2),
    ]
    moved = Transfer.objects.filter(kind__in=["usage", "usage_bonus"], created_at__lt=DECEMBER)
    assert Decimal(told["charged"]) == moved.aggregate(all=Sum("amount"))["all"]
    assert (adds_up(told), rests(told)) == (True, []), "what was given back is in a line of its own"
    assert not audit(customer_ids=[customer.pk]).drifts


def test_a_closed_month_says_for_good_what_it_said_as_it_closed(used, customer, user):
    before = said(customer)
    assert closing.close_due(now=LATER).refused == 0
    assert said(customer) == before
    ApiKey.objects.update(name="renamed")
    User.objects.update(email="new@example.org")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_usageday SET charged = charged + 1")
    assert said(customer) == before
    assert audit(customer_ids=[customer.pk]).drifts, "the sums, which are wrong now"


def test_programs_files_and_pages_have_the_lists(used, customer, user, key, client, browser_client, drawing):
    closing.close_due(now=LATER)
    headers = {"Authorization": f"Bearer {key.text}"}
    told = client.get("/v1/statements/2026-11", headers=headers).json()["data"]["usage"]
    assert told == said(customer)
    text = client.get("/v1/statements/2026-11.csv", headers=headers).content.decode()
    rows = [row for row in csv.DictReader(text.splitlines()) if row["kind"].startswith("usage_by")]
    assert [(row["kind"], row["description"], row["count"]) for row in rows] == [
        ("usage_by_model", SONNET, "1"),
        ("usage_by_model", NANO, "2"),
        ("usage_by_key", f"{key.text[:7]}… =CI", "1"),
        ("usage_by_key", f"{used.text[:7]}… night", "2"),
        ("usage_by_member", user.email, "1"),
        ("usage_by_member", "nobody's key", "2"),
    ]
    assert sum(Decimal(row["amount"]) for row in rows) == 3 * Decimal(told["charged"])
    [sheet] = read(bytes(reading.pdf(customer, "2026-11", locale="en", now=NOW).content))
    page = browser_client.get("/console/statements/2026-11").content.decode()
    for row in (row for by in By for row in told[by.value]):
        assert row["charged"] in page
        assert f"{row['charged']} USD" in sheet
    for words in (SONNET, "=CI", user.email, "nobody's key"):
        assert words in unescape(page)
        assert words in sheet


def test_days_that_another_zone_split_are_a_rest_in_each_list_of_both_months(make_request, customer, drawing):
    Customer.objects.update(time_zone="Asia/Tokyo")
    in_december_there = make_request(at=datetime(2026, 11, 30, 20, tzinfo=UTC))
    Customer.objects.update(time_zone="UTC")
    assert closing.close_due(now=LATER).refused == 0
    cost = f"{in_december_there.cost:.8f}"
    november, december = said(customer), said(customer, "2026-12")
    assert (november["charged"], rests(november)) == (cost, [cost] * 3)
    assert (december["charged"], rests(december)) == ("0.00000000", [f"-{cost}"] * 3)
    assert adds_up(november)
    assert adds_up(december)
    for month in ("2026-11", "2026-12"):
        found = reading.one(customer, month, now=NOW)
        rows = [row for row in csv_rows(found) if row["description"] == "Not told apart"]
        assert [row["amount"] for row in rows] == rests(found["usage"])
        pages = "".join(read(bytes(reading.pdf(customer, month, locale="en", now=NOW).content)))
        assert pages.count("Not told apart") == 3
        assert pages.count("as after a change of the time zone") == 3


def test_what_the_sums_do_not_know_is_a_rest_and_what_was_kept_without_lists_is_all_rest(make_request, customer):
    cost = make_request().cost
    use_up(customer, "0.25")
    told = said(customer)
    assert (adds_up(told), rests(told)) == (True, ["0.25000000"] * 3)
    old = {name: told[name] for name in ("charged", "from_paid", "from_bonus")}
    told = usage.completed(old)
    assert (adds_up(told), rests(told)) == (True, [f"{cost + Decimal('0.25'):.8f}"] * 3)


def test_people_see_the_20_largest_and_what_the_others_come_to_programs_all(
    make_customer, monkeypatch, drawing, browser_client, customer
):
    keys = [Used(str(n), f"key {n:02}", n, Decimal(n) / 3, f"ck-{n:04}") for n in range(23, 0, -1)]
    keys = [Used(one.id, one.name, one.requests, one.charged.quantize(Decimal("1e-8")), one.prefix) for one in keys]
    monkeypatch.setitem(
        usage._sources, "requests", lambda _customer, first, last: {By.KEY: keys} if last.month == 11 else {}
    )
    use_up(customer, "92.25")
    found = reading.one(customer, "2026-11", now=NOW)
    assert adds_up(found["usage"])
    assert len(found["usage"]["by_key"]) == 24, "with the rest"
    assert len([row for row in csv_rows(found) if row["kind"] == "usage_by_key"]) == 24
    closing.close_due(now=LATER)
    page = browser_client.get("/console/statements/2026-11").content.decode()
    pages = "".join(read(bytes(reading.pdf(customer, "2026-11", locale="en", now=NOW).content)))
    for shown in (page, pages):
        assert "key 04" in shown
        assert "key 03" not in shown
        assert "3 more" in shown
        assert "2.00000000" in shown, "1/3 and 2/3 and 3/3, to the last place"
        assert "0.25000000" in shown, "the rest is never among the others"
    assert reading.one(customer, "2026-11", now=NOW)["usage"] == found["usage"]


def test_what_is_charged_while_an_open_month_is_read_is_in_all_of_it_or_in_none(
    transactional_db, make_request, customer, monkeypatch
):
    make_request()
    figures = reading.figures

    def charged_meanwhile(*given, **named):
        found = figures(*given, **named)
        assert in_threads(lambda: make_request().state) == ["settled"]
        return found

    monkeypatch.setattr(reading, "figures", charged_meanwhile)
    told = said(customer)
    assert (rests(told), told["by_model"][0]["requests"]) == ([], 1)


def test_the_last_day_of_a_month_is_its_own(monkeypatch):
    asked = []
    monkeypatch.setattr(usage, "_sources", {"x": lambda customer, *days: asked.append((customer, *days)) or {}})
    for month in (date(2026, 12, 1), date(2028, 2, 1)):
        assert usage.used_in(month, customer_id=7) == {by: [] for by in By}
    assert asked == [(7, date(2026, 12, 1), date(2026, 12, 31)), (7, date(2028, 2, 1), date(2028, 2, 29))]
