"""Disputes through the sandbox: whatever order their events come in, the books end the same."""

import random
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import stripe
from django.db import connection, transaction
from django.utils import timezone

from accounts import customers
from accounts.models import Customer, CustomerMeter, User
from billing import holds, refunds
from billing.audit import audit
from billing.ledger import Posting, house_account, post
from billing.models import Hold, LedgerAccount, RefundRequest, Transfer, Wallet
from payments import disputes, missed, notifications, refunding, topups, write_offs
from payments.models import Dispute, FraudWarning, Notification, TopUp
from payments.providers.base import DisputeFact
from tests.payments.conftest import open_topup, pay, process_inbox, provider_number
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(sandbox: SandboxServer, customer: Customer) -> TopUp:
    """A card top-up of 20 USD."""
    topup = open_topup(customer, method="stripe", amount="20.00")
    pay(sandbox, topup)
    topup.refresh_from_db()
    assert topup.state == TopUp.State.PAID
    return topup


def act(sandbox: SandboxServer, topup: TopUp, step: str, **options: Any) -> dict[str, Any]:
    return sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/dispute", step=step, **options)


def settle(dispute: dict[str, Any]) -> Dispute:
    return disputes.settle_dispute(provider="stripe", dispute_id=dispute["id"], now=timezone.now())


def spend(customer: Customer, amount: str) -> None:
    wallet = Wallet.objects.get(customer=customer)
    key = f"gen-spent-{Transfer.objects.count()}"
    spent = Posting(f"{key}:paid", "charge", wallet.paid_account, house_account("revenue:usage"), Decimal(amount))
    post([spent], now=timezone.now())


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.get(name=name)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )


def books(customer: Customer) -> dict[str, Any]:
    """All that a dispute may change, but for times and for holds that are resolved."""
    wallet = Wallet.objects.get(customer=customer)
    customer.refresh_from_db()
    return {
        "wallet": (wallet.paid, wallet.bonus, wallet.held),
        "transfers": sorted(Transfer.objects.values_list("key", "kind", "amount", "debit__name", "credit__name")),
        "holds": sorted(Hold.objects.filter(state="open").values_list("kind", "amount")),
        "topups": list(TopUp.objects.order_by("pk").values_list("refunded", "disputed")),
        "disputes": list(Dispute.objects.order_by("pk").values_list("status", "held", "withdrawn")),
        "is_suspended": (customer.is_suspended, CustomerMeter.objects.get(customer=customer).suspended),
    }


def drifts() -> list[str]:
    return audit().drifts


