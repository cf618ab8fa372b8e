"""Transactions in plain words, on the page and over REST, and /v1/credits."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.books import history
from billing.books.grants import grant_bonus
from billing.books.history import Side
from billing.books.ledger import Posting, house_account, open_wallet, post
from billing.models import Transfer


@pytest.fixture
def topped_up(customer, now):
    """A paid top-up of 20 USD, as payments posts it."""
    clearing, paid = house_account("clearing:stripe:USD"), open_wallet(customer=customer).paid_account
    return post([Posting("topup:7", "topup", clearing, paid, Decimal(20), "topup_abc")], now=now)["topup:7"]


@pytest.fixture
def get(client, key):
    return lambda path: client.get(path, headers={"Authorization": f"Bearer {key.text}"}).json()


def test_each_movement_is_told_in_plain_words(browser_client, make_request, topped_up):
    generation = make_request()
    text = browser_client.get("/console/transactions").content.decode()
    assert f'href="/console/usage/{generation.pk}"' in text
    assert 'href="/console/topup/topup_abc"' in text
    assert "+$20.000000" in text
    assert "-$0.014175" in text
    assert "Bonus: test" in text


def test_in_and_out_can_be_looked_at_apart(make_request, topped_up, customer):
    make_request()
    came = history.page_of(customer=customer, side=Side.IN).entries
    went = history.page_of(customer=customer, side=Side.OUT).entries
    assert [entry.amount for entry in came] == [Decimal(20), Decimal(10)]
    assert [entry.amount for entry in went] == [Decimal("-0.014175")]


def test_the_balance_is_the_sum_of_what_is_listed(make_request, topped_up, customer, wallet, now):
    for number in range(4):
        make_request(at=now + timedelta(seconds=number))
    wallet.refresh_from_db()
    entries = history.page_of(customer=customer, limit=200).entries
    assert sum(entry.amount for entry in entries) == wallet.balance
    assert sum(entry.amount for entry in entries if entry.balance == "paid") == wallet.paid


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_cover_everything_once_in_both_directions(customer, now, limit, make_customer):
    other = make_customer("1", name="Eve")
    for number in range(6):
        grant_bonus(customer=customer, amount=Decimal(1), key=f"g{number}", reason="x", now=now)
        grant_bonus(customer=other, amount=Decimal(1), key=f"o{number}", reason="x", now=now)
    down, before, last = [], None, None
    while True:
        page = history.page_of(customer=customer, before=before, limit=limit)
        assert page.has_newer == (before is not None)
        down += [entry.id for entry in page.entries]
        last = page
        if not page.has_older:
            break
        before = down[-1]
    assert len(down) == len(set(down)) == 7
    assert down == sorted(down, reverse=True)
    up = [entry.id for entry in last.entries]
    while last.has_newer:
        last = history.page_of(customer=customer, after=up[0], limit=limit)
        up = [entry.id for entry in last.entries] + up
    assert up == down


def test_the_api_pages_as_the_contract_says(get, customer, now):
    for number in range(3):
        grant_bonus(customer=customer, amount=Decimal("0.5"), key=f"g{number}", reason="sorry", now=now)
    first = get("/v1/transactions?limit=3")
    assert [row["description"] for row in first["data"]] == ["Bonus: sorry"] * 3
    assert first["data"][0] == {
        "id": str(Transfer.objects.get(key="g2").pk),
        "kind": "grant",
        "reference": "g2",
        "amount": "0.50000000",
        "currency": "USD",
        "balance": "bonus",
        "description": "Bonus: sorry",
        "created_at": "2026-11-23T12:00:00Z",
    }
    assert first["previous"] is None
    second = get(first["next"])
    assert [row["amount"] for row in second["data"]] == ["10.00000000"]
    assert second["next"] is None
    assert get(second["previous"])["data"] == first["data"]


@pytest.mark.parametrize("query", ["cursor=zz", "cursor=b", "cursor=b9999999999999999999999", "limit=0", "limit=201"])
def test_a_wrong_cursor_or_limit_is_named(get, customer, query):
    error = get(f"/v1/transactions?{query}")["error"]
    assert (error["code"], error["param"]) == ("validation_error", query.partition("=")[0])


def test_credits_are_exact_strings(get, make_request, topped_up):
    make_request(state="held", bound="0.00000001")
    assert get("/v1/credits") == {
        "data": {
            "balance": "30.00000000",
            "paid": "20.00000000",
            "bonus": "10.00000000",
            "held": "0.00000001",
            "available": "29.99999999",
            "currency": "USD",
        }
    }


def test_odd_page_addresses_are_no_error(browser_client, topped_up):
    for query in ("?before=x", "?before=99999999999999999999", "?side=up", "?after=0"):
        answer = browser_client.get(f"/console/transactions{query}")
        assert answer.status_code == 200
        assert re.search(r"\+\$20\.000000", answer.content.decode())
