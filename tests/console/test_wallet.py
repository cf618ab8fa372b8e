"""/console/: each number with its reason."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.keys import issuing
from accounts.people import customers
from billing.books import holds
from billing.books.grants import grant_bonus
from billing.models import Hold, Wallet
from proxy.records import spending


@pytest.fixture
def page(browser_client):
    return lambda: browser_client.get("/console/").content.decode()


def test_a_new_customer_is_told_what_to_do_next(page, catalog):
    text = page()
    assert "$10.0000" in text
    assert "Create a key" in text
    assert "/v1/chat/completions" in text
    assert "openai/gpt-4.1-nano" in text, "the cheapest model that answers in text"


def test_with_a_key_the_first_call_names_it(page, catalog, key):
    text = page()
    assert f"Bearer {key.key.prefix}..." in text
    assert key.text not in text


def test_what_is_held_stands_beside_its_reason(page, make_request, customer):
    make_request(state="held", bound="0.1")
    make_request(state="held", bound="0.0935")
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(2), now=timezone.now())
    text = page()
    assert '<b class="num">$0.1935</b> is held for 2 requests in flight' in text
    assert '<b class="num">$2.0000</b> is set aside for the refund' in text
    assert "$7.8065" in text, "available"


def test_what_is_left_of_a_refund_sent_in_parts_counts_as_held(page, customer, now):
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(5), now=now)
    holds.capture_share(key="refund:1", share=Decimal(3), now=now)
    assert '<b class="num">$2.0000</b> is set aside for the refund' in page()


def test_bonus_that_ends_stands_there_with_its_day(page, customer, now):
    grant = {"customer": customer, "amount": Decimal(2), "reason": "test", "now": now}
    grant_bonus(**grant, key="test:ends", ends_at=datetime(2126, 1, 31, 8, 30, tzinfo=UTC))
    grant_bonus(**grant, key="test:over", ends_at=now + timedelta(microseconds=1))
    text = page()
    assert '<b class="num">$2.0000</b> of your bonus ends at 2126-01-31 08:30 UTC. It is spent first.' in text
    assert 'The time of <b class="num">$2.0000</b> of bonus is up.' in text


def test_latest_requests_carry_their_state(page, make_request):
    make_request()
    make_request(state="held")
    make_request(state="metered")
    text = page()
    assert "$0.014175" in text
    assert "up to $0.064575" in text
    for state in ("settled", "held", "metered"):
        assert f"is-{state}" in text


def test_the_chart_sums_days_by_model(make_request, customer):
    now = timezone.now()
    make_request(at=now - timedelta(days=2))
    make_request(at=now - timedelta(days=2), model="openai/gpt-4.1-nano")
    make_request(at=now)
    make_request(at=now - timedelta(days=31))
    found = spending.spending(customer=customer, days=30, now=now)
    assert len(found.days) == 30
    assert found.days[-3].total == Decimal("0.01417500") + Decimal("0.00042000")
    assert found.today == Decimal("0.01417500")
    assert found.models == [
        ("anthropic/claude-sonnet-4-6", Decimal("0.02835000")),
        ("openai/gpt-4.1-nano", Decimal("0.00042000")),
    ]


def test_an_empty_wallet_says_that_requests_are_refused(browser_client, customer, catalog):
    Wallet.objects.filter(customer=customer).update(bonus=0)
    assert "nothing left to spend" in browser_client.get("/console/").content.decode()


def test_a_suspended_customer_reads_why(page, customer, now, catalog):
    customers.suspend(customer=customer, reason="A chargeback is open.", now=now)
    assert "A chargeback is open." in page()


def test_somebody_elses_requests_do_not_show(page, make_request, make_customer, now):
    other = issuing.issue(customer=make_customer("5", name="Eve"), name="hers", now=now)
    generation = make_request(of=other)
    assert generation.pk not in page()


def test_the_console_is_for_those_who_are_logged_in(client, db):
    for path in ("/console/", "/console/usage", "/console/transactions", "/console/usage/gen-1"):
        assert client.get(path).headers["Location"] == f"/accounts/login/?next={path}"


def test_the_console_is_not_kept_by_caches(browser_client, catalog):
    assert "no-store" in browser_client.get("/console/").headers["Cache-Control"]
