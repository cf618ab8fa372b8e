"""/v1/keys: a customer's programs make, change and revoke keys."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import ApiKey, IdempotentAnswer


@pytest.fixture
def api(client, key):
    """Calls with the customer's own unlimited key; `as_key` takes another."""

    def call(method, path, data=None, as_key=key, **headers):
        given = {} if data is None else {"data": data}
        return getattr(client, method)(
            path,
            **given,
            content_type="application/json",
            headers={"Authorization": f"Bearer {as_key.text}", **headers},
        )

    return call


def test_a_new_keys_text_stands_in_the_answer_and_nowhere_else(api):
    answer = api(
        "post", "/v1/keys", {"name": "ci", "daily_limit": "2.50", "allowed_ips": ["10.1.2.3/8", "::ffff:192.0.2.1"]}
    )
    assert answer.status_code == 201
    data = answer.json()["data"]
    made = issuing.find(data["key"])
    assert (made.name, made.daily_limit, made.allowed_ips) == ("ci", Decimal("2.5"), ["10.0.0.0/8", "192.0.2.1/32"])
    assert data["daily_limit"] == "2.50000000"
    assert data["key_prefix"] == data["key"][:7]
    assert data["key"] not in api("get", f"/v1/keys/{data['id']}").content.decode()
    assert data["key"] not in api("get", "/v1/keys").content.decode()


def test_keys_are_listed_newest_first_and_in_pages(api, customer, now):
    for number in range(3):
        issuing.issue(customer=customer, name=f"k{number}", now=now)
    first = api("get", "/v1/keys?limit=2").json()
    assert [row["name"] for row in first["data"]] == ["k2", "k1"]
    second = api("get", first["next"]).json()
    assert [row["name"] for row in second["data"]] == ["k0", "test"]
    assert second["next"] is None


def test_what_is_patched_changes_and_the_rest_stays(api, customer, now):
    made = issuing.issue(customer=customer, name="ci", now=now, rpm_limit=5)
    data = api("patch", f"/v1/keys/{made.key.pk}", {"total_limit": "9"}).json()["data"]
    assert (data["name"], data["rpm_limit"], data["total_limit"]) == ("ci", 5, "9.00000000")
    data = api("patch", f"/v1/keys/{made.key.pk}", {"total_limit": None, "is_active": False}).json()["data"]
    assert (data["total_limit"], data["is_active"]) == (None, False)


def test_a_disabled_key_stops_working_with_the_next_request(api, customer, now):
    made = issuing.issue(customer=customer, name="ci", now=now)
    assert api("get", "/v1/credits", as_key=made).status_code == 200
    api("patch", f"/v1/keys/{made.key.pk}", {"is_active": False})
    assert api("get", "/v1/credits", as_key=made).status_code == 401
    api("patch", f"/v1/keys/{made.key.pk}", {"is_active": True})
    assert api("get", "/v1/credits", as_key=made).status_code == 200


def test_a_deleted_key_is_gone_for_good(api, customer, now):
    made = issuing.issue(customer=customer, name="ci", now=now)
    assert api("delete", f"/v1/keys/{made.key.pk}").status_code == 204
    assert api("get", "/v1/credits", as_key=made).status_code == 401
    assert api("patch", f"/v1/keys/{made.key.pk}", {"is_active": True}).status_code == 404
    assert api("delete", f"/v1/keys/{made.key.pk}").status_code == 404
    assert ApiKey.objects.filter(pk=made.key.pk).exists(), "past requests name it"


def test_another_customers_key_does_not_exist_here(api, make_customer, now):
    theirs = issuing.issue(customer=make_customer(name="Eve"), name="theirs", now=now).key
    for method, data in (("get", None), ("patch", {"name": "mine"}), ("delete", None)):
        answer = api(method, f"/v1/keys/{theirs.pk}", data)
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "not_found_error"
    theirs.refresh_from_db()
    assert (theirs.name, theirs.is_active) == ("theirs", True)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x", "daily_limit": "-1"}, "daily_limit"),
        ({"name": "x", "daily_limit": "NaN"}, "daily_limit"),
        ({"name": "x", "daily_limit": "1.123456789"}, "daily_limit"),
        ({"name": "x", "total_limit": "1e30"}, "total_limit"),
        ({"name": "x", "rpm_limit": -1}, "rpm_limit"),
        ({"name": "x", "rpm_limit": 2**31}, "rpm_limit"),
        ({"name": "x", "rpm_limit": "many"}, "rpm_limit"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "allowed_ips": ["10.0.0.300"]}, "allowed_ips"),
        ({"name": "x", "allowed_ips": "10.0.0.1"}, "allowed_ips"),
        ({"name": "x", "allowed_models": ["a b"]}, "allowed_models"),
        ({"name": "x", "allowed_models": [f"m/{n}" for n in range(101)]}, "allowed_models"),
        ({"name": "x", "dayly_limit": "1"}, "dayly_limit"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(api, data, field):
    before = ApiKey.objects.count()
    answer = api("post", "/v1/keys", data)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"].partition(".")[0]) == ("validation_error", field)
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize(
    "limit",
    [
        {"daily_limit": Decimal(5)},
        {"total_limit": Decimal(0)},
        {"allowed_models": ["openai/m"]},
        {"allowed_ips": ["127.0.0.0/8"]},
        {"expires_at": timezone.now() + timedelta(days=1)},
    ],
    ids=lambda limit: next(iter(limit)),
)
def test_a_key_with_a_limit_makes_none_without_it_and_does_not_free_itself(api, customer, now, limit):
    limited = issuing.issue(customer=customer, name="limited", now=now, **limit)
    [field] = limit
    assert api("get", "/v1/keys", as_key=limited).status_code == 200
    for method, path, data in (
        ("post", "/v1/keys", {"name": "free"}),
        ("patch", f"/v1/keys/{limited.key.pk}", {field: [] if field.startswith("allowed") else None}),
    ):
        answer = api(method, path, data, as_key=limited)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")
        assert answer.json()["error"]["param"] == field
    assert ApiKey.objects.filter(customer=customer, is_active=True).count() == 2


def test_a_repeated_post_makes_one_key_and_tells_its_text_again(api):
    before = ApiKey.objects.count()
    answers = [api("post", "/v1/keys", {"name": "ci"}, **{"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert ApiKey.objects.count() == before + 1
    text = answers[0].json()["data"]["key"]
    assert text not in IdempotentAnswer.objects.get().body, "it is kept encrypted"
    answer = api("post", "/v1/keys", {"name": "other"}, **{"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")


def test_without_a_key_there_is_nothing_to_see(client, db):
    answer = client.get("/v1/keys")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["X-Request-Id"].startswith("req-")
