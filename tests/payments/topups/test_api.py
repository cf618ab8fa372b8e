"""`/v1/topups` as programs see it."""

import json
import threading
from datetime import timedelta

import httpx2 as httpx
import pytest
import yaml
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import IdempotentAnswer
from api.topups import SHOWN_STATES
from core.crypto import encrypt
from payments.models import TopUp
from payments.providers import registry
from payments.providers.base import Outcome, ProviderError, ProviderRefused
from payments.topups import orders, polling
from tests.conftest import NOW
from tests.payments.conftest import METHODS, pay


@pytest.fixture
def api(live_server, customer, sandbox):
    key = issuing.issue(customer=customer, name="k", now=NOW)
    with httpx.Client(base_url=live_server.url, headers={"Authorization": f"Bearer {key.text}"}, timeout=30) as client:
        yield client


def ask(api, amount="20.00", method="alipay", **headers):
    return api.post("/v1/topups", json={"amount": amount, "method": method}, headers=headers)


@pytest.mark.parametrize("method", METHODS)
def test_a_top_up_is_opened_shown_and_listed(api, sandbox, method):
    answer = ask(api, method=method)
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert set(data) == {
        "id",
        "amount",
        "currency",
        "method",
        "charge_amount",
        "charge_currency",
        "fee_amount",
        "tax_amount",
        "refunded_amount",
        "fx_rate",
        "state",
        "checkout_url",
        "qr_code",
        "expires_at",
        "created_at",
    }
    assert (data["amount"], data["currency"], data["state"]) == ("20.00000000", "USD", "open")
    card = method == "stripe"
    assert (data["charge_currency"], bool(data["checkout_url"]), bool(data["qr_code"])) == (
        "USD" if card else "CNY",
        card,
        not card,
    )
    assert data["fx_rate"] == (None if card else "7.12")
    pay(sandbox, TopUp.objects.get())
    assert api.get(f"/v1/topups/{data['id']}").json()["data"]["state"] == "paid"
    listed = api.get("/v1/topups").json()
    assert [item["id"] for item in listed["data"]] == [data["id"]]
    assert set(listed) == {"data", "next", "previous"}


BAD = [
    ({"amount": "0.99"}, "amount"),
    ({"amount": "10000.01"}, "amount"),
    ({"amount": "1.001"}, "amount"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "Infinity"}, "amount"),
    ({"amount": "-5"}, "amount"),
    ({"amount": "twenty"}, "amount"),
    ({"amount": ""}, "amount"),
    ({"amount": None}, "amount"),
    ({"amount": 19.99}, "amount"),
    ({"amount": True}, "amount"),
    ({"amount": ["20"]}, "amount"),
    ({"amount": "1.000"}, "amount"),
    ({"amount": "1e2"}, "amount"),
    ({"amount": "1_0"}, "amount"),
    ({"amount": "２０"}, "amount"),
    ({"amount": "2\x000"}, "amount"),
    ({"amount": 0}, "amount"),
    ({"amount": 10**30}, "amount"),
    ({"amount": "9" * 5000}, "amount"),
    ({"amount": "\ud800"}, "amount"),
    ({"method": "paypal"}, "method"),
    ({"method": None}, "method"),
    ({"method": ["stripe"]}, "method"),
    ({"method": "Stripe"}, "method"),
    ({"method": "\x00"}, "method"),
]


@pytest.mark.parametrize(("change", "field"), BAD)
def test_a_bad_top_up_is_400_with_the_field_named_and_nothing_half_created(api, change, field):
    body = json.dumps({"amount": "20.00", "method": "alipay", **change})
    answer = api.post(
        "/v1/topups", content=body, headers={"Content-Type": "application/json", "Idempotency-Key": "bad"}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "validation_error", field)
    assert TopUp.objects.count() == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_400_with_the_field_named(api, number):
    body = f'{{"amount": {number}, "method": "alipay"}}'
    answer = api.post("/v1/topups", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "amount")


def test_a_whole_number_of_dollars_may_be_a_json_number(api):
    assert ask(api, amount=20).json()["data"]["amount"] == "20.00000000"


@pytest.mark.parametrize("number", ["topup_nobody", "%00", "%ff", "x" * 300, "1;drop"])
def test_an_unknown_top_up_is_404(api, number):
    answer = api.get(f"/v1/topups/{number}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_suspended_customer_is_403(api, customer):
    type(customer).objects.filter(pk=customer.pk).update(suspended_at=NOW)
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_suspended")
    assert TopUp.objects.count() == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b""])
