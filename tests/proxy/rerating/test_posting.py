"""Requests that were charged at a wrong price are corrected: what goes back, to which balance, and what stays."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import KeyMeter
from billing.audit.run import audit
from billing.books.ledger import Posting, house_account, post
from billing.books.reversals import reverse
from billing.models import Hold, Transfer, Wallet
from proxy.models import Generation, MarginDay, Price, Rerate, RerateShare, Upstream
from proxy.purchases.posting import post_all_purchases
from proxy.records import receipts
from proxy.rerating import deciding, reading
from proxy.settlement.settle import settle_all
from tests.conftest import NOW, pay_in
from tests.proxy.purchases.conftest import load
from tests.proxy.rerating.rerating_steps import (
    CHARGED,
    CORRECTED,
    HALF,
    approved,
    balances,
    people,
    proposed,
    run,
    version,
)

BACK = CHARGED - CORRECTED
EARLIER = NOW - timedelta(days=1)


def test_what_was_charged_too_much_goes_back_and_both_figures_stay(answered, customer, key):
    load()
    one = answered()
    rerate = approved(version(HALF))
    assert (rerate.state, rerate.seen, rerate.done) == ("done", 1, 1)
    one.refresh_from_db()
    assert (one.cost, one.corrected_cost, one.net_cost) == (CHARGED, CORRECTED, CORRECTED)
    assert balances(customer) == (0, Decimal(10) - CORRECTED)
    [transfer] = Transfer.objects.filter(kind="rerate")
    assert (transfer.key, transfer.amount) == (f"rerate:{rerate.pk}:{one.pk}:bonus", BACK)
    assert (transfer.debit.name, transfer.group) == ("revenue:bonus", f"rerate:{rerate.pk}")
    assert transfer.actor == rerate.decided_by
    share = RerateShare.objects.get()
    assert (share.requests, share.charged, share.corrected, share.difference) == (1, CHARGED, CORRECTED, -BACK)
    assert (share.posted, share.given_back, share.taken) == (1, BACK, 0)
    assert not audit().drifts


def test_receipt_and_api_show_both_figures(answered, customer, key, user, client):
    load()
    one = answered()
    approved(version(HALF))
    receipt = receipts.receipt_of(customer=customer, generation_id=one.pk)
    assert receipt is not None
    assert (receipt.charged, receipt.given_back) == (CORRECTED, BACK)
    row = Client(headers={"Authorization": f"Bearer {key.text}"}).get(f"/v1/generation?id={one.pk}").json()["data"]
    assert (row["cost"], row["original_cost"], row["given_back"]) == (f"{CORRECTED}", f"{CHARGED}", f"{BACK}")
    client.force_login(user)
    page = client.get(f"/console/usage/{one.pk}").content.decode()
    assert "$0.01417500" in page
    assert "$0.00708750" in page
    assert "charged anew at a corrected price" in client.get("/console/transactions").content.decode()


def test_the_paid_part_goes_back_first_and_never_more_than_was_charged_to_it(answered, customer):
    load()
    pay_in(customer, "5", at=NOW)
    spend_bonus(customer, leaving=CHARGED * 3 / 4)
    one = answered()
    assert balances(customer) == (5 - CHARGED / 4, 0)
    post_all_purchases(now=NOW)
    approved(version(HALF))
    assert sum(MarginDay.objects.values_list("bonus", flat=True)) == CHARGED * 3 / 4 - (BACK - CHARGED / 4)
    moved = dict(Transfer.objects.filter(kind="rerate").values_list("key", "amount"))
    assert {key.rpartition(":")[2]: amount for key, amount in moved.items()} == {
        "paid": CHARGED / 4,
        "bonus": BACK - CHARGED / 4,
    }
    assert all(one.pk in key for key in moved)
    assert balances(customer) == (5, BACK - CHARGED / 4)
    approved(version({"input": "0.3", "output": "1.5"}))  # nothing of the paid part is left to give back
    assert balances(customer) == (5, CHARGED * 9 / 10 - CHARGED / 4)
    assert not [drift for drift in audit().drifts if "request" in drift]


def spend_bonus(customer, *, leaving: Decimal) -> None:
    wallet = Wallet.objects.get(customer=customer)
    amount = wallet.bonus - leaving
    post([Posting("used:bonus", "grant", wallet.bonus_account, house_account("expense:bonus"), amount)], now=NOW)


def test_the_spend_of_its_key_is_lowered_on_the_day_it_was_counted(answered, key):
    load()
    KeyMeter.objects.filter(pk=key.key.pk).update(day=NOW.date(), day_spent=2, total_spent=2)
    answered()
    answered(at=EARLIER)
    before = KeyMeter.objects.get(pk=key.key.pk)
    approved(version(HALF), first_day=EARLIER.date())
    after = KeyMeter.objects.get(pk=key.key.pk)
    assert after.day_spent == before.day_spent - BACK
    assert after.total_spent == before.total_spent - 2 * BACK


def test_the_groups_factor_and_the_tier_are_those_of_the_time(answered):
    load()
    price = version({"input": "3", "output": "15", "variants": [{"when": {"service_tier": "flex"}, "output": "6"}]})
    tier = {"asked_tier": "flex", "service_tier": "flex"}
    flex = answered(**tier, cost=Decimal("0.00945000"), upstream_cost=Decimal("0.009"))
    cheap = answered(factor=Decimal("0.5"), cost=Decimal("0.00708750"))
    half = {"input": "1.5", "output": "7.5", "variants": [{"when": {"service_tier": "flex"}, "output": "3"}]}
    approved(version(half))
    assert Generation.objects.get(pk=flex.pk).corrected_cost == Decimal("0.00472500")
    assert Generation.objects.get(pk=cheap.pk).corrected_cost == Decimal("0.00354375")
    assert price.version == 2
    assert not audit().drifts


def test_only_the_chosen_requests_are_looked_at(answered):
    load()
    wrong = Price.objects.get()
    chosen = answered()
    others = [
        answered(at=EARLIER),
        answered(upstream="domestic"),
        answered(is_settled=False, state="quarantined"),
    ]
    corrected = version(HALF)
    others += [answered(), answered(is_settled=False)]  # held at the right version
    rerate = approved(corrected, upstream=Upstream.objects.get(name="main"), held_at=wrong)
    assert (rerate.seen, rerate.done) == (1, 1)
    assert list(Generation.objects.filter(corrected_cost__isnull=False)) == [chosen]
    assert len(others) == 5
    assert not audit().drifts


def test_what_was_settled_after_it_was_proposed_is_left_out(answered):
    load()
    answered(at=NOW + timedelta(minutes=1))
    rerate = proposed(version(HALF), by=people()[0])
    assert (rerate.state, rerate.seen) == ("nothing", 0)


def test_a_dearer_price_leaves_all_as_it_is_and_says_how_many(answered, customer):
    load()
    answered()
    rerate = proposed(version({"input": "30", "output": "150"}), by=people()[0])
    assert (rerate.state, rerate.seen, rerate.dearer) == ("nothing", 1, 1)
    assert balances(customer) == (0, Decimal(10) - CHARGED)


def test_a_charge_that_does_not_follow_from_what_is_stored_is_left_and_counted(answered):
    load()
    odd, plain = answered(cost=Decimal("0.5")), answered()
    rerate = approved(version(HALF))
    assert (rerate.unclear, rerate.done) == (1, 2)
    assert list(Generation.objects.filter(corrected_cost__isnull=False)) == [plain]
    assert Generation.objects.get(pk=odd.pk).net_cost == Decimal("0.5")


def test_what_was_capped_at_its_bound_is_corrected_from_there_and_never_goes_above(answered):
    load()
    bound = Decimal("0.01")
    one = answered(cost=bound, is_settled=False)
    Generation.objects.update(bound=bound, held=bound)
    Hold.objects.update(amount=bound, bound=bound)
    Wallet.objects.update(held=bound)
    settle_all(now=NOW)
    assert proposed(version({"input": "2.9", "output": "14"}), by=people()[0]).state == "nothing"
    approved(version(HALF), reason="lower still", first_day=EARLIER.date())
    one.refresh_from_db()
    assert (one.cost, one.corrected_cost) == (bound, CORRECTED)
    assert not audit().drifts


def test_a_second_one_works_from_the_corrected_cost(answered, customer):
    load()
    one = answered()
    approved(version(HALF))
    first, second = Rerate.objects.get().proposed_by, Rerate.objects.get().decided_by
    rerate = deciding.propose(
        model=one.model, first_day=NOW.date(), last_day=NOW.date(), price=version({"input": "0.75", "output": "3.75"}),
        reason="again", by=first, now=NOW,
    )  # fmt: skip
    run()
    [share] = RerateShare.objects.filter(rerate=rerate)
    assert (share.charged, share.difference) == (CORRECTED, -CORRECTED / 2)
    deciding.approve(proposal_id=rerate.pk, by=second, now=NOW)
    run()
    one.refresh_from_db()
    assert (one.cost, one.corrected_cost) == (CHARGED, Decimal("0.00354375"))
    assert balances(customer) == (0, 10 - Decimal("0.00354375"))
    assert not audit().drifts


def test_a_reversed_request_is_left_out_and_a_corrected_one_is_reversed_for_what_is_left(answered, customer):
    load()
    gone, kept = answered(), answered()
    reverse(generation_id=gone.pk, now=NOW)
    rerate = approved(version(HALF))
    assert (rerate.done, RerateShare.objects.get().posted) == (2, 1)
    assert balances(customer) == (0, Decimal(10) - CORRECTED)
    assert reverse(generation_id=kept.pk, now=NOW) == CORRECTED
    assert reverse(generation_id=kept.pk, now=NOW) == CORRECTED
    assert balances(customer) == (0, 10)
    assert Generation.objects.get(pk=kept.pk).corrected_cost == 0
    assert not audit().drifts


def test_the_margins_of_the_day_in_which_it_posts_are_corrected(answered):
    load()
    answered()
    post_all_purchases(now=NOW)
    approved(version(HALF), now=NOW + timedelta(days=1))
    assert list(MarginDay.objects.order_by("day").values_list("day", "charged", "corrected", "bonus")) == [
        (NOW.date(), CHARGED, 0, CHARGED),
        (NOW.date() + timedelta(days=1), 0, -BACK, -BACK),
    ]
    assert not audit().drifts


def test_pages_of_any_size_come_to_the_same(answered, customer, monkeypatch):
    load()
    for _ in range(7):
        answered()
    monkeypatch.setattr(reading, "MOST_REQUESTS", 3)
    for name in ("READ", "LOCKED"):
        monkeypatch.setattr(reading, name, getattr(reading, name).replace("LIMIT 500", "LIMIT 3"))
    monkeypatch.setattr(reading, "UPTO", reading.UPTO.replace("LIMIT 5000", "LIMIT 4"))
    rerate = approved(version(HALF))
    assert (rerate.seen, rerate.done, RerateShare.objects.get().posted) == (7, 7, 7)
    assert balances(customer) == (0, 10 - 7 * CORRECTED)
    assert not audit().drifts


@pytest.mark.parametrize("what", ["the cost", "a transfer", "a share"])
def test_the_audit_finds_what_does_not_fit(answered, what):
    load()
    one = answered()
    rerate = approved(version(HALF))
    if what == "the cost":
        Generation.objects.update(corrected_cost=CORRECTED + 1)
        assert [drift for drift in audit().drifts if one.pk in drift and "given back" in drift]
    elif what == "a share":
        RerateShare.objects.update(given_back=1)
        assert [drift for drift in audit().drifts if f"re-rating {rerate.pk} is done" in drift]
    else:
        Generation.objects.update(corrected_cost=None)
        assert [drift for drift in audit().drifts if "is not taken off its request's cost" in drift]