def test_an_open_dispute_holds_its_whole_amount_and_stops_spending(sandbox, customer, paid):
    spend(customer, "15.00000000")
    settle(act(sandbox, paid, "open"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held, wallet.available) == (5, 20, -15)
    paid.refresh_from_db()
    assert (paid.disputed, paid.shown_state) == (Decimal("20.00"), "disputed")
    assert books(customer)["is_suspended"] == (True, True)
    assert refunds.refundable(customer_id=customer.pk).amount == 0
    assert drifts() == []


def test_what_is_withdrawn_leaves_the_wallet_and_the_fee_is_the_houses(sandbox, customer, paid):
    spend(customer, "15.00000000")
    act(sandbox, paid, "open")
    settle(act(sandbox, paid, "withdraw"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (-15, 0)
    assert balance("clearing:stripe:USD") == Decimal(15)  # 20 in, 20 and 15 out
    assert balance("expense:fees:USD") == Decimal(-15)
    assert Hold.objects.get(kind="dispute").state == Hold.State.CAPTURED
    assert drifts() == []


def test_a_dispute_that_is_won_gives_back_what_it_took_and_spending_goes_on(sandbox, customer, paid):
    for step in ("open", "withdraw", "win"):
        dispute = act(sandbox, paid, step)
        settle(dispute)
        assert drifts() == [], step
    wallet = Wallet.objects.get(customer=customer)
    paid.refresh_from_db()
    assert (wallet.paid, wallet.held, paid.disputed) == (20, 0, 0)
    assert paid.shown_state == "paid"
    assert books(customer)["is_suspended"] == (False, False)
    assert balance("clearing:stripe:USD") == Decimal(-5)  # the fee stays with the provider


def test_a_dispute_won_before_anything_was_withdrawn_frees_its_hold(sandbox, customer, paid):
    settle(act(sandbox, paid, "open"))
    settle(act(sandbox, paid, "win"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (20, 0)
    assert not books(customer)["is_suspended"][0]
    assert drifts() == []


def test_a_lost_dispute_leaves_the_receivable_on_the_wallet_and_spending_stopped(sandbox, customer, paid):
    spend(customer, "5.00000000")
    for step in ("open", "withdraw", "lose"):
        settle(act(sandbox, paid, step))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (-5, 0)
    assert books(customer)["is_suspended"] == (True, True)
    assert drifts() == []


def test_an_inquiry_moves_no_money(sandbox, customer, paid):
    before = books(customer)
    settle(act(sandbox, paid, "inquire"))
    assert books(customer) | {"disputes": []} == before
    assert Dispute.objects.get().status == "warning_needs_response"
    settle(act(sandbox, paid, "close"))
    assert books(customer) | {"disputes": []} == before
    assert drifts() == []


def test_money_reinstated_while_the_dispute_is_open_is_held_again(sandbox, customer, paid):
    act(sandbox, paid, "open")
    settle(act(sandbox, paid, "withdraw"))
    settle(act(sandbox, paid, "reinstate"))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (20, 20)
    assert drifts() == []
    settle(act(sandbox, paid, "withdraw"))
    settle(act(sandbox, paid, "lose"))
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held) == (0, 0)
    assert drifts() == []


@pytest.mark.parametrize(("amount", "held"), [(500, "5.00"), (2700, "27.00")])
def test_a_dispute_smaller_or_larger_than_the_top_up_is_held_and_taken_as_it_is(sandbox, customer, paid, amount, held):
    settle(act(sandbox, paid, "open", amount=amount))
    assert Wallet.objects.get(customer=customer).held == Decimal(held)
    assert drifts() == []
    settle(act(sandbox, paid, "withdraw"))
    assert Wallet.objects.get(customer=customer).paid == 20 - Decimal(held)
    paid.refresh_from_db()
    assert paid.disputed == Decimal(held)
    assert drifts() == []


def test_a_second_dispute_of_the_same_payment_adds_to_the_first_and_spending_waits_for_both(sandbox, customer, paid):
    first = act(sandbox, paid, "open", amount=500)
    settle(first)
    second = act(sandbox, paid, "open", amount=700)
    settle(second)
    paid.refresh_from_db()
    assert paid.disputed == Decimal("12.00")
    assert drifts() == []
    act(sandbox, paid, "win")  # the second
    settle(second)
    assert books(customer)["is_suspended"] == (True, True)
    paid.refresh_from_db()
    assert paid.disputed == Decimal("5.00")
    assert drifts() == []


def test_a_dispute_of_a_top_up_that_was_refunded_takes_the_wallet_below_zero(sandbox, customer, paid):
    order = f"/orders/stripe/{provider_number(paid)}"
    sandbox.control("POST", f"{order}/refund", amount=2000)
    sandbox.wait_until_delivered(order=provider_number(paid), event="refund.created")
    process_inbox()
    assert Wallet.objects.get(customer=customer).paid == 0
    act(sandbox, paid, "open", amount=2000)
    settle(act(sandbox, paid, "withdraw"))
    assert Wallet.objects.get(customer=customer).paid == -20
    assert drifts() == []


def test_a_dispute_of_an_unknown_payment_is_put_before_staff(sandbox, customer, paid):
    dispute = act(sandbox, paid, "open")
    TopUp.objects.filter(pk=paid.pk).update(transaction_id="pi_of_another", number="topup_ofAnother")
    process_after(sandbox, paid, "charge.dispute.created")
    notification = Notification.objects.get(kind="charge.dispute.created")
    assert notification.outcome == Notification.Outcome.UNKNOWN_ORDER
    found = Dispute.objects.get(provider_id=dispute["id"])
    assert (found.topup, found.held, found.withdrawn) == (None, 0, 0)
    assert "no top-up is known" in found.problem
    assert not books(customer)["is_suspended"][0]


def test_a_dispute_that_its_provider_does_not_know_is_recorded_as_such(sandbox, customer, paid):
    act(sandbox, paid, "open")
    sandbox.wait_until_delivered(order=provider_number(paid), event="charge.dispute.created")
    Notification.objects.filter(kind="charge.dispute.created").update(reference="du_forged")
    process_inbox()
    notification = Notification.objects.get(kind="charge.dispute.created")
    assert notification.outcome == Notification.Outcome.UNKNOWN_ORDER
    assert not Dispute.objects.exists()


def test_a_dispute_told_of_before_the_payment_credits_it_first(sandbox, customer):
    topup = open_topup(customer, method="stripe", amount="20.00")
    sandbox.pay("stripe", provider_number(topup))
    act(sandbox, topup, "open")
    dispute = act(sandbox, topup, "withdraw")
    settle(dispute)
    topup.refresh_from_db()
    assert (topup.state, topup.disputed) == (TopUp.State.PAID, Decimal("20.00"))
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


def test_a_provider_that_does_not_answer_leaves_the_notification_for_later(sandbox, customer, paid):
    act(sandbox, paid, "open")
    sandbox.fault("provider_down", provider="stripe", times=0)
    process_after(sandbox, paid, "charge.dispute.created")
    assert Notification.objects.get(kind="charge.dispute.created").processed_at is None
    sandbox.clear_faults()
    process_inbox()
    assert Notification.objects.get(kind="charge.dispute.created").outcome == Notification.Outcome.BOOKED
    assert Dispute.objects.get().topup == paid


def test_a_dispute_started_at_the_provider_is_unknown_here(sandbox, customer, paid):
    """Its events reach the inbox, each is recorded with its top-up, and none does more than the provider says."""
    spend(customer, "15.00000000")
    for step, event in (("open", "created"), ("withdraw", "funds_withdrawn"), ("win", "funds_reinstated")):
        act(sandbox, paid, step)
        process_after(sandbox, paid, f"charge.dispute.{event}")
    told_of = Notification.objects.filter(kind__startswith="charge.dispute.")
    assert {(n.outcome, n.topup) for n in told_of} == {(Notification.Outcome.BOOKED, paid)}
    for notification in Notification.objects.all():  # staff process everything again
        notifications.process(notification_id=notification.pk, now=timezone.now())
    assert Wallet.objects.get(customer=customer).paid == 5
    assert Dispute.objects.get().status == "won"
    assert drifts() == []


def process_after(sandbox: SandboxServer, topup: TopUp, event: str) -> None:
    sandbox.wait_until_delivered(order=provider_number(topup), event=event)
    process_inbox()


STORIES = {
    "won": ("open", "withdraw", "win"),
    "lost": ("open", "withdraw", "lose"),
    "won untaken": ("open", "win"),
    "taken twice": ("open", "withdraw", "reinstate", "withdraw", "lose"),
    "inquiry": ("inquire", "close"),
}
EVENTS = ("created", "updated", "funds_withdrawn", "funds_reinstated", "closed")


def told(dispute: dict[str, Any], event: str, number: int) -> int:
    """An event in the inbox, as it would have come; what it says is not read but for the dispute's number."""
    kind, key = f"charge.dispute.{event}", f"evt_{dispute['id']}_{number}"
    return Notification.objects.create(provider="stripe", key=key, kind=kind, reference=dispute["id"], body="{}").pk


def walk(sandbox: SandboxServer, topup: TopUp, steps: tuple[str, ...], chance: random.Random) -> Customer:
    """Let the provider go through its steps while events come in any order, late, early, lost and repeated."""
    inbox: list[int] = []
    for number, step in enumerate(steps):
        dispute = act(sandbox, topup, step)
        inbox += [told(dispute, event, 10 * number + n) for n, event in enumerate(chance.sample(EVENTS, 2))]
        for pk in chance.choices(inbox, k=chance.randint(0, 3)):
            notifications.process(notification_id=pk, now=timezone.now())
            assert audit(customer_ids=[topup.customer_id]).drifts == []
    for pk in chance.sample(inbox, len(inbox)):
        notifications.process(notification_id=pk, now=timezone.now())
    return topup.customer


def shape(customer: Customer) -> dict[str, Any]:
    """The end of a walk in a form that two customers share."""
    wallet = Wallet.objects.get(customer=customer)
    customer.refresh_from_db()
    dispute = Dispute.objects.get(customer=customer)
    own = Transfer.objects.filter(key__startswith=f"{dispute.ledger_key}:")
    return {
        "wallet": (wallet.paid, wallet.held),
        "moved": sorted(own.values_list("kind", "amount")),
        "open holds": Hold.objects.filter(customer=customer, state="open").count(),
        "dispute": (dispute.status, dispute.held, dispute.withdrawn, dispute.problem),
        "top-up": dispute.topup is not None and dispute.topup.disputed,
        "is_suspended": customer.is_suspended,
    }


@pytest.mark.parametrize("story", STORIES)
def test_any_order_and_repetition_of_the_events_ends_in_the_same_books(sandbox, make_customer, story):
    ends = []
    for seed in range(6):
        topup = open_topup(make_customer(), method="stripe", amount="20.00")
        sandbox.pay("stripe", provider_number(topup))
        topups.settle_topup(topup_id=topup.pk, now=timezone.now())
        spend(topup.customer, "15.00000000")
        ends.append(shape(walk(sandbox, topup, STORIES[story], random.Random(seed))))
    assert ends == [ends[0]] * len(ends)
    assert drifts() == []


def test_two_workers_who_settle_one_dispute_move_its_money_once(sandbox, customer, paid):
    act(sandbox, paid, "open")
    dispute = act(sandbox, paid, "withdraw")

    def work(_worker: int) -> str:
        try:
            return settle(dispute).status
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(8))) == {"needs_response"}
    assert Transfer.objects.filter(kind="dispute").count() == 1
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


def test_an_answer_that_was_overtaken_by_a_newer_one_is_asked_for_again(sandbox, customer, paid, monkeypatch):
    """A worker holds an old answer while another settles the end: the old one must not open the dispute again."""
    dispute = act(sandbox, paid, "open")
    client = disputes.provider_of("stripe")
    real, slow = type(client).fetch_dispute, threading.Event()
    has_old, may_go_on = threading.Event(), threading.Event()

    def fetch(self: Any, dispute_id: str) -> DisputeFact:
        fact = real(self, dispute_id)
        if not slow.is_set() and threading.current_thread().name.startswith("slow"):
            slow.set()
            has_old.set()
            may_go_on.wait(20)
        return fact

    monkeypatch.setattr(type(client), "fetch_dispute", fetch)

    def work() -> str:
        try:
            return settle(dispute).status
        finally:
            connection.close()

    with ThreadPoolExecutor(1, thread_name_prefix="slow") as pool:
        old = pool.submit(work)
        assert has_old.wait(20)
        assert settle(act(sandbox, paid, "win")).status == "won"
        may_go_on.set()
        assert old.result(20) == "won"
    assert Wallet.objects.get(customer=customer).held == 0
    assert Dispute.objects.get().status == "won"
    assert not books(customer)["is_suspended"][0]


def clerk() -> User:
    return User.objects.create_user(f"clerk{User.objects.count()}@example.org", "a rather long one", is_staff=True)


def approved(customer: Customer, amount: str) -> RefundRequest:
    refund = refunds.ask(customer=customer, amount=amount, reason="not needed", now=timezone.now())
    return refunds.approve(refund_id=refund.pk, amount=amount, by=clerk(), now=timezone.now())


def test_a_dispute_calls_off_the_parts_of_a_refund_that_have_not_left(sandbox, customer, paid, monkeypatch):
    refund = approved(customer, "8.00")
    monkeypatch.setattr(refunding, "_leave", lambda part_id, *, now: False)  # the worker dies once the plan is written
    refunding.send(refund_id=refund.pk, now=timezone.now())
    monkeypatch.undo()
    [part] = refund.parts.all()
    assert part.state == "planned"
    settle(act(sandbox, paid, "open"))
    part.refresh_from_db()
    refund.refresh_from_db()
    assert (part.state, part.detail) == ("failed", "the top-up is disputed")
    assert refund.state == RefundRequest.State.RETURNED
    assert drifts() == []


def test_a_dispute_and_the_refund_of_its_top_up_at_once_never_pay_twice(sandbox, make_customer):
    for _round in range(4):
        topup = open_topup(make_customer(), method="stripe", amount="20.00")
        sandbox.pay("stripe", provider_number(topup))
        topups.settle_topup(topup_id=topup.pk, now=timezone.now())
        refund = approved(topup.customer, "20.00")
        dispute = act(sandbox, topup, "open", amount=2000)

        def refund_it(pk: int = refund.pk) -> None:
            try:
                refunding.send(refund_id=pk, now=timezone.now())
            finally:
                connection.close()

        def dispute_it(told: dict[str, Any] = dispute) -> None:
            try:
                settle(told)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(refund_it), pool.submit(dispute_it)]:
                done.result(30)
        refund.refresh_from_db()
        assert refund.returned == 0  # the provider refuses to refund what is disputed
        wallet = Wallet.objects.get(customer=topup.customer)
        assert wallet.paid == 20
        assert Hold.objects.get(customer=topup.customer, kind="dispute", state="open").amount == 20
        assert drifts() == []


def test_requests_that_run_while_a_dispute_opens_are_charged_and_the_books_hold(sandbox, customer, paid):
    for number in range(3):
        holds.place(
            customer_id=customer.pk,
            key=f"gen-{number}",
            kind=Hold.Kind.REQUEST,
            amount=Decimal("4.00000000"),
            now=timezone.now(),
        )
    act(sandbox, paid, "open")
    told_of = act(sandbox, paid, "withdraw")

    def finish(number: int) -> None:
        try:
            with transaction.atomic():
                taken = Decimal("3.00000000")
                holds.resolve([holds.Resolution(f"gen-{number}", taken, "settled")], now=timezone.now())
                wallet = Wallet.objects.get(customer=customer)
                revenue = house_account("revenue:usage")
                post([Posting(f"gen-{number}:paid", "charge", wallet.paid_account, revenue, taken)], now=timezone.now())
        finally:
            connection.close()

    def dispute_it() -> None:
        try:
            settle(told_of)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(dispute_it), *(pool.submit(finish, number) for number in range(3))]:
            done.result(30)
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (-9, 0)
    # These requests are holds alone, without a row of the gateway's.
    assert [drift for drift in drifts() if "belongs to no request" not in drift] == []


