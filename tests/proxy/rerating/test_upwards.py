"""What was charged too little is taken only where a setting says so, days after it is told, and as far as there is."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum

from billing.audit.run import audit
from billing.books import holds
from billing.books.reversals import reverse
from billing.models import Event, Hold, Mail, Transfer
from billing.outbox import mail
from proxy.models import Generation, MarginDay, Rerate, RerateShare
from proxy.purchases.posting import post_all_purchases
from proxy.rerating import announcing, deciding
from proxy.rerating.announcing import NOTICE
from proxy.rerating.deciding import RerateError
from tests.conftest import NOW
from tests.proxy.purchases.conftest import load
from tests.proxy.rerating.rerating_steps import CHARGED, approved, balances, people, proposed, run, version

DOUBLE = {"input": "6", "output": "30"}
LATER = NOW + NOTICE


@pytest.fixture(autouse=True)
def _upwards(settings):
    settings.RERATE_UPWARDS = True


def test_it_is_told_and_taken_seven_days_later(answered, customer, user):
    load()
    one = answered()
    rerate = approved(version(DOUBLE), upwards=True)
    assert (rerate.state, rerate.posts_from) == ("approved", LATER)
    assert run(now=LATER - timedelta(seconds=1)) == 0
    assert balances(customer) == (0, 10 - CHARGED)
    mail.send_due(now=NOW)
    [letter] = Mail.objects.all()
    assert letter.to == user.email
    assert "$0.01417500 too little" in letter.body
    assert "From 2026-11-30 on we take" in letter.body
    run(now=LATER)
    one.refresh_from_db()
    assert (one.cost, one.corrected_cost) == (CHARGED, 2 * CHARGED)
    assert balances(customer) == (0, 10 - 2 * CHARGED)
    [transfer] = Transfer.objects.filter(kind="rerate_up")
    assert (transfer.credit.name, transfer.created_at) == ("revenue:bonus", LATER)
    assert RerateShare.objects.get().taken == CHARGED
    assert not audit().drifts
    assert reverse(generation_id=one.pk, now=LATER) == 2 * CHARGED
    assert not audit().drifts


def test_the_audit_finds_what_was_taken_beyond_the_bound(answered):
    load()
    one = answered()
    approved(version(DOUBLE), upwards=True)
    run(now=LATER)
    assert not audit().drifts
    Generation.objects.update(bound=CHARGED, held=CHARGED)
    Hold.objects.update(bound=CHARGED, amount=CHARGED)
    [drift] = audit().drifts
    assert one.pk in drift


def test_never_more_than_is_available_and_the_earlier_requests_first(answered, customer):
    load()
    first, second, third = answered(), answered(), answered()
    left = 10 - 3 * CHARGED
    held = left - CHARGED * 3 / 2
    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=held, now=NOW)
    approved(version(DOUBLE), upwards=True)
    run(now=LATER)
    costs = [Generation.objects.get(pk=g.pk).corrected_cost for g in (first, second, third)]
    assert costs == [2 * CHARGED, CHARGED * 3 / 2, None]
    assert balances(customer) == (0, held)
    assert not [drift for drift in audit().drifts if "refund:1" not in drift]


def test_what_is_taken_of_both_balances_goes_back_paid_part_first(answered, customer):
    """From bonus first, as a charge; and back to where it came from."""
    load()
    one = answered()
    approved(version(DOUBLE), upwards=True)
    run(now=LATER)
    proposed(version({"input": "0.3", "output": "1.5"}), by=people()[0], now=LATER)
    rerate = Rerate.objects.get(state="proposed")
    deciding.approve(proposal_id=rerate.pk, by=people()[1], now=LATER)
    run(now=LATER)
    one.refresh_from_db()
    assert one.corrected_cost == CHARGED / 10
    assert balances(customer) == (0, 10 - CHARGED / 10)
    assert not audit().drifts


def test_a_request_that_was_given_back_as_a_whole_costs_nothing_again(answered, customer):
    load()
    gone, kept = answered(), answered()
    reverse(generation_id=gone.pk, now=NOW)
    approved(version(DOUBLE), upwards=True)
    assert RerateShare.objects.get().up == CHARGED
    run(now=LATER)
    assert Generation.objects.get(pk=gone.pk).net_cost == 0
    assert Generation.objects.get(pk=kept.pk).net_cost == 2 * CHARGED
    assert balances(customer) == (0, 10 - 2 * CHARGED)


def test_nothing_is_taken_from_whom_nobody_told(answered, customer):
    load()
    one = answered()
    approved(version(DOUBLE), upwards=True)
    RerateShare.objects.update(announced_at=None)
    run(now=LATER)
    one.refresh_from_db()
    assert (Rerate.objects.get().state, one.corrected_cost) == ("done", None)
    assert balances(customer) == (0, 10 - CHARGED)


def test_it_can_be_stopped_until_it_posts(answered, customer):
    load()
    answered()
    rerate = approved(version(DOUBLE), upwards=True)
    deciding.refuse(proposal_id=rerate.pk, why="we bear it", by=people()[0], now=NOW)
    assert run(now=LATER) == 0
    assert balances(customer) == (0, 10 - CHARGED)


def test_a_setting_that_is_off_by_then_lets_nobody_approve_it(answered, settings):
    load()
    answered()
    rerate = proposed(version(DOUBLE), by=people()[0], upwards=True)
    settings.RERATE_UPWARDS = False
    with pytest.raises(RerateError, match="RERATE_UPWARDS is off"):
        deciding.approve(proposal_id=rerate.pk, by=people()[1], now=NOW)


def test_each_customer_is_told_once_whatever_the_pages(answered, monkeypatch):
    load()
    answered()
    monkeypatch.setattr(announcing, "MOST", 1)
    approved(version(DOUBLE), upwards=True)
    run()
    assert Event.objects.filter(kind="rerate.announced").count() == 1
    assert Decimal(Event.objects.get(kind="rerate.announced").data["amount"]) == CHARGED


@pytest.mark.parametrize("is_posted", [True, False])
def test_what_is_taken_from_bonus_is_bonus_in_the_margin_and_what_goes_back_is_not(answered, is_posted):
    load()
    one = answered()
    if is_posted:
        post_all_purchases(now=NOW)
    approved(version(DOUBLE), upwards=True)
    run(now=LATER)
    post_all_purchases(now=LATER)
    days = MarginDay.objects.aggregate(charged=Sum("charged") + Sum("corrected"), bonus=Sum("bonus"))
    assert days == {"charged": 2 * CHARGED, "bonus": 2 * CHARGED}
    reverse(generation_id=one.pk, now=LATER)
    days = MarginDay.objects.aggregate(charged=Sum("charged") + Sum("corrected"), bonus=Sum("bonus"))
    assert days == {"charged": 0, "bonus": 0}
    assert not audit().drifts
