"""The account API has rates of its own, and an account may have and ask for only so much."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx2 as httpx
import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.limits import rates
from accounts.models import ApiKey, ApiRate
from billing import invoices, refunds
from billing.models import InvoiceRequest, RefundRequest
from billing.requests import often
from tests.conftest import NOW
from tests.gateways import GatewayProcess
from tests.payments.invoice_page_steps import BUYER, paid_topup

SCOPES = ["read", "keys", "billing"]


def client_of(customer, **fields) -> Client:
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=SCOPES, **fields)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def test_a_key_may_ask_120_times_a_minute_and_is_told_where_it_stands(db, customer):
    api, other = client_of(customer), client_of(customer)
    answers = [api.get("/v1/credits") for _ in range(123)]
    assert Counter(answer.status_code for answer in answers) == {200: 120, 429: 3}
    assert (answers[0]["X-RateLimit-Limit"], answers[0]["X-RateLimit-Remaining"]) == ("120", "119")
    assert answers[119]["X-RateLimit-Remaining"] == "0"
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert (refused["X-RateLimit-Limit"], refused["X-RateLimit-Remaining"]) == ("120", "0")
    assert refused["X-RateLimit-Reset"] == refused["Retry-After"]
    assert 1 <= int(refused["Retry-After"]) <= 65
    assert other.get("/v1/credits").status_code == 200


def test_there_is_room_again_after_the_time_that_was_told(db, customer, settings):
    settings.API_KEY_RPM = 2
    key = issuing.issue(customer=customer, name="k", now=NOW).key
    for _ in range(2):
        assert not rates.count_request(key=key, address="192.0.2.1", now=NOW).refusal
    full = rates.count_request(key=key, address="192.0.2.1", now=NOW)
    assert (full.refusal[:12], full.remaining) == ("This key may", 0)
    just_before = NOW + timedelta(seconds=full.reset - 6)
    assert rates.count_request(key=key, address="192.0.2.1", now=just_before).refusal
    assert not rates.count_request(key=key, address="192.0.2.1", now=NOW + timedelta(seconds=full.reset)).refusal


@pytest.mark.parametrize(("name", "whose"), [("API_CUSTOMER_RPM", "account"), ("API_ADDRESS_RPM", "address")])
def test_all_keys_of_an_account_and_all_of_an_address_count_together(db, customer, settings, name, whose):
    setattr(settings, name, 3)
    clients = [client_of(customer) for _ in range(4)]
    answers = [client.get("/v1/credits") for client in clients]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert whose in answers[-1].json()["error"]["message"]


def test_addresses_of_one_network_of_ipv6_are_one(db, customer, settings):
    settings.API_ADDRESS_RPM = 2
    key = issuing.issue(customer=customer, name="k", now=NOW).key
    found = [rates.count_request(key=key, address=f"2a00:1:2:3::{n}", now=NOW).refusal for n in range(3)]
    assert [bool(refusal) for refusal in found] == [False, False, True]
    assert not rates.count_request(key=key, address="2a00:1:2:4::1", now=NOW).refusal


def test_an_address_that_guesses_keys_is_refused_and_a_real_key_still_works(db, customer):
    guesser, api = Client(), client_of(customer)
    statuses = Counter()
    for number in range(125):
        answer = guesser.get("/v1/credits", headers={"Authorization": f"Bearer ck-{number:032d}"})
        statuses[answer.status_code] += 1
    assert statuses == {401: 120, 429: 5}
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answer["Retry-After"]) >= 1
    assert api.get("/v1/credits").status_code == 200


def test_the_rate_holds_over_processes_and_at_once(transactional_db, customer):
    key = issuing.issue(customer=customer, name="k", now=NOW).text
    servers = [GatewayProcess(API_KEY_RPM="10") for _ in range(2)]
    urls = [f"{server.wait().url}/v1/credits" for server in servers]

    def ask(number: int) -> int:
        return httpx.get(urls[number % 2], headers={"x-api-key": key}, timeout=20).status_code

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(ask, range(40))) == {200: 10, 429: 30}


def test_rates_nobody_asks_within_are_forgotten(db, customer):
    client_of(customer).get("/v1/credits")
    rates.forget(now=timezone.now())
    assert ApiRate.objects.count() == 3
    rates.forget(now=timezone.now() + timedelta(minutes=2))
    assert ApiRate.objects.count() == 0


def test_an_account_has_only_so_many_keys_whoever_makes_them(db, customer, settings, browser_client, user):
    settings.MOST_KEYS = 3
    api = client_of(customer)
    body = {"name": "n", "scopes": ["read"]}
    made = [api.post("/v1/keys", body, content_type="application/json") for _ in range(4)]
    assert [answer.status_code for answer in made] == [201, 201, 409, 409]
    assert made[-1].json()["error"]["code"] == "state_conflict"
    page = browser_client.post("/console/keys", {"name": "n", "scopes": ["read"]})
    assert (page.status_code, "3 keys" in page.content.decode()) == (400, True)
    api.delete(f"/v1/keys/{made[0].json()['data']['id']}")
    assert api.post("/v1/keys", body, content_type="application/json").status_code == 201


def test_keys_made_at_once_do_not_pass_the_most(transactional_db, customer, settings):
    settings.MOST_KEYS = 5

    def make(number: int) -> bool:
        from django.db import connection

        try:
            issuing.issue(customer=customer, name=str(number), now=NOW)
        except issuing.TooManyKeys:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(make, range(12))) == {True: 5, False: 7}
    assert ApiKey.objects.count() == 5


REFUND = {"amount": "1.00", "reason": "r"}
INVOICE = {"amount": "1.00", **BUYER}


@pytest.mark.parametrize(("path", "body"), [("/v1/refund-requests", REFUND), ("/v1/invoice-requests", INVOICE)])
def test_requests_asked_and_cancelled_over_and_over_come_to_an_end(db, customer, path, body):
    paid_topup(customer)
    api, statuses = client_of(customer), []
    for _ in range(30):
        asked = api.post(path, body, content_type="application/json")
        statuses.append(asked.status_code)
        if asked.status_code == 201:
            cancelled = api.post(f"{path}/{asked.json()['data']['id']}/cancel", content_type="application/json")
            assert cancelled.status_code == 200
    assert statuses == [201] * 20 + [429] * 10
    assert asked.json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(asked["Retry-After"]) <= 86_401


@pytest.mark.parametrize(("path", "body"), [("/v1/refund-requests", REFUND), ("/v1/invoice-requests", INVOICE)])
def test_a_program_has_only_so_many_requests_open_and_room_for_one_that_it_took_back(
    db, customer, monkeypatch, path, body
):
    monkeypatch.setattr(often, "MOST_OPEN", 2)
    paid_topup(customer)
    api = client_of(customer)
    asked = [api.post(path, body, content_type="application/json") for _ in range(3)]
    assert [answer.status_code for answer in asked] == [201, 201, 429]
    error = asked[-1].json()["error"]
    assert (error["code"], error["message"][:41]) == (
        "rate_limit_exceeded",
        "At most 2 requests can be open at once. W",
    )
    assert asked[-1]["Retry-After"] == "3600"
    api.post(f"{path}/{asked[0].json()['data']['id']}/cancel", content_type="application/json")
    assert api.post(path, body, content_type="application/json").status_code == 201


FORM = {"currency": "USD", "invoice_type": "commercial", "buyer_kind": "company", "delivery": "email"}


@pytest.mark.parametrize(
    ("path", "body"), [("/console/refunds", REFUND), ("/console/invoices", INVOICE | FORM)], ids=["refund", "invoice"]
)
def test_a_page_says_that_enough_requests_are_open(db, customer, monkeypatch, browser_client, path, body):
    monkeypatch.setattr(often, "MOST_OPEN", 2)
    paid_topup(customer)
    assert [browser_client.post(path, body).status_code for _ in range(2)] == [302, 302]
    page = browser_client.post(path, body)
    assert page.status_code == 400
    assert "At most 2 requests can be open at once. Wait until one is finished" in page.content.decode()


def test_a_refund_that_is_on_its_way_is_open_and_an_invoice_that_was_made_is_not(db, customer, monkeypatch):
    monkeypatch.setattr(often, "MOST_OPEN", 1)
    paid_topup(customer)
    api = client_of(customer)
    for path, body in (("/v1/refund-requests", REFUND), ("/v1/invoice-requests", INVOICE)):
        assert api.post(path, body, content_type="application/json").status_code == 201
    RefundRequest.objects.update(state=RefundRequest.State.SENDING)
    InvoiceRequest.objects.update(state=InvoiceRequest.State.ISSUED)
    assert api.post("/v1/refund-requests", REFUND, content_type="application/json").status_code == 429
    assert api.post("/v1/invoice-requests", INVOICE, content_type="application/json").status_code == 201
    RefundRequest.objects.update(state=RefundRequest.State.DONE)
    assert api.post("/v1/refund-requests", REFUND, content_type="application/json").status_code == 201


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda customer: refunds.ask(customer=customer, **REFUND, now=timezone.now()), refunds.RefundError),
        (lambda customer: invoices.ask(customer=customer, **INVOICE, now=timezone.now()), invoices.InvoiceError),
    ],
    ids=["refund", "invoice"],
)
def test_requests_asked_at_once_do_not_pass_the_most(transactional_db, customer, monkeypatch, ask, error):
    monkeypatch.setattr(often, "MOST_OPEN", 2)
    paid_topup(customer)

    def is_taken(number: int) -> bool:
        from django.db import connection

        try:
            ask(customer)
        except error:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(is_taken, range(6))) == {True: 2, False: 4}


def test_guessing_from_many_addresses_of_one_network_of_ipv6_is_refused_at_the_gateway(
    transactional_db, gateway, settings
):
    settings.TRUSTED_PROXY_DEPTH = 1
    for number in range(121):
        headers = {"X-Forwarded-For": f"2a00:1:2:3::{number:x}", "Authorization": f"Bearer ck-{number:032d}"}
        answer = gateway.client.post("/v1/chat/completions", json={}, headers=headers)
        assert answer.status_code == (401 if number < 120 else 429)
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("120", "0")
    assert answer.headers["x-ratelimit-reset"] == answer.headers["retry-after"]
    headers["X-Forwarded-For"] = "2a00:1:2:4::1"
    assert gateway.client.post("/v1/chat/completions", json={}, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/console/keys", "/console/", "/accounts/2fa/", "/accounts/email/", "/", "/nothing"])
def test_no_page_of_somebody_is_kept_by_a_cache(browser_client, path):
    assert "no-store" in browser_client.get(path)["Cache-Control"]


def test_a_new_key_is_shown_in_an_answer_that_no_cache_keeps(browser_client, db, customer):
    page = browser_client.post("/console/keys", {"name": "n", "scopes": ["read"]})
    assert "ck-" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    made = client_of(customer).post("/v1/keys", {"name": "n", "scopes": ["read"]}, content_type="application/json")
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")


def test_requests_of_one_account_from_many_addresses_at_once_do_not_lock_each_other_out(transactional_db, customer):
    made = [issuing.issue(customer=customer, name=str(number), now=NOW).key for number in range(3)]

    def ask(number: int) -> bool:
        from django.db import connection

        address = f"192.0.2.{number % 7}"
        try:
            return bool(rates.count_request(key=made[number % 3], address=address, now=NOW).refusal)
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        assert Counter(pool.map(ask, range(120))) == {False: 120}
    counted = {rate.who.partition(":")[0]: 0 for rate in ApiRate.objects.all()}
    for rate in ApiRate.objects.all():
        counted[rate.who.partition(":")[0]] += sum(rate.slots)
    assert counted == {"key": 120, "customer": 120, "address": 120}
