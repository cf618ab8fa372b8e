"""Disputes in any order of events and beside everything else: the books end the same."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Customer
from billing.audit.run import audit
from billing.books import holds
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold, RefundRequest, Transfer, Wallet
from payments import refunds
from payments.disputes import cases
from payments.inbox import notifications
from payments.models import Dispute, Notification, TopUp
from payments.providers.base import DisputeFact
from payments.refunds import sending
from payments.topups import orders
from tests.payments.conftest import confirmed, open_topup, provider_number
from tests.payments.dispute_steps import act, approved, books, drifts, settle, spend
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)


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
        topup = open_topup(confirmed(make_customer()), method="stripe", amount="20.00")
        sandbox.pay("stripe", provider_number(topup))
        orders.settle_topup(topup_id=topup.pk, now=timezone.now())
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
    client = cases.provider_of("stripe")
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


def test_a_dispute_calls_off_the_parts_of_a_refund_that_have_not_left(sandbox, customer, paid, monkeypatch):
    refund = approved(customer, "8.00")
    monkeypatch.setattr(sending, "_leave", lambda part_id, *, now: False)  # the worker dies once the plan is written
    refunds.send(refund_id=refund.pk, now=timezone.now())
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
        topup = open_topup(confirmed(make_customer()), method="stripe", amount="20.00")
        sandbox.pay("stripe", provider_number(topup))
        orders.settle_topup(topup_id=topup.pk, now=timezone.now())
        refund = approved(topup.customer, "20.00")
        dispute = act(sandbox, topup, "open", amount=2000)

        def refund_it(pk: int = refund.pk) -> None:
            try:
                refunds.send(refund_id=pk, now=timezone.now())
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
                post([Posting(f"gen-{number}:paid", "others", wallet.paid_account, revenue, taken)], now=timezone.now())
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
