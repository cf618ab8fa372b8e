"""/v1/keys: caps with what is spent of them, new texts for keys, and the zone that cuts the days."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from accounts.keys import issuing, rotating
from accounts.limits.periods import begins
from accounts.models import ApiKey, Customer, FormerText, KeyMeter, Membership, User
from accounts.tasks import tidy


@pytest.fixture
def api(client, key):
    def call(method, path, data=None, as_key=key, **headers):
        headers |= {"Authorization": f"Bearer {getattr(as_key, 'text', as_key)}"}
        given = {} if data is None else {"data": data}
        return getattr(client, method)(path, **given, content_type="application/json", headers=headers)

    return call


def spent(key: ApiKey, amount: str, **fields) -> None:
    sums = {f"{period}_spent": Decimal(amount) for period in ("day", "week", "month", "total")}
    KeyMeter.objects.filter(pk=key.pk).update(**sums, **fields)


def test_each_cap_has_what_is_spent_of_it_and_when_it_begins_anew(api, key, customer):
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Kathmandu")
    today = (timezone.now() + timedelta(hours=5, minutes=45)).date()
    spent(key.key, "1.5", day=today)
    limits = {"daily_limit": "2", "weekly_limit": "3", "monthly_limit": "4", "total_limit": "5", "concurrency_limit": 6}
    data = api("patch", f"/v1/keys/{key.key.pk}", limits).json()["data"]
    assert [data[f"{name}_limit"] for name in ("daily", "weekly", "monthly", "total")] == [
        f"{n}.00000000" for n in (2, 3, 4, 5)
    ]
    assert {data[f"{name}_spent"] for name in ("daily", "weekly", "monthly", "total")} == {"1.50000000"}
    assert data["concurrency_limit"] == 6
    assert data["time_zone"] == "Asia/Kathmandu"
    assert data["daily_resets_at"] == f"{today}T18:15:00Z"
    assert data["weekly_resets_at"] == f"{begins(today)[1] + timedelta(days=6)}T18:15:00Z"
    assert data["monthly_resets_at"].endswith("T18:15:00Z")
    assert data["total_resets_at"] is None
    info = api("get", "/v1/key/info").json()["data"]
    assert {name: info[name] for name in info if name.startswith(("daily", "weekly", "monthly", "total"))} == {
        name: data[name] for name in data if name.startswith(("daily", "weekly", "monthly", "total"))
    }


def test_what_was_spent_yesterday_is_not_shown_as_todays(api, key):
    spent(key.key, "1.5", day=timezone.now().date() - timedelta(days=1))
    data = api("get", f"/v1/keys/{key.key.pk}").json()["data"]
    assert (data["daily_spent"], data["total_spent"], data["spent"]) == ("0.00000000", "1.50000000", "1.50000000")


@pytest.mark.parametrize(
    ("field", "value"),
    [("weekly_limit", "-1"), ("monthly_limit", "NaN"), ("concurrency_limit", 0), ("concurrency_limit", 2**31)],
)
def test_a_limit_that_cannot_be_meant_is_refused(api, key, field, value):
    answer = api("patch", f"/v1/keys/{key.key.pk}", {field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    "wider",
    [
        {"weekly_limit": None},
        {"monthly_limit": "9"},
        {"concurrency_limit": 3},
        {"concurrency_limit": None},
        {"allowed_models": ["*"]},
        {"allowed_models": ["anthropic/claude-*", "*-mini"]},
        {"allowed_models": ["openai/gpt-*"]},
    ],
)
def test_a_key_makes_none_with_a_wider_cap_or_pattern(api, customer, now, wider):
    own = {"weekly_limit": Decimal(5), "monthly_limit": Decimal(8), "concurrency_limit": 2}
    maker = issuing.issue(
        customer=customer, name="m", now=now, allowed_models=["anthropic/*", "*-nano"], scopes=["keys", "read"], **own
    )
    same = {
        **{name: str(value) if isinstance(value, Decimal) else value for name, value in own.items()},
        "allowed_models": ["anthropic/claude-*", "openai/gpt-*-nano"],
        "scopes": ["read"],
    }
    assert api("post", "/v1/keys", {"name": "c", **same}, as_key=maker).status_code == 201
    refused = api("post", "/v1/keys", {"name": "c", **same, **wider}, as_key=maker)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")
    assert refused.json()["error"]["param"] in wider


def test_a_rotated_key_has_a_new_text_and_the_old_one_works_until_the_overlap_ends(api, key):
    answer = api("post", f"/v1/keys/{key.key.pk}/rotate", {"overlap_hours": 2})
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert data["key"] != key.text
    assert (data["id"], data["key_prefix"]) == (str(key.key.pk), data["key"][:7])
    assert [one["key_prefix"] for one in data["former_texts"]] == [key.text[:7]]
    assert api("get", "/v1/credits", as_key=data["key"]).status_code == 200
    assert api("get", "/v1/credits").status_code == 200
    FormerText.objects.update(works_until=timezone.now() - timedelta(seconds=1))
    assert api("get", "/v1/credits").status_code == 401
    shown = api("get", f"/v1/keys/{key.key.pk}", as_key=data["key"])
    assert shown.json()["data"]["former_texts"] == []
    assert data["key"] not in shown.content.decode()
    tidy()
    assert not FormerText.objects.exists()


def test_without_an_overlap_the_old_text_ends_at_once_and_those_before_it_too(api, key):
    first = api("post", f"/v1/keys/{key.key.pk}/rotate", {}).json()["data"]["key"]
    second = api("post", f"/v1/keys/{key.key.pk}/rotate", {"overlap_hours": 0}, as_key=first).json()["data"]["key"]
    assert [api("get", "/v1/credits", as_key=text).status_code for text in (key.text, first, second)] == [401, 401, 200]


def test_the_same_rotation_sent_twice_makes_one(api, key):
    path, headers = f"/v1/keys/{key.key.pk}/rotate", {"Idempotency-Key": "once"}
    first = api("post", path, {"overlap_hours": 1}, **headers)
    assert api("post", path, {"overlap_hours": 1}, **headers).json() == first.json()
    assert FormerText.objects.count() == 1


@pytest.mark.parametrize(("method", "path"), [("post", "/v1/keys/{}/rotate"), ("patch", "/v1/account")])
def test_a_slip_in_a_fields_name_is_told_and_nothing_is_done(api, key, method, path):
    """Else a text that got out would work on for a day, where none was meant to."""
    refused = api(method, path.format(key.key.pk), {"overlap": 0})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "overlap")
    assert not FormerText.objects.exists()


@pytest.mark.parametrize("hours", [-1, 169, "a day"])
def test_an_overlap_is_from_none_to_a_week(api, key, hours):
    assert api("post", f"/v1/keys/{key.key.pk}/rotate", {"overlap_hours": hours}).status_code == 400
    assert not FormerText.objects.exists()


def test_a_key_has_five_former_texts_at_most_and_says_so(api, key):
    path, text = f"/v1/keys/{key.key.pk}/rotate", key.text
    for _ in range(rotating.MOST_FORMER):
        text = api("post", path, {"overlap_hours": 1}, as_key=text).json()["data"]["key"]
    refused = api("post", path, {"overlap_hours": 1}, as_key=text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "state_conflict")


def test_a_key_rotates_none_that_may_do_more(api, customer, key, now):
    poor = issuing.issue(customer=customer, name="m", now=now, daily_limit=Decimal(1), scopes=["keys"])
    refused = api("post", f"/v1/keys/{key.key.pk}/rotate", {}, as_key=poor)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")


def test_under_a_former_text_nothing_is_made_that_outlives_it(api, key):
    """Whoever found the text out that was replaced for that."""
    assert api("post", f"/v1/keys/{key.key.pk}/rotate", {"overlap_hours": 1}).status_code == 201
    refused = [
        api("post", "/v1/keys", {"name": "mine"}),
        api("post", f"/v1/keys/{key.key.pk}/rotate", {}),
        api("post", "/v1/budgets", {"amount": "0.01", "expires_in": 7200}),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403], [answer.json() for answer in refused]
    assert refused[0].json()["error"]["param"] == "expires_at"
    soon = (timezone.now() + timedelta(minutes=50)).isoformat()
    assert api("post", "/v1/keys", {"name": "mine", "expires_at": soon}).status_code == 201


def test_who_saw_another_text_than_the_key_has_rotates_nothing(key):
    rotating.rotate(key=key.key, overlap=timedelta(0), prefix=key.text[:7])
    with pytest.raises(rotating.NotRotated):
        rotating.rotate(key=key.key, overlap=timedelta(0), prefix=key.text[:7])


def test_a_deleted_key_is_not_rotated_and_none_of_its_texts_work(api, customer, now):
    made = issuing.issue(customer=customer, name="ci", now=now)
    text = api("post", f"/v1/keys/{made.key.pk}/rotate", {}).json()["data"]["key"]
    assert api("delete", f"/v1/keys/{made.key.pk}").status_code == 204
    assert api("post", f"/v1/keys/{made.key.pk}/rotate", {}).status_code == 404
    assert [api("get", "/v1/credits", as_key=one).status_code for one in (made, text)] == [401, 401]


def test_the_accounts_zone_is_shown_and_changed_by_owners_alone(api, customer, now):
    assert api("get", "/v1/account").json()["data"]["time_zone"] == "UTC"
    assert api("patch", "/v1/account", {"time_zone": "Australia/Lord_Howe"}).json()["data"]["time_zone"] == (
        "Australia/Lord_Howe"
    )
    refused = api("patch", "/v1/account", {"time_zone": "Mars/Base"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "time_zone")
    developer = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=developer, customer=customer, role="developer")
    theirs = issuing.issue(customer=customer, name="k", now=now, created_by=developer, scopes=["billing", "read"])
    assert api("patch", "/v1/account", {"time_zone": "UTC"}, as_key=theirs).status_code == 403
    with connection.cursor() as cursor:
        cursor.execute("SELECT time_zone FROM accounts_customer WHERE id = %s", [customer.pk])
        assert cursor.fetchone() == ("Australia/Lord_Howe",)
