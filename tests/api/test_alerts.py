"""GET and PUT /v1/alerts."""

from decimal import Decimal

import pytest

from accounts.keys import issuing
from accounts.models import Membership, User
from accounts.roles import Scope
from billing.models import AlertSettings
from tests.conftest import NOW, use_up

PATH = "/v1/alerts"
OFF = {
    "enabled": False,
    "low_balance": None,
    "is_low": False,
    "monthly_budget": None,
    "month_spent": None,
    "caps": False,
    "weekly_summary": False,
    "currency": "USD",
    "time_zone": "UTC",
}


@pytest.fixture
def call(client, customer, user):
    made = issuing.issue(
        customer=customer, name="k", now=NOW, created_by=user, scopes=[Scope.INFERENCE, Scope.READ, Scope.BILLING]
    )

    def call(method: str, body: object = None):
        headers = {"Authorization": f"Bearer {made.text}"}
        return client.generic(
            method, PATH, *([] if body is None else [_json(body), "application/json"]), headers=headers
        )

    return call


def _json(body: object) -> bytes:
    import json

    return json.dumps(body).encode()


def test_nothing_is_set_at_first(call):
    answer = call("GET")
    assert (answer.status_code, answer.json()) == (200, {"data": OFF})


def test_put_sets_them_in_place_of_what_was_set(call, customer):
    answer = call("PUT", {"low_balance": "5.00", "monthly_budget": "20", "caps": True, "weekly_summary": True})
    wanted = OFF | {"enabled": True, "low_balance": "5.00000000", "monthly_budget": "20.00000000"}
    wanted |= {"month_spent": "0.00000000", "caps": True, "weekly_summary": True}
    assert (answer.status_code, answer.json()["data"]) == (200, wanted)
    use_up(customer, "6")
    assert call("GET").json()["data"]["is_low"] is True
    assert call("PUT", {"caps": True}).json()["data"] == OFF | {"enabled": True, "caps": True}
    assert call("PUT", {}).json()["data"] == OFF


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"low_balance": "0"}, "low_balance"),
        ({"low_balance": []}, "low_balance"),
        ({"low_balance": "5.001"}, "low_balance"),
        ({"monthly_budget": "a lot"}, "monthly_budget"),
        ({"caps": "yes"}, "caps"),
        ({"weekly_summary": 1}, "weekly_summary"),
        ({"daily": True}, "daily"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(call, body, param):
    answer = call("PUT", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert answer.json()["error"]["param"] == param
    assert not AlertSettings.objects.exists()


def test_a_developers_key_may_not_even_look(client, customer):
    dev = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=dev, customer=customer, role="developer")
    made = issuing.issue(customer=customer, name="k", now=NOW, created_by=dev, scopes=[Scope.READ])
    assert client.get(PATH, headers={"Authorization": f"Bearer {made.text}"}).status_code == 403


def test_amounts_are_exact(call):
    call("PUT", {"low_balance": "0.01"})
    assert AlertSettings.objects.get().low_balance == Decimal("0.01")