def test_a_suspension_by_staff_outlives_a_dispute_that_is_won(sandbox, customer, paid):
    customers.suspend(customer=customer, reason="asked by the police", now=timezone.now())
    settle(act(sandbox, paid, "open"))
    settle(act(sandbox, paid, "win"))
    customer.refresh_from_db()
    assert (customer.is_suspended, customer.suspended_reason) == (True, "asked by the police")


def test_a_suspension_that_staff_lifted_is_not_put_back_by_a_repeat(sandbox, customer, paid):
    dispute = act(sandbox, paid, "open")
    settle(dispute)
    customers.lift_suspension(customer=customer)
    settle(dispute)
    assert not books(customer)["is_suspended"][0]


def test_a_write_off_takes_two_people_a_reason_and_a_wallet_below_zero(sandbox, customer, paid):
    spend(customer, "15.00000000")
    first, second, now = clerk(), clerk(), timezone.now()
    dispute = settle(act(sandbox, paid, "open"))
    act(sandbox, paid, "withdraw")
    fifteen = Decimal("15.00")
    with pytest.raises(write_offs.WriteOffError, match="not decided"):
        write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason="gone", by=first, now=now)
    dispute = settle(act(sandbox, paid, "lose"))
    with pytest.raises(write_offs.WriteOffError, match="why"):
        write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason=" ", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match=r"At most \$15\.00"):
        write_offs.propose(dispute_id=dispute.pk, amount=Decimal("15.01"), reason="gone", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match="Nobody"):
        write_offs.confirm(dispute_id=dispute.pk, by=second, now=now)
    write_offs.propose(dispute_id=dispute.pk, amount=fifteen, reason="gone", by=first, now=now)
    with pytest.raises(write_offs.WriteOffError, match="somebody else"):
        write_offs.confirm(dispute_id=dispute.pk, by=first, now=now)
    write_offs.confirm(dispute_id=dispute.pk, by=second, now=now)
    with pytest.raises(write_offs.WriteOffError, match="already"):
        write_offs.confirm(dispute_id=dispute.pk, by=second, now=now)
    assert Wallet.objects.get(customer=customer).paid == 0
    assert balance("expense:bad_debt") == -15
    assert Transfer.objects.get(kind="write_off").actor == second
    assert drifts() == []
    again = open_topup(customer, method="stripe", amount="20.00")
    pay(sandbox, again)
    assert drifts() == []


