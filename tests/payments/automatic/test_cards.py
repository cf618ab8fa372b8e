"""Saved cards: entered, found out, removed; and what a dispute or a warning of fraud does to them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import Event
from payments.automatic import cards
from payments.automatic.agreements import switch_off
from payments.disputes.cases import settle_dispute
from payments.disputes.fraud_warnings import settle_warning
from payments.models import AutoTopUp, SavedCard
from payments.providers import registry
from tests.histories.world import mortal
from tests.payments.automatic.steps import agreed, enter, intents, later, switched_on, work
from tests.payments.conftest import confirmed, open_topup, process_inbox
from tests.payments.conftest import pay as pay_order
from tests.payments.dispute_steps import act, settle

pytestmark = pytest.mark.django_db(transaction=True)


def states(*agreements: AutoTopUp) -> list[tuple[str, str, str]]:
    """Of each its state, why it is off, and its card's state."""
    found = AutoTopUp.objects.filter(pk__in=[one.pk for one in agreements]).select_related("card").order_by("pk")
    return [(one.state, one.off_reason, one.card.state) for one in found]


def is_attached(sandbox, card: SavedCard) -> bool:
    return registry.get("stripe")._attached(card.reference)


def test_a_dispute_of_any_payment_of_the_card_switches_it_off_and_detaches_the_card(sandbox, customer):
    by_hand = open_topup(customer, method="stripe")
    pay_order(sandbox, by_hand)  # by the same card, on an ordinary page
    agreement = switched_on(sandbox, customer)
    settle(act(sandbox, by_hand, "open"))
    assert states(agreement) == [("off", "disputed", "leaving")]
    card = SavedCard.objects.get()
    assert is_attached(sandbox, card)
    work()
    assert (states(agreement), is_attached(sandbox, card)) == ([("off", "disputed", "gone")], False)
    assert Event.objects.get(kind="auto_topup.disabled").data["off_reason"] == "disputed"


def test_a_dispute_of_an_automatic_payment_does_so_in_each_account_that_saved_the_card(
    sandbox, customer, make_customer
):
    other, another = confirmed(make_customer()), confirmed(make_customer())
    mine, theirs = switched_on(sandbox, customer), switched_on(sandbox, other)
    kept = switched_on(sandbox, another, "5555555555554444")
    topup = next(topup for topup in work() if topup.customer_id == customer.pk)
    topup.refresh_from_db()
    dispute = act(sandbox, topup, "open")
    for _time in range(2):
        settle_dispute(provider="stripe", dispute_id=dispute["id"], now=timezone.now())
    assert states(mine, theirs) == [("off", "disputed", "leaving")] * 2
    assert states(kept) == [("on", "", "kept")]


def test_a_dispute_that_is_won_takes_no_card_away(sandbox, customer):
    topup = open_topup(customer, method="stripe")
    pay_order(sandbox, topup)
    dispute = act(sandbox, topup, "open")
    act(sandbox, topup, "win")
    agreement = switched_on(sandbox, customer)
    settle(dispute)
    assert states(agreement) == [("on", "", "kept")]


def test_a_fraud_warning_does_the_same_though_the_worker_dies_on_the_way(sandbox, make_customer):
    for steps in range(4):
        customer = confirmed(make_customer())
        topup = open_topup(customer, method="stripe", amount="5.00")
        pay_order(sandbox, topup)
        agreement = switched_on(sandbox, customer)
        warning = sandbox.control("POST", f"/orders/stripe/{topup.reference}/warn")
        with mortal(steps):
            settle_warning(provider="stripe", warning_id=warning["id"], now=timezone.now())
        settle_warning(provider="stripe", warning_id=warning["id"], now=timezone.now())
        assert states(agreement) == [("off", "fraud_warning", "leaving")], steps
        work()


def test_a_card_that_was_never_entered_ends_what_waited_for_it(sandbox, customer):
    agreement = agreed(customer)
    cards.start(agreement.card)
    cards.look(card_id=agreement.card_id, now=later(30))
    assert states(agreement) == [("waiting", "", "open")]
    cards.look(card_id=agreement.card_id, now=later(62))
    assert states(agreement) == [("off", "not_saved", "gone")]
    assert not Event.objects.filter(kind="auto_topup.disabled").exists()


def test_a_card_entered_after_the_owner_thought_better_of_it_is_removed(sandbox, customer):
    agreement = agreed(customer)
    cards.start(agreement.card)
    sandbox.control("POST", f"/setups/{agreement.card.setup_reference}/keep")
    assert switch_off(customer=customer, now=timezone.now())
    work()
    card = SavedCard.objects.get()
    assert states(agreement) == [("off", "owner", "gone")]
    assert (card.last4, is_attached(sandbox, card)) == ("4242", False)


def test_a_card_is_removed_though_the_provider_is_away_or_the_worker_dies(sandbox, customer):
    agreement = switched_on(sandbox, customer)
    switch_off(customer=customer, now=timezone.now())
    sandbox.fault("provider_down", provider="stripe", operation="detach", times=2)
    work()
    assert states(agreement) == [("off", "owner", "leaving")]
    for steps in (0, 1, 2):
        with mortal(steps):
            cards.look(card_id=agreement.card_id, now=later(10))
    work(now=later(20))
    assert states(agreement) == [("off", "owner", "gone")]


def test_saving_a_card_survives_a_kill_between_any_two_steps(sandbox, make_customer):
    for steps in range(5):
        agreement = agreed(confirmed(make_customer()))
        with mortal(steps):
            cards.start(agreement.card)
        card = SavedCard.objects.get(pk=agreement.card_id)
        address = cards.start(card)
        assert address
        enter(sandbox, agreement)
        with mortal(steps):
            cards.look(card_id=card.pk, now=timezone.now())
        cards.look(card_id=card.pk, now=timezone.now())
        assert states(agreement) == [("on", "", "kept")], steps


def test_the_providers_word_that_a_card_was_saved_is_enough(sandbox, customer):
    agreement = agreed(customer)
    cards.start(agreement.card)
    sandbox.control("POST", f"/setups/{agreement.card.setup_reference}/keep")
    sandbox.wait_until_delivered(order=agreement.card.number, event="checkout.session.completed")
    process_inbox()
    assert states(agreement) == [("on", "", "kept")]


def test_a_second_card_is_kept_by_the_same_payer(sandbox, customer):
    first = switched_on(sandbox, customer)
    second = agreed(customer, new_card=True)
    enter(sandbox, second, "5555555555554444")
    payers = SavedCard.objects.order_by("pk").values_list("payer", flat=True)
    assert len(set(payers)) == 1
    assert [state for state, *_rest in states(first, second)] == ["off", "on"]


def test_nothing_is_charged_while_a_card_is_entered(sandbox, customer):
    agreement = agreed(customer)
    cards.start(agreement.card)
    assert work(now=timezone.now() + timedelta(seconds=1)) == []
    assert intents(sandbox) == []
