"""A charge given back leaves usage totals, the key's caps and the receipt too."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.models import KeyMeter
from billing.audit.run import audit
from billing.books import adjustments
from billing.books.reversals import reverse
from billing.models import Wallet
from proxy.models import Generation
from proxy.records import receipts, spending
from proxy.settlement import settle as settlement
from tests.billing.conftest import in_threads
from tests.conftest import NOW
from tests.proxy.conftest import wait_for
from tests.staffing import in_role

TODAY, YESTERDAY = NOW.date(), NOW.date() - timedelta(days=1)


@pytest.fixture
def meter(key):
    """The key's meter as ADMIT left it: a day, and what was held on it, and in all."""

    def counted(*, day=TODAY, spent="1", total="1") -> None:
        KeyMeter.objects.filter(pk=key.key.pk).update(day=day, day_spent=Decimal(spent), total_spent=Decimal(total))

    return counted


def spend(key) -> tuple[Decimal, Decimal]:
    found = KeyMeter.objects.get(pk=key.key.pk)
    return found.day_spent, found.total_spent


def given_back(generation: Generation) -> None:
    """As finance does it, one proposing and another approving."""
    first, second = in_role("finance", "first@staff.example.org"), in_role("finance", "second@staff.example.org")
    proposal = adjustments.propose_reversal(generation_id=generation.pk, reason="garbage", by=first, now=NOW)
    adjustments.approve(proposal_id=proposal.pk, by=second, now=NOW)


def test_a_reversed_charge_leaves_usage_caps_and_receipt(make_generation, meter, key, customer):
    meter(spent="2", total="2")
    gone, kept = make_generation(cost="0.25"), make_generation(cost="0.5")
    settlement.settle(now=NOW)
    assert spend(key) == (Decimal("0.75"), Decimal("0.75"))
    given_back(gone)
    assert spend(key) == (Decimal("0.5"), Decimal("0.5"))
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    for by in ("day", "model", "key"):
        [group] = api.get(f"/v1/usage?group_by={by}&from={TODAY}&to={TODAY}").json()["data"]
        assert (group["requests"], group["cost"]) == (2, "0.50000000")
    row = api.get(f"/v1/generation?id={gone.pk}").json()["data"]
    assert (row["cost"], row["given_back"], row["status"]) == ("0.00000000", "0.25000000", "settled")
    row = api.get(f"/v1/generation?id={kept.pk}").json()["data"]
    assert (row["cost"], row["given_back"]) == ("0.50000000", "0.00000000")
    receipt = receipts.receipt_of(customer=customer, generation_id=gone.pk)
    assert receipt is not None
    assert (receipt.charged, receipt.given_back, receipt.returned) == (0, Decimal("0.25"), Decimal("0.75"))
    assert spending.spending(customer=customer, days=1, now=NOW).total == Decimal("0.5")
    assert Wallet.objects.get(customer=customer).bonus == Decimal("9.5")
    assert audit().drifts == []


def test_the_pages_show_what_is_left_of_a_reversed_charge(make_generation, meter, user, client):
    meter()
    generation = make_generation(cost="0.25")
    settlement.settle(now=NOW)
    given_back(generation)
    client.force_login(user)
    assert "Given back" in client.get(f"/console/usage/{generation.pk}").content.decode()
    listed = client.get("/console/usage?by=requests").content.decode()
    assert "0.250000" not in listed
    assert "0.000000" in listed
    assert client.get("/console/").context["spending"].total == 0


def test_the_reversal_of_a_request_made_yesterday_does_not_free_todays_cap(make_generation, meter, key):
    meter(spent="3", total="4")
    old = make_generation(cost="0.25", at=NOW - timedelta(days=1))
    settlement.settle(now=NOW)
    assert spend(key) == (3, Decimal("3.25"))
    given_back(old)
    assert spend(key) == (3, 3)


def test_a_request_of_another_day_is_taken_off_the_day_that_counted_it(make_generation, meter, key):
    """No request came since: the meter still stands at yesterday."""
    meter(day=YESTERDAY)
    old = make_generation(cost="0.25", at=NOW - timedelta(days=1))
    settlement.settle(now=NOW)
    given_back(old)
    assert spend(key) == (0, 0)


def test_a_second_reversal_moves_nothing(make_generation, meter, key):
    meter()
    generation = make_generation(cost="0.25")
    settlement.settle(now=NOW)
    assert [reverse(generation_id=generation.pk, now=NOW) for _ in range(2)] == [Decimal("0.25")] * 2
    assert spend(key) == (0, 0)
    assert audit().drifts == []
    with pytest.raises(adjustments.AdjustmentError, match="given back already"):
        adjustments.propose_reversal(generation_id=generation.pk, reason="x", by=in_role("finance"), now=NOW)