def test_what_comes_back_after_a_write_off_is_the_houses_first(sandbox, customer, paid):
    spend(customer, "15.00000000")
    for step in ("open", "withdraw", "lose"):
        dispute = settle(act(sandbox, paid, step))
    write_offs.propose(dispute_id=dispute.pk, amount=Decimal(15), reason="gone", by=clerk(), now=timezone.now())
    write_offs.confirm(dispute_id=dispute.pk, by=clerk(), now=timezone.now())
    settle(act(sandbox, paid, "win"))  # the scheme decided otherwise after all
    assert Wallet.objects.get(customer=customer).paid == 5
    assert balance("expense:bad_debt") == 0
    assert drifts() == []


def test_events_that_never_came_are_found_in_the_providers_lists(sandbox, customer, paid):
    sandbox.fault("drop_notification", provider="stripe", times=0)
    act(sandbox, paid, "open")
    act(sandbox, paid, "withdraw")
    sandbox.control("POST", f"/orders/stripe/{provider_number(paid)}/warn")
    missed.look_for_events(now=timezone.now())
    assert Dispute.objects.get().withdrawn == 20
    assert FraudWarning.objects.get().topup == paid
    before = books(customer)
    missed.look_for_events(now=timezone.now())
    assert books(customer) == before
    assert drifts() == []


