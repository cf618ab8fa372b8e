"""The audit looks at requests: their holds, their charges, and what they name."""

from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing.audit.run import audit
from billing.books import holds
from billing.models import Hold
from proxy.admission.writer import EXTEND_GENERATIONS, MOST_CHANGES
from proxy.ids import new_generation_id
from proxy.models import Generation, Model, Price, Upstream
from proxy.prices.loading import load_catalog
from proxy.records.held import story_of
from proxy.settlement import settle
from tests.conftest import NOW

CATALOG = {
    "upstreams": [{"name": "u", "protocol": "openai", "base_url": "http://127.0.0.1:1/v1"}],
    "models": [{"id": "openai/m", "upstreams": ["u"], "price": {"input": "10", "output": "40"}}],
}


@pytest.fixture
def requests(customer, key):
    """One request of each kind, by what became of it."""
    load_catalog(CATALOG)

    def make(state: str, cost: str | None) -> str:
        generation_id, amount = new_generation_id(), Decimal("0.5")
        if state != "free":
            kind = Hold.Kind.REQUEST
            holds.place(customer_id=customer.pk, key=generation_id, kind=kind, amount=amount, now=NOW)
        Generation.objects.create(
            pk=generation_id,
            customer=customer,
            key=key.key,
            model=Model.objects.get(),
            price=Price.objects.get(),
            upstream=Upstream.objects.get(),
            protocol="openai",
            streamed=False,
            state="held" if state == "held" else "metered",
            bound=0 if state == "free" else amount,
            held=0 if state == "free" else amount,
            created_at=NOW,
            metered_at=NOW if cost else None,
            usage_source="upstream" if cost else "none",
            cost=cost,
        )
        return generation_id

    made = {
        "settled": make("metered", "0.2"),
        "nothing used": make("metered", "0"),
        "free": make("free", "0"),
        "gone": make("held", None),
    }
    settle.settle_all(now=NOW)
    settle.release([made["gone"]], reason="upstream_error", now=NOW)
    return {**made, "held": make("held", None), "metered": make("metered", "0.1")}


def tamper(statement: str, **values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def test_sound_requests_have_no_drift(requests, customer):
    assert audit().drifts == []
    assert audit(customer_ids=[customer.pk]).drifts == []


TAMPERED = [
    ("settled", "cost = 0.3", "is settled at 0.30000000, charged 0.20000000"),
    ("settled", "state = 'metered'", "is metered at 0.20000000, charged 0.20000000, its hold is captured"),
    ("settled", "held = 0.4", "is settled at 0.20000000"),
    ("settled", "bound = 0.6", "is settled at 0.20000000"),
    ("settled", "customer_id = 987654321", "names a key, model, price, upstream or wallet that is not there"),
    ("gone", "cost = 0.1", "is released at 0.10000000, charged 0"),
    ("gone", "state = 'held'", "is held at 0.00000000, charged 0, its hold is released"),
    ("held", "state = 'released'", "is released, charged 0, its hold is open"),
    ("metered", "state = 'settled'", "is settled at 0.10000000, charged 0, its hold is open"),
    ("metered", "key_id = 987654321", "names a key"),
    ("metered", "model_id = 987654321", "names a key"),
    ("metered", "price_id = 987654321", "names a key"),
    ("metered", "upstream_id = 987654321", "names a key"),
    ("free", "held = 0.1, bound = 0.1", "its hold is missing"),
]


@pytest.mark.parametrize(("which", "change", "says"), TAMPERED, ids=[f"{w}: {c}" for w, c, _ in TAMPERED])
def test_a_request_that_does_not_fit_its_hold_and_its_charge_is_a_drift(requests, which, change, says):
    tamper(f"UPDATE proxy_generation SET {change} WHERE id = %(id)s", id=requests[which])
    drifts = [drift for drift in audit().drifts if requests[which] in drift]  # its day's sums differ too
    assert [says in drift for drift in drifts].count(True) == 1, drifts


def extend(generation_id: str, *, times: int = 1) -> None:
    """As ADMIT does."""
    more = Decimal("0.01")
    for _ in range(times):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(EXTEND_GENERATIONS, [[generation_id], ["output"], [more], [more]])
            cursor.execute(holds.EXTEND_HOLDS, [[generation_id], [more], [more]])
            cursor.execute("UPDATE billing_wallet SET held = held + %s", [more])


def test_a_hold_that_grew_has_no_drift_however_often_it_did(requests):
    extend(requests["held"], times=MOST_CHANGES + 5)
    assert audit().drifts == []
    story = story_of(Generation.objects.get(pk=requests["held"]))
    assert (story.first, len(story.changes)) == (Decimal("0.5"), MOST_CHANGES)
    assert (story.changes[-1].amount, story.changes[-1].held) == (Decimal("0.06"), Decimal("1.19"))


@pytest.mark.parametrize(
    "change",
    [
        "hold_changes = jsonb_set(hold_changes, '{1,2}', '\"0.02\"')",
        "hold_changes = jsonb_set(hold_changes, '{1,3}', '\"0.9\"')",
        "hold_changes = hold_changes - 1",
        "hold_changes = '[]'",
        "held = 0.4, bound = 0.4",
    ],
)
def test_a_hold_that_is_not_what_its_changes_came_to_is_a_drift(requests, change):
    extend(requests["held"], times=3)
    tamper(f"UPDATE proxy_generation SET {change} WHERE id = %(id)s", id=requests["held"])
    [drift] = audit().drifts
    assert requests["held"] in drift
    assert "what is held for it is not what its changes came to" in drift


def test_a_hold_that_grew_beside_its_request_is_a_drift_of_both(requests, customer):
    extend(requests["held"])
    tamper("UPDATE billing_hold SET amount = amount + 1, bound = bound + 1 WHERE key = %(id)s", id=requests["held"])
    drifts = audit(customer_ids=[customer.pk]).drifts
    assert any("the wallet's held is" in drift for drift in drifts)
    assert any(requests["held"] in drift for drift in drifts)


@pytest.mark.parametrize("which", ["held", "gone", "settled"])
def test_a_hold_and_a_charge_without_a_request_are_drifts(requests, customer, which):
    tamper("DELETE FROM proxy_generation WHERE id = %(id)s", id=requests[which])
    drifts = audit().drifts
    assert f"customer {customer.pk}: hold {requests[which]} belongs to no request" in drifts
    assert (f"the charge {requests[which]}:bonus belongs to no request" in drifts) == (which == "settled")
    others = [drift for drift in audit(customer_ids=[customer.pk]).drifts if ": usage on " not in drift]
    assert len(others) == (which == "held")


def test_a_hold_that_is_missing_is_a_drift_of_its_request(requests, customer):
    tamper("DELETE FROM billing_hold WHERE key = %(id)s", id=requests["settled"])
    assert "its hold is missing" in audit(customer_ids=[customer.pk]).drifts[0]


def test_a_charge_that_was_changed_is_a_drift_of_its_request(requests, customer):
    tamper("UPDATE billing_transfer SET amount = 0.1 WHERE key = %(key)s", key=f"{requests['settled']}:bonus")
    drifts = audit(customer_ids=[customer.pk]).drifts
    assert any("is settled at 0.20000000, charged 0.10000000" in drift for drift in drifts)
