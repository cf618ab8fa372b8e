"""GET /v1/usage: what a customer used, by day, model and key."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.keys import issuing
from proxy.models import Generation
from proxy.records import lists
from tests.conftest import NOW


@pytest.fixture
def api(customer):
    return Client(headers={"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"})


@pytest.fixture
def used(make_request, now):
    """Three requests on two days, of 0.01 USD each, and one that is in flight."""
    for days in (0, 1, 1):
        made = make_request(at=now - timedelta(days=days), bound="0.02")
        Generation.objects.filter(pk=made.pk).update(input_tokens=10, output_tokens=5, cost=Decimal("0.01"))
    make_request(at=now, bound="0.02", state="held")
    return now.date()


def test_usage_is_summed_up_by_day_the_newest_first(api, used):
    answer = api.get(f"/v1/usage?from={used - timedelta(days=1)}&to={used}").json()
    assert (answer["next"], answer["previous"]) == (None, None)
    assert [(row["group"], row["requests"], row["cost"]) for row in answer["data"]] == [
        (str(used), 2, "0.01000000"),
        (str(used - timedelta(days=1)), 2, "0.02000000"),
    ]
    assert (answer["data"][1]["input_tokens"], answer["data"][1]["output_tokens"]) == (20, 10)


@pytest.mark.parametrize("by", ["model", "key"])
def test_usage_is_summed_up_by_model_and_by_key(api, used, by):
    answer = api.get(f"/v1/usage?group_by={by}&from={used - timedelta(days=1)}&to={used}").json()
    [row] = answer["data"]
    assert (row["requests"], row["cost"]) == (4, "0.03000000")
    assert row["group"].startswith("ck-") is (by == "key")


def test_usage_is_summed_up_by_session_and_what_names_none_goes_together(api, used, make_request, now, monkeypatch):
    for session in ("dear", "dear", "cheap"):
        made = make_request(at=now, bound="0.02", session=session)
        Generation.objects.filter(pk=made.pk).update(cost=Decimal("0.02"))
    path = f"/v1/usage?group_by=session&from={used - timedelta(days=1)}&to={used}"
    rows = [(row["group"], row["requests"], row["cost"]) for row in api.get(path).json()["data"]]
    assert rows == [("dear", 2, "0.04000000"), ("", 4, "0.03000000"), ("cheap", 1, "0.02000000")]
    monkeypatch.setattr(lists, "MOST_GROUPS", 1)
    assert [row["group"] for row in api.get(path).json()["data"]] == ["dear"]


def test_days_outside_are_not_counted(api, used):
    answer = api.get(f"/v1/usage?from={used}&to={used}").json()
    assert [row["group"] for row in answer["data"]] == [str(used)]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("group_by=hour", "group_by"),
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("to=0001-01-01", "to"),
        ("from=2026-01-02&to=2026-01-01", "from"),
        ("from=2020-01-01&to=2026-01-01", "from"),
    ],
)
def test_what_cannot_be_asked_is_said(api, query, param):
    answer = api.get(f"/v1/usage?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_another_customers_usage_is_not_counted(used, make_customer):
    other = issuing.issue(customer=make_customer("9", name="Eve"), name="k", now=NOW)
    answer = Client(headers={"Authorization": f"Bearer {other.text}"}).get(f"/v1/usage?to={used}").json()
    assert answer["data"] == []