def test_a_drift_of_a_dispute_is_named(sandbox, customer, paid):
    dispute = settle(act(sandbox, paid, "open"))
    Dispute.objects.filter(pk=dispute.pk).update(withdrawn=Decimal(3))
    TopUp.objects.filter(pk=paid.pk).update(disputed=Decimal(7))
    found = " ".join(audit(customer_ids=[customer.pk]).drifts)
    assert f"dispute {dispute.provider_id} is needs_response with 20.00 USD held and 3.00 withdrawn" in found
    assert f"{paid.number} has 7.00 USD disputed, its disputes say 23.00" in found


def test_the_fields_of_stripes_disputes_and_warnings_are_those_of_its_sdk():
    """An upgrade that renames what is read fails here."""
    assert {"amount", "currency", "status", "reason", "payment_intent", "balance_transactions", "created"} <= set(
        stripe.Dispute.__annotations__
    )
    assert {"evidence_details"} <= set(stripe.Dispute.__annotations__)
    assert "due_by" in stripe.Dispute.EvidenceDetails.__annotations__
    assert {"amount", "fee", "currency", "created", "id"} <= set(stripe.BalanceTransaction.__annotations__)
    assert {"charge", "payment_intent", "fraud_type"} <= set(stripe.radar.EarlyFraudWarning.__annotations__)
    [literal, _text] = typing.get_args(stripe.Dispute.__annotations__["status"])
    known = {*Dispute.OPEN, *Dispute.OVER, "warning_needs_response", "warning_under_review"}
    assert set(typing.get_args(literal)) == known
