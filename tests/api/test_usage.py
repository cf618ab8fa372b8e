"""GET /v1/usage: what a customer used, by day, model and key."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.keys import issuing
from billing.books.reversals import reverse
from billing.models import Transfer
from proxy.models import Generation
from proxy.records import exported, sessions
from proxy.settlement.settle import settle_all
from tests.conftest import NOW


@pytest.fixture
def api(customer):
    return Client(headers={"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"})


@pytest.fixture
def used(make_request, now):
    """Three requests on two days, of 0.01 USD each, and one that is in flight."""
    for days in (0, 1, 1):
        tokens = {"input_tokens": 10, "output_tokens": 5, "cost": Decimal("0.01")}
        make_request(at=now - timedelta(days=days), bound="0.02", **tokens)
    make_request(at=now, bound="0.02", state="held")
    return now.date()


def test_usage_is_summed_up_by_day_the_newest_first(api, used):
    answer = api.get(f"/v1/usage?from={used - timedelta(days=1)}&to={used}").json()
    assert (answer["next"], answer["previous"], answer["time_zone"]) == (None, None, "UTC")
    assert [(row["group"], row["requests"], row["cost"]) for row in answer["data"]] == [
        (str(used), 1, "0.01000000"),
        (str(used - timedelta(days=1)), 2, "0.02000000"),
    ]
    assert (answer["data"][1]["input_tokens"], answer["data"][1]["output_tokens"]) == (20, 10)


@pytest.mark.parametrize("by", ["model", "key", "member"])
def test_usage_is_summed_up_by_model_key_and_member(api, used, by):
    answer = api.get(f"/v1/usage?group_by={by}&from={used - timedelta(days=1)}&to={used}").json()
    [row] = answer["data"]
    assert (row["requests"], row["cost"]) == (3, "0.03000000")
    assert row["group"].startswith("ck-") is (by == "key")
    assert (row["group"] == "") is (by == "member")


def test_usage_is_summed_up_by_session_and_what_names_none_goes_together(api, used, make_request, now, monkeypatch):
    for session in ("dear", "dear", "cheap"):
        made = make_request(at=now, bound="0.02", session=session, cost=Decimal("0.02"))
    path = f"/v1/usage?group_by=session&from={used - timedelta(days=1)}&to={used}"
    rows = [(row["group"], row["requests"], row["cost"]) for row in api.get(path).json()["data"]]
    assert rows == [("dear", 2, "0.04000000"), ("", 3, "0.03000000"), ("cheap", 1, "0.02000000")]
    reverse(generation_id=made.pk, now=now)
    assert api.get(path).json()["data"][-1]["cost"] == "0.00000000"
    monkeypatch.setattr(sessions, "MOST_GROUPS", 1)
    assert [row["group"] for row in api.get(path).json()["data"]] == ["dear"]


def lines(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_the_csv_has_each_charge_and_correction_and_sums_to_what_was_taken(api, used, make_request, now, monkeypatch):
    monkeypatch.setattr(exported, "PAGE", 2)
    late = make_request(at=now - timedelta(days=40), state="metered", bound="0.02", cost=Decimal("0.02"))
    settle_all(now=now)
    reverse(generation_id=Generation.objects.filter(state="settled").latest("pk").pk, now=now + timedelta(days=1))
    answer = api.get("/v1/usage.csv")
    rows = lines(answer)
    assert list(rows[0]) == list(exported.HEADER)
    assert [row["status"] for row in rows] == ["settled"] * 4 + ["corrected"]
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal("0.04") == taken()
    assert {row["generation_id"] for row in rows} >= {late.pk}
    [row] = lines(api.get(f"/v1/usage.csv?from={used + timedelta(days=1)}&to={used + timedelta(days=1)}"))
    assert (row["cost"], row["settled_at"]) == ("-0.01000000", "2026-11-24T12:00:00Z")
    assert len(lines(api.get(f"/v1/usage.csv?from={used}&to={used}"))) == 2
    assert api.get("/v1/usage.csv?from=2026-02-02&to=2026-02-01").json()["error"]["param"] == "from"


def taken() -> Decimal:
    out = sum(t.amount for t in Transfer.objects.filter(kind__in=["usage", "usage_bonus"]))
    return out - sum(t.amount for t in Transfer.objects.filter(kind="reversal"))


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
