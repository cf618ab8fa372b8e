"""What holds for every path of the account API: ids, addresses of pages, faults of fields."""

import pytest
from django.test import Client

from accounts.keys import issuing
from tests.conftest import NOW

SCOPES = ["inference", "read", "keys", "billing"]


@pytest.fixture
def api(db, customer) -> Client:
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=SCOPES)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def post(api, path, body):
    return api.post(path, body, content_type="application/json")


def test_every_fault_of_a_body_is_named_and_the_first_one_twice(api):
    answer = post(api, "/v1/keys", {"is_active": "yes", "rpm_limit": -1, "scopes": ["read", "fly"], "colour": 1})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "validation_error")
    assert [one["param"] for one in error["errors"]] == ["colour", "is_active"], "of another type, before any rule"
    assert (error["param"], error["message"]) == ("colour", "colour: There is no such field.")
    answer = post(api, "/v1/keys", {"rpm_limit": -1, "scopes": ["read", "fly"], "allowed_ips": ["here"]})
    told = {one["param"]: one["code"] for one in answer.json()["error"]["errors"]}
    assert told == {
        "name": "required",
        "rpm_limit": "min_value",
        "scopes.1": "invalid_choice",
        "allowed_ips": "invalid",
    }


@pytest.mark.parametrize("field", ["id", "name", "created_at"])
def test_what_only_an_answer_says_is_refused_in_a_body(api, customer, field):
    """A change that nobody makes is not answered by 200."""
    body = {field: "x", "time_zone": "Asia/Tokyo"}
    answer = api.patch("/v1/account", body, content_type="application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, field)
    assert error["message"] == f"{field}: This is ours to say: leave it out."
    customer.refresh_from_db()
    assert customer.time_zone != "Asia/Tokyo"


def test_a_member_that_a_body_names_twice_is_refused(api):
    text = '{"name": "a", "daily_limit": "1.00", "daily_limit": "1000.00"}'
    answer = api.post("/v1/keys", text, content_type="application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["message"]) == (
        400,
        "daily_limit",
        "The body names this field twice.",
    )
    long = api.post("/v1/keys", '{"rpm_limit": ' + "1" * 5000 + "}", content_type="application/json").json()["error"]
    assert long["message"] == "The body holds a number of too many digits."


def test_a_rule_of_the_domain_names_its_field_in_the_same_shape(api):
    error = post(api, "/v1/refund-requests", {"amount": "5.00", "reason": "r"}).json()["error"]
    assert error["errors"] == [{"param": "amount", "code": "invalid", "message": error["message"]}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/topups", {"amount": 2.5, "method": "alipay"}),
        ("/v1/refund-requests", {"amount": "1.00", "reason": 5}),
        ("/v1/invoice-requests", {"amount": "1.00", "company_name": "c", "tax_id_confirmed": "true"}),
        ("/v1/budgets", {"amount": "1.00", "expires_in": "60"}),
        ("/v1/invitations", {"email": 5}),
        ("/v1/keys", {"name": 5}),
        ("/v1/keys", {"name": "n", "rpm_limit": "5"}),
    ],
)
def test_a_value_of_another_json_type_is_refused(api, path, body):
    answer = post(api, path, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_pages_of_lists_are_addresses_of_the_site_whatever_host_was_asked(api, customer, settings):
    settings.SITE_URL = "https://chuizi.example"
    settings.ALLOWED_HOSTS = ["*"]
    for number in range(3):
        issuing.issue(customer=customer, name=str(number), now=NOW)
    first = api.get("/v1/keys?limit=2", headers={"Host": "elsewhere.example"}).json()
    assert first["next"].startswith("https://chuizi.example/v1/keys?cursor=")
    assert [key["name"] for key in api.get(first["next"]).json()["data"]] == ["0", "k"]
    assert all(isinstance(key["id"], str) for key in first["data"])


@pytest.mark.parametrize("path", ["keys", "topups", "transactions", "refund-requests", "invoice-requests", "members"])
@pytest.mark.parametrize("limit", ["0", "201", "ten", "-1", "1e2", "٣"])
def test_a_limit_that_is_none_is_refused_by_every_list(api, path, limit):
    answer = api.get(f"/v1/{path}", {"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


def test_a_body_that_is_refused_is_refused_again_under_its_idempotency_key(api):
    headers = {"Idempotency-Key": "once"}
    first, again = (
        api.post("/v1/keys", {"name": ""}, content_type="application/json", headers=headers) for _ in range(2)
    )
    assert (first.status_code, first.json()) == (400, again.json())
    assert again["Idempotency-Replayed"] == "true"
    other = api.post("/v1/keys", {"name": "n"}, content_type="application/json", headers=headers)
    assert other.json()["error"]["code"] == "idempotency_conflict"
