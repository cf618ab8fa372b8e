"""/v1/budgets: a program sets money aside for a run, and sees what became of it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, Membership, SecurityEvent, User
from billing.models import Budget, Wallet
from core.clock import database_now


@pytest.fixture
def api(client, key):
    """Calls with the customer's own unlimited key; `as_key` takes another's text."""

    def call(method, path, data=None, as_key=key.text, **headers):
        given = {"Authorization": f"Bearer {as_key}", **headers}
        body = {} if data is None else {"data": data}
        return getattr(client, method)(path, **body, content_type="application/json", headers=given)

    return call


def test_money_is_set_aside_with_a_key_that_is_shown_once(api, customer):
    answer = api("post", "/v1/budgets", {"amount": "2.50", "expires_in": 600, "name": "nightly"})
    assert answer.status_code == 201
    data = answer.json()["data"]
    made = issuing.find(data["key"])
    assert (made.name, made.scopes, made.prefix) == ("nightly", ["inference"], data["key_prefix"])
    amounts = {name: data[name] for name in ("amount", "spent", "held", "left", "returned")}
    assert amounts == {
        "amount": "2.50000000",
        "spent": "0.00000000",
        "held": "0.00000000",
        "left": "2.50000000",
        "returned": "0.00000000",
    }
    assert (data["state"], data["ended_reason"], data["currency"]) == ("open", None, "USD")
    assert (Budget.objects.get().expires_at - Budget.objects.get().created_at) == timedelta(seconds=600)
    assert isinstance(data["id"], str)
    shown = api("get", f"/v1/budgets/{data['id']}").json()["data"]
    assert shown == {name: value for name, value in data.items() if name != "key"}
    assert data["key"] not in api("get", "/v1/budgets").content.decode()
    assert api("get", "/v1/credits").json()["data"]["held"] == "2.50000000"
    assert data["key_prefix"] not in api("get", "/v1/keys").content.decode()
    assert api("delete", f"/v1/keys/{made.pk}").status_code == 404


def test_it_ends_by_hand_once_and_stays_to_be_seen(api, customer):
    data = api("post", "/v1/budgets", {"amount": "2"}).json()["data"]
    assert [api("delete", f"/v1/budgets/{data['id']}").status_code for _ in range(2)] == [204, 204]
    shown = api("get", f"/v1/budgets/{data['id']}").json()["data"]
    assert (shown["state"], shown["ended_reason"], shown["left"], shown["returned"]) == (
        "ended",
        "deleted",
        "0.00000000",
        "2.00000000",
    )
    assert Wallet.objects.get(customer=customer).held == 0
    assert api("get", "/v1/key/info", as_key=data["key"]).status_code == 401


def test_its_own_key_sees_it_and_no_other(api, make_budget):
    own, other = make_budget("1"), make_budget("1")
    assert api("get", f"/v1/budgets/{own.budget.pk}", as_key=own.text).status_code == 200
    assert api("get", f"/v1/budgets/{other.budget.pk}", as_key=own.text).status_code == 404
    told = api("get", "/v1/key/info", as_key=own.text).json()["data"]["budget"]
    assert (told["id"], told["left"]) == (str(own.budget.pk), "1.00000000")
    assert api("get", "/v1/key/info").json()["data"]["budget"] is None
    for method, path in (("get", "/v1/budgets"), ("post", "/v1/budgets"), ("delete", f"/v1/budgets/{own.budget.pk}")):
        assert api(method, path, {}, as_key=own.text).json()["error"]["code"] == "key_not_allowed"


def test_they_are_listed_newest_first_and_in_pages(api, make_budget):
    for number in range(3):
        make_budget("1", name=f"run {number}")
    first = api("get", "/v1/budgets?limit=2").json()
    assert [row["name"] for row in first["data"]] == ["run 2", "run 1"]
    second = api("get", first["next"]).json()
    assert [row["name"] for row in second["data"]] == ["run 0"]


def test_another_customers_budget_is_not_there(api, make_budget, make_customer):
    made = make_budget("1", customer=make_customer("5", name="Bo"))
    assert api("get", f"/v1/budgets/{made.budget.pk}").status_code == 404
    assert api("delete", f"/v1/budgets/{made.budget.pk}").status_code == 404
    assert api("get", "/v1/budgets").json()["data"] == []


def test_the_same_request_again_gets_the_first_answer_with_the_same_key(api):
    body = {"amount": "2", "name": "ci"}
    first, again = (api("post", "/v1/budgets", body, **{"Idempotency-Key": "run-1"}) for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    assert Budget.objects.count() == 1
    other = api("post", "/v1/budgets", {**body, "amount": "3"}, **{"Idempotency-Key": "run-1"})
    assert other.json()["error"]["code"] == "idempotency_conflict"


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "validation_error", "amount"),
        ({"amount": 2.5}, 400, "validation_error", "amount"),
        ({"amount": "0"}, 400, "validation_error", "amount"),
        ({"amount": "1e1"}, 400, "validation_error", "amount"),
        ({"amount": "1", "expires_in": 59}, 400, "validation_error", "expires_in"),
        ({"amount": "1", "expires_in": "60"}, 400, "validation_error", "expires_in"),
        ({"amount": "1", "expires_in": True}, 400, "validation_error", "expires_in"),
        ({"amount": "1", "expires_in": 1e300}, 400, "validation_error", "expires_in"),
        ({"amount": "1", "name": ""}, 400, "validation_error", "name"),
        ({"amount": "1", "name": "x" * 101}, 400, "validation_error", "name"),
        ({"amount": "1", "lasts": 60}, 400, "validation_error", "lasts"),
        ({"amount": "10.01"}, 402, "insufficient_balance", "amount"),
        (["1"], 400, "validation_error", None),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_field_named(api, body, status, code, param):
    answer = api("post", "/v1/budgets", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("param")) == (status, code, param)
    assert not Budget.objects.exists()
    assert ApiKey.objects.count() == 1


def test_not_a_number_is_refused(api):
    answer = api("post", "/v1/budgets", '{"amount": "1", "expires_in": NaN}')
    assert answer.json()["error"]["param"] == "expires_in"


def test_a_capped_key_sets_aside_within_its_cap(api, customer, user, now):
    maker = issuing.issue(
        customer=customer, name="ci", now=now, created_by=user, scopes=["inference", "keys"], daily_limit=Decimal(3)
    )
    assert api("post", "/v1/budgets", {"amount": "2"}, as_key=maker.text).status_code == 201
    refused = api("post", "/v1/budgets", {"amount": "2"}, as_key=maker.text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "daily_limit_exceeded")
    assert SecurityEvent.objects.filter(user=user, kind="key_made").count() == 1


def test_a_key_without_calls_of_models_or_that_ends_sooner_makes_none(api, customer, user, now):
    mute = issuing.issue(customer=customer, name="ci", now=now, created_by=user, scopes=["keys"])
    refused = api("post", "/v1/budgets", {"amount": "1"}, as_key=mute.text).json()["error"]
    assert (refused["code"], "scopes" in refused["message"]) == ("key_not_allowed", True)
    soon = database_now() + timedelta(hours=1)
    short = issuing.issue(customer=customer, name="ci", now=now, expires_at=soon, scopes=["inference", "keys"])
    refused = api("post", "/v1/budgets", {"amount": "1"}, as_key=short.text).json()["error"]
    assert (refused["code"], refused["param"]) == ("key_not_allowed", "expires_in")
    made = api("post", "/v1/budgets", {"amount": "1", "expires_in": 600}, as_key=short.text)
    assert made.status_code == 201


def test_a_suspended_account_makes_none(api, customer, now):
    Customer.objects.filter(pk=customer.pk).update(suspended_at=now)
    refused = api("post", "/v1/budgets", {"amount": "1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "account_suspended")


def test_a_developers_key_ends_its_own_budgets_and_an_owners_all(api, customer, user, now, make_budget):
    developer = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=developer, customer=customer, role="developer")
    scopes = ["inference", "read", "keys"]
    devs = issuing.issue(customer=customer, name="d", now=now, created_by=developer, scopes=scopes)
    owners = issuing.issue(customer=customer, name="o", now=now, created_by=user, scopes=scopes)
    own, other = make_budget("1", created_by=developer), make_budget("1", created_by=user)
    assert api("delete", f"/v1/budgets/{other.budget.pk}", as_key=devs.text).status_code == 403
    assert api("delete", f"/v1/budgets/{own.budget.pk}", as_key=devs.text).status_code == 204
    assert api("delete", f"/v1/budgets/{other.budget.pk}", as_key=owners.text).status_code == 204