def test_a_request_that_cost_nothing_has_nothing_to_give_back(make_generation, meter, key):
    meter()
    generation = make_generation(cost="0")
    settlement.settle(now=NOW)
    assert reverse(generation_id=generation.pk, now=NOW) == 0
    assert Generation.objects.get().corrected_cost is None


def test_many_reversals_at_once_net_a_charge_once(make_generation, meter, key, customer):
    meter(spent="2", total="2")
    first, second = make_generation(cost="0.25"), make_generation(cost="0.5")
    settlement.settle(now=NOW)
    acts = [lambda pk=g.pk: reverse(generation_id=pk, now=NOW) for g in (first, second) * 4]
    assert sum(in_threads(*acts)) == 3
    assert spend(key) == (0, 0)
    assert Wallet.objects.get(customer=customer).bonus == 10
    assert audit().drifts == []


def test_a_reversal_that_meets_settlement_waits_for_it(make_generation, meter, key, customer):
    meter()
    generation = make_generation(cost="0.25")
    settling, go_on = threading.Event(), threading.Event()

    def settle() -> None:
        with transaction.atomic():
            settlement.settle(now=NOW)
            settling.set()
            go_on.wait(5)
        connection.close()

    settler = threading.Thread(target=settle)
    settler.start()
    settling.wait(5)
    threading.Timer(0.3, go_on.set).start()
    [returned] = in_threads(lambda: reverse(generation_id=generation.pk, now=NOW))
    settler.join()
    assert returned == Decimal("0.25")
    assert spend(key) == (0, 0)
    assert Wallet.objects.get(customer=customer).bonus == 10
    assert audit().drifts == []


def test_reversals_and_requests_at_once_leave_the_meter_at_what_was_spent(gateway, upstream, customer):
    """ADMIT writes the meter as a whole, under the wallet's lock: a reversal beside it must not be lost."""
    for _ in range(8):
        assert gateway.chat().status_code == 200
    wait_for("metered")
    settlement.settle_all(now=NOW)
    made = list(Generation.objects.values_list("pk", flat=True))

    def ask() -> None:
        for _ in range(10):
            assert gateway.chat().status_code == 200

    def give_back() -> None:
        for pk in made:
            reverse(generation_id=pk, now=NOW)

    assert not [found for found in in_threads(ask, give_back) if isinstance(found, Exception)]
    settlement.settle_all(now=NOW)
    meter = KeyMeter.objects.get()
    spent = sum(g.net_cost or 0 for g in Generation.objects.all())
    assert meter.day_spent == meter.total_spent == spent == Wallet.objects.get(customer=customer).bonus * -1 + 10
    assert audit().drifts == []


def test_a_reversal_across_the_change_of_a_caps_day_frees_the_old_day_alone(make_generation, meter, key):
    """A request of the new day is admitted while the old day's charge is on its way back."""
    meter(day=YESTERDAY, spent="1", total="1")
    old = make_generation(cost="0.25", at=NOW - timedelta(days=1))
    settlement.settle(now=NOW)
    admitted, go_on = threading.Event(), threading.Event()

    def admit() -> None:
        with transaction.atomic():
            list(Wallet.objects.select_for_update(no_key=True))
            KeyMeter.objects.update(day=TODAY, day_spent=Decimal(2), total_spent=Decimal("2.25"))
            admitted.set()
            go_on.wait(5)
        connection.close()

    admission = threading.Thread(target=admit)
    admission.start()
    admitted.wait(5)
    threading.Timer(0.3, go_on.set).start()
    assert in_threads(lambda: reverse(generation_id=old.pk, now=NOW)) == [Decimal("0.25")]
    admission.join()
    assert spend(key) == (2, 2)


def test_the_audit_finds_a_reversal_that_was_not_netted(make_generation, meter):
    meter()
    generation = make_generation(cost="0.25")
    settlement.settle(now=NOW)
    reverse(generation_id=generation.pk, now=NOW)
    Generation.objects.update(corrected_cost=None)
    assert [drift for drift in audit().drifts if "is not taken off its request's cost" in drift]
    Generation.objects.update(corrected_cost=Decimal("0.1"))
    assert [drift for drift in audit().drifts if "0.25000000 of it given back" in drift]