def test_a_body_that_is_no_object_is_400(api, body):
    answer = api.post("/v1/topups", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_a_wrong_key_is_401_and_anothers_top_up_404(api, make_customer, live_server):
    number = ask(api).json()["data"]["id"]
    stranger = issuing.issue(customer=make_customer(name="Eve"), name="k", now=NOW)
    for headers, status in (
        ({"Authorization": "Bearer ck-wrong"}, 401),
        ({"Authorization": f"Bearer {stranger.text}"}, 404),
    ):
        assert api.get(f"/v1/topups/{number}", headers=headers).status_code == status


def test_the_same_idempotency_key_and_body_return_the_first_answer(api):
    header = {"Idempotency-Key": "order-1"}
    first, second = (ask(api, **header) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert TopUp.objects.count() == 1
    stored = IdempotentAnswer.objects.get()
    assert first.json()["data"]["id"] not in stored.body


def test_the_same_idempotency_key_with_another_body_is_409(api):
    header = {"Idempotency-Key": "order-1"}
    ask(api, **header)
    answer = ask(api, amount="21.00", **header)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert TopUp.objects.count() == 1


def test_a_concurrent_twin_waits_for_the_first_answer(api):
    answers = []

    def post():
        answers.append(ask(api, **{"Idempotency-Key": "twins"}).json())

    threads = [threading.Thread(target=post) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    assert TopUp.objects.count() == 1


def test_another_customers_same_key_is_another_key(api, make_customer):
    header = {"Idempotency-Key": "order-1"}
    ask(api, **header)
    stranger = issuing.issue(customer=make_customer(name="Eve"), name="k", now=NOW)
    assert ask(api, **header, Authorization=f"Bearer {stranger.text}").status_code == 201
    assert TopUp.objects.count() == 2


def test_a_refused_request_is_stored_too_and_a_crash_between_is_told_from_the_row(api):
    header = {"Idempotency-Key": "bad"}
    assert ask(api, amount="0.10", **header).status_code == 400
    assert ask(api, amount="0.10", **header).status_code == 400
    first = ask(api, **{"Idempotency-Key": "crash"}).json()
    IdempotentAnswer.objects.filter(status=201).update(
        status=None, body=reference_only(first["data"]["id"]), created_at=timezone.now() - timedelta(minutes=5)
    )
    assert ask(api, **{"Idempotency-Key": "crash"}).json()["data"]["id"] == first["data"]["id"]


def reference_only(number: str) -> str:
    return encrypt(json.dumps({"reference": number}))


@pytest.mark.parametrize("method", METHODS)
def test_a_provider_that_refuses_the_order_is_502_and_the_same_key_may_try_again(api, sandbox, monkeypatch, method):
    def refuse(_order):
        raise ProviderRefused("no")

    with monkeypatch.context() as patch:
        patch.setattr(registry.get(method), "start_checkout", refuse)
        answer = ask(api, method=method, **{"Idempotency-Key": "again"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert TopUp.objects.get().state == "failed"
    assert ask(api, method=method, **{"Idempotency-Key": "again"}).json()["data"]["state"] == "open"


def test_the_schema_says_what_is_answered(api):
    schema = yaml.safe_load(api.get("/api/schema/").text)
    top_up = schema["components"]["schemas"]["TopUp"]["properties"]
    assert set(top_up) == set(ask(api).json()["data"])
    assert schema["components"]["schemas"]["TopUpState"]["enum"] == list(SHOWN_STATES)
    post = schema["paths"]["/v1/topups"]["post"]
    assert post["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/TopUpAnswer")
    assert "Idempotency-Key" in [parameter["name"] for parameter in post["parameters"]]


def test_the_api_makes_an_order_each_time_and_closes_the_oldest(api, settings):
    settings.TOPUP_MOST_OPEN = 2
    assert [ask(api).status_code for _ in range(3)] == [201, 201, 201]
    assert list(TopUp.objects.order_by("id").values_list("state", flat=True)) == ["expired", "open", "open"]


def cancel(api, number, **headers):
    return api.post(f"/v1/topups/{number}/cancel", headers=headers)


@pytest.mark.parametrize("method", METHODS)
def test_an_unpaid_top_up_is_cancelled_and_closed_at_its_provider(api, sandbox, method):
    number = ask(api, method=method).json()["data"]["id"]
    cancelled = cancel(api, number, **{"Idempotency-Key": "c"})
    assert (cancelled.status_code, cancelled.json()["data"]["state"]) == (200, "expired")
    assert cancel(api, number, **{"Idempotency-Key": "c"}).json() == cancelled.json()
    topup = TopUp.objects.get(number=number)
    fact = registry.get(method).fetch_payment(number=number, reference=topup.reference)
    # Alipay knows nothing of a code that nobody has scanned.
    assert fact.outcome is (Outcome.PENDING if method == "alipay" else Outcome.REJECTED)
    again = cancel(api, number)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "state_conflict")
    assert "It is `expired`, and may become `paid`." in again.json()["error"]["message"]
    assert cancel(api, "topup_nothing").status_code == 404


def test_a_top_up_that_was_paid_is_not_cancelled(api, sandbox):
    number = ask(api).json()["data"]["id"]
    pay(sandbox, TopUp.objects.get(number=number))
    refused = cancel(api, number)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "state_conflict")
    assert TopUp.objects.get().state == "paid"


@pytest.mark.parametrize("then", ["asked again", "left to the poller"])
def test_a_provider_that_does_not_answer_is_503_and_the_order_is_closed_later(api, sandbox, monkeypatch, then):
    number = ask(api).json()["data"]["id"]

    def silent(**_order):
        raise ProviderError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(registry.get("alipay"), "close", silent)
        for _ in range(2):
            refused = cancel(api, number)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "provider_unavailable")
    if then == "asked again":
        assert cancel(api, number).json()["data"]["state"] == "expired"
    else:
        topup = TopUp.objects.get()
        assert polling.poll(topup_id=topup.pk, now=timezone.now() + polling.GRACE) is orders.Result.CLOSED
    assert api.get(f"/v1/topups/{number}").json()["data"]["state"] == "expired"
