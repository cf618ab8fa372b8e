"""Automatic top-up: when it charges, how much, and what becomes of an attempt."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.people import customers
from billing import refunds
from billing.audit.run import audit
from billing.models import Event, Mail, Unread, Wallet
from billing.outbox import mail
from payments.automatic import attempts, looking
from payments.automatic.agreements import switch_off
from payments.automatic.terms import CEILING
from payments.models import AutoTopUp, SavedCard, TopUp
from payments.providers import registry
from payments.providers.stripe.adapter import StripeProvider
from payments.topups import opening, polling
from payments.topups.orders import Result
from tests.histories.world import mortal
from tests.payments.automatic.steps import (
    DECLINED_LATER,
    VISA,
    WANTS_HOLDER,
    agreed,
    enter,
    intents,
    later,
    paid,
    switched_on,
    work,
)
from tests.payments.conftest import confirmed, open_topup
from tests.payments.conftest import pay as pay_order
from tests.payments.dispute_steps import act, drifts, settle, spend

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _audit_is_clean():
    yield
    assert not drifts()


def test_a_low_balance_is_topped_up_by_the_saved_card_as_an_ordinary_order(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    [topup] = work()
    topup.refresh_from_db()
    assert (topup.state, topup.amount, topup.method, topup.automatic_id) == ("paid", 20, "stripe", agreement.pk)
    assert paid(customer) == 20
    [intent] = intents(sandbox, "paid")
    assert (intent["alias"], intent["amount"], topup.transaction_id) == (topup.number, 2000, intent["number"])


def test_the_trigger_is_a_level_looked_at_when_it_is_switched_on_and_every_five_minutes(sandbox, customer):
    switched_on(sandbox, customer)
    assert len(work()) == 1
    assert work(now=later(11)) == []
    spend(customer, "15")
    Unread.objects.all().delete()  # nobody told
    AutoTopUp.objects.update(look_at=later(16))
    assert work(now=later(15)) == []
    assert len(work(now=later(17))) == 1


def test_the_fact_that_the_wallet_fell_below_the_line_has_it_looked_at_at_once(sandbox, customer):
    switched_on(sandbox, customer)
    work()
    assert work(now=later(11)) == []
    spend(customer, "9")
    assert not Event.objects.filter(kind="balance.crossed").exists()
    spend(customer, "2")
    spend(customer, "2")
    assert Event.objects.filter(kind="balance.crossed").count() == 1
    assert len(work(now=later(12))) == 1


def test_a_wallet_that_nobody_watches_costs_no_query_more(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    work()
    with CaptureQueriesContext(connection) as watched:
        spend(customer, "1")
    switch_off(customer=agreement.customer, now=timezone.now())
    assert Wallet.objects.get(customer=customer).watched_below is None
    with CaptureQueriesContext(connection) as alone:
        spend(customer, "15")
    assert not Event.objects.filter(kind="balance.crossed").exists()
    assert len(alone) < len(watched)
    assert not [query for query in alone.captured_queries if "billing_hold" in query["sql"]]


def test_what_a_refund_or_dispute_holds_is_not_counted_as_balance(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    work()
    assert Wallet.objects.get(customer=customer).available == 20
    refunds.ask(customer=customer, amount="15.00", reason="x", now=timezone.now())
    standing = looking.standing_of(agreement, Wallet.objects.get(customer=customer), now=timezone.now())
    assert standing.level == 5


def test_it_waits_while_a_refund_is_asked_for_and_goes_on_afterwards(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    work()
    asked = refunds.ask(customer=customer, amount="15.00", reason="x", now=timezone.now())
    assert work(now=later(11)) == []
    agreement.refresh_from_db()
    assert (agreement.state, agreement.waits) == ("on", "refund")
    refunds.cancel(refund_id=asked.pk, now=timezone.now())
    spend(customer, "15")
    assert len(work(now=later(17))) == 1


def test_it_never_charges_while_the_account_is_suspended(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    customers.suspend(customer=customer, reason="x", now=timezone.now())
    assert work() == []
    agreement.refresh_from_db()
    assert agreement.waits == "suspended"


def test_it_never_charges_while_a_payment_is_disputed_nor_below_zero_because_of_a_lost_one(sandbox, customer):
    topup = open_topup(customer, method="stripe", amount="20.00")
    pay_order(sandbox, topup)
    spend(customer, "19")
    settle(act(sandbox, topup, "open"))
    agreement = switched_on(sandbox, customer_who_may(customer), "5555555555554444")
    assert work() == []
    agreement.refresh_from_db()
    assert agreement.waits == "disputed"
    settle(act(sandbox, topup, "withdraw"))
    settle(act(sandbox, topup, "lose"))
    customers.lift_suspension(customer=customer)
    assert paid(customer) < 0
    assert work(now=later(6)) == []
    agreement.refresh_from_db()
    assert agreement.waits == "disputed"


def customer_who_may(customer):
    """A dispute suspends; here staff have lifted it."""
    customers.lift_suspension(customer=customer)
    return customer


def test_one_unresolved_attempt_at_a_time_and_other_open_orders_do_not_count(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    open_topup(customer, method="stripe", amount="50.00")
    first = looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    assert first is not None
    assert looking.begin_if_low(agreement_id=agreement.pk, now=later(11)) is None
    agreement.refresh_from_db()
    assert agreement.waits == "unresolved"
    copied = ("customer", "automatic", "method", "amount", "charge_amount", "charge_currency", "expires_at")
    rest = {name: getattr(first, name) for name in copied}
    with pytest.raises(IntegrityError, match="topup_one_automatic_unresolved"), transaction.atomic():
        TopUp.objects.create(number="twin", **rest)


def test_automatic_attempts_take_no_place_of_the_orders_that_people_open(sandbox, customer, settings):
    settings.TOPUP_MOST_OPEN = settings.TOPUP_MOST_PER_HOUR = 1
    agreement = switched_on(sandbox, customer)
    looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    assert open_topup(customer, method="stripe").checkout_url


def test_an_attempt_lifts_the_balance_at_least_to_the_threshold(sandbox, customer):
    switched_on(sandbox, customer, amount="5.00", threshold="30.00")
    [topup] = work()
    assert topup.amount == 30
    assert paid(customer) == 30
    spend(customer, "1.23456789")
    [topup] = work(now=later(11))
    assert topup.amount == 5


def test_attempts_are_at_least_ten_minutes_apart(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    work()
    spend(customer, "15")
    assert work(now=later(9.9)) == []
    agreement.refresh_from_db()
    assert agreement.waits == "too_soon"
    AutoTopUp.objects.update(look_at=timezone.now())
    assert len(work(now=later(10.1))) == 1


def test_the_ceiling_counts_a_calendar_month_with_fees_from_the_beginning_of_each_attempt(sandbox, customer, settings):
    settings.TOPUP_FEES = {"stripe": (Decimal(10), Decimal(0))}
    agreement = switched_on(sandbox, customer, ceiling="43.99")
    looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    assert looking.spent(agreement, now=timezone.now()) == 22
    TopUp.objects.update(state="failed")
    assert looking.spent(agreement, now=timezone.now()) == 0
    TopUp.objects.update(state="open")
    [topup] = TopUp.objects.all()
    polling.poll(topup_id=topup.pk, now=timezone.now())
    spend(customer, "15")
    assert work(now=later(11)) == []  # 44.00 with its fee
    agreement.refresh_from_db()
    assert agreement.waits == "ceiling"
    month_begins = datetime(2026, 1, 1, tzinfo=UTC)
    TopUp.objects.update(created_at=month_begins - timedelta(seconds=1))
    assert looking.spent(agreement, now=month_begins) == 0
    TopUp.objects.update(created_at=month_begins)
    assert looking.spent(agreement, now=month_begins + timedelta(days=30)) == 22
    TopUp.objects.update(created_at=topup.created_at)


def test_the_ceiling_is_a_hundred_dollars_unless_another_is_named():
    assert Decimal("100.00") == CEILING


def test_the_daily_limit_of_new_customers_applies(sandbox, customer, settings):
    settings.TOPUP_NEW_CUSTOMER_DAILY = Decimal("30.00")
    agreement = switched_on(sandbox, customer)
    assert len(work()) == 1
    spend(customer, "15")
    assert work(now=later(11)) == []
    agreement.refresh_from_db()
    assert agreement.waits == "daily_limit"


def test_it_ends_after_its_last_day_with_a_word_to_the_owners(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    assert work(now=agreement.ends_at) == []
    agreement.refresh_from_db()
    assert (agreement.state, agreement.off_reason) == ("off", "ended")
    assert Event.objects.get(kind="auto_topup.disabled").data["off_reason"] == "ended"


def test_the_order_stands_with_its_number_before_the_provider_is_asked(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    topup = looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    assert (topup.state, intents(sandbox)) == ("open", [])
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) is Result.CREDITED
    [intent] = intents(sandbox)
    assert intent["alias"] == topup.number


def test_no_answer_is_asked_again_by_the_same_number(sandbox, customer, impatient):
    switched_on(sandbox, customer)
    sandbox.fault("time_out_after_success", provider="stripe", operation="charge", times=2, seconds=1)
    [topup] = work()
    topup.refresh_from_db()
    assert (topup.state, topup.reference, paid(customer)) == ("open", "", 0)
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) is Result.CREDITED
    assert (len(intents(sandbox)), paid(customer)) == (1, 20)


def test_once_the_number_may_be_forgotten_the_list_of_payments_tells(sandbox, customer, impatient):
    switched_on(sandbox, customer)
    sandbox.fault("time_out_after_success", provider="stripe", operation="charge", times=2, seconds=1)
    [topup] = work()
    sandbox.fault("provider_down", provider="stripe", operation="charge", times=0)
    assert polling.poll(topup_id=topup.pk, now=later(21 * 60)) is Result.CREDITED
    assert (len(intents(sandbox)), paid(customer)) == (1, 20)


def test_what_no_list_has_after_a_while_was_never_charged_and_never_is(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    sandbox.fault("provider_down", provider="stripe", operation="charge", times=2)
    [topup] = work()
    switch_off(customer=agreement.customer, now=timezone.now())
    assert polling.poll(topup_id=topup.pk, now=later(5)) is Result.PENDING
    assert polling.poll(topup_id=topup.pk, now=later(11)) is Result.CLOSED
    topup.refresh_from_db()
    assert (topup.state, intents(sandbox)) == ("failed", [])


def test_an_attempt_is_not_asked_for_once_something_stands_against_it(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    topup = looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    customers.suspend(customer=customer, reason="x", now=timezone.now())
    assert polling.poll(topup_id=topup.pk, now=later(11)) is Result.CLOSED
    assert intents(sandbox) == []


REASONS = {DECLINED_LATER: "declined", WANTS_HOLDER: "authentication"}


@pytest.mark.parametrize("card", REASONS)
def test_a_no_cancels_the_payment_fails_the_order_and_switches_it_off_with_a_mail(sandbox, customer, card, settings):
    agreement = switched_on(sandbox, customer, card)
    [topup] = work()
    topup.refresh_from_db()
    agreement.refresh_from_db()
    assert (topup.state, agreement.state, agreement.off_reason) == ("failed", "off", REASONS[card])
    [intent] = intents(sandbox)
    assert intent["state"] == "closed"
    fact = Event.objects.get(kind="auto_topup.disabled")
    assert (fact.customer_id, fact.data["off_reason"], fact.data["topup"]) == (customer.pk, REASONS[card], topup.number)
    mail.send_due(now=timezone.now())
    letter = Mail.objects.get(event=fact)
    assert letter.to == customer.members.get().email
    assert f"{settings.SITE_URL}/console/topup" in letter.body
    assert card[-4:] in letter.body
    assert work(now=later(30)) == []


def test_a_card_that_is_gone_switches_it_off(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    sandbox.control("POST", f"/cards/{SavedCard.objects.get().reference}/detach")
    [topup] = work()
    topup.refresh_from_db()
    agreement.refresh_from_db()
    assert (topup.state, agreement.state, agreement.off_reason) == ("failed", "off", "card_gone")
    assert intents(sandbox) == []


def test_a_no_of_our_own_key_is_not_the_cards(sandbox, customer, monkeypatch):
    agreement = switched_on(sandbox, customer)
    topup = looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    client = registry.get("stripe")._client
    monkeypatch.setattr(client._requestor._options, "api_key", "sk_test_wrong")
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) is Result.UNKNOWN
    agreement.refresh_from_db()
    assert agreement.state == "on"


def test_an_ordinary_top_up_still_calls_nothing_but_the_checkout_session(sandbox, customer, monkeypatch):
    switched_on(sandbox, customer)
    called = []
    original = StripeProvider._call
    monkeypatch.setattr(StripeProvider, "_call", lambda self, act: called.append(act) or original(act))
    topup = opening.open_topup(customer=customer, amount="20.00", method="stripe", now=timezone.now())
    assert (len(called), topup.reference[:3]) == (1, "cs_")


@pytest.mark.parametrize("card", [VISA, DECLINED_LATER, WANTS_HOLDER])
def test_a_worker_killed_between_any_two_steps_charges_once_and_finishes(sandbox, make_customer, card):
    for steps in range(9):
        customer = confirmed(make_customer())
        agreement = switched_on(sandbox, customer, card)
        with mortal(steps):
            attempts.look(agreement_id=agreement.pk, now=timezone.now())
        for minutes in (1, 2):
            AutoTopUp.objects.filter(state="on").update(look_at=timezone.now())
            work(now=later(minutes))
            for topup in TopUp.objects.filter(state="open"):
                polling.poll(topup_id=topup.pk, now=later(minutes))
        topup = TopUp.objects.get(customer=customer)
        agreement.refresh_from_db()
        [intent] = [order for order in intents(sandbox) if order["alias"] == topup.number]
        if card in REASONS:
            ends = (topup.state, agreement.state, agreement.off_reason, intent["state"], paid(customer))
            assert ends == ("failed", "off", REASONS[card], "closed", 0), steps
            assert Event.objects.filter(kind="auto_topup.disabled", customer=customer).count() == 1
        else:
            ends = (topup.state, agreement.state, intent["state"], paid(customer))
            assert ends == ("paid", "on", "paid", 20), steps
    assert len(intents(sandbox)) == 9


def test_two_workers_that_look_at_once_begin_one_attempt(sandbox, customer):
    agreement = switched_on(sandbox, customer)

    def begin(_number):
        try:
            return attempts.look(agreement_id=agreement.pk, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        begun = [topup for topup in pool.map(begin, range(4)) if topup is not None]
    assert (len(begun), len(intents(sandbox)), paid(customer)) == (1, 1, 20)


def test_the_audit_tells_of_attempts_beyond_what_was_agreed_to(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    work()
    TopUp.objects.update(created_at=agreement.agreed_at - timedelta(hours=1))
    [drift] = audit().drifts
    assert "when nothing was agreed to" in drift
    TopUp.objects.update(created_at=timezone.now())


def test_other_terms_go_on_with_the_saved_card(sandbox, customer):
    first = switched_on(sandbox, customer)
    second = agreed(customer, amount="30.00")
    first.refresh_from_db()
    assert (first.off_reason, second.state, second.card_id) == ("replaced", "on", first.card_id)
    assert agreed(customer, amount="30.00").pk == second.pk
    assert SavedCard.objects.get().state == "kept"
    third = agreed(customer, amount="30.00", new_card=True)
    second.refresh_from_db()
    assert (second.state, third.state) == ("on", "waiting")
    enter(sandbox, third, "5555555555554444")
    second.refresh_from_db()
    third.refresh_from_db()
    assert (second.state, third.state, third.card.last4) == ("off", "on", "4444")
    work()
    assert SavedCard.objects.get(pk=second.card_id).state == "gone"
