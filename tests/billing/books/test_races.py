"""Many at once, each with a connection of its own: the database decides, and nobody waits in a circle."""

import threading
from decimal import Decimal

import pytest
from django.db import transaction

from billing.audit.run import audit, check_wallet
from billing.books import holds
from billing.books.holds import HoldError, InsufficientBalance, Resolution
from billing.books.ledger import Posting, TransferConflict, house_account, lock_wallets, open_wallet, post
from billing.models import Hold, Transfer
from tests.billing.conftest import balances, failures, in_threads, topup
from tests.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def place(wallet, key: str, amount: str = "3") -> Hold:
    return holds.place(customer_id=wallet.pk, key=key, kind=Hold.Kind.REQUEST, amount=Decimal(amount), now=NOW)


def test_threads_on_one_small_wallet_never_overdraw_it(wallet):
    results = in_threads(*[lambda n=n: place(wallet, f"h{n}") for n in range(12)])
    assert sum(isinstance(result, Hold) for result in results) == 3
    assert sum(isinstance(result, InsufficientBalance) for result in results) == 9
    wallet.refresh_from_db()
    assert (wallet.held, wallet.available) == (9, 1)
    assert Hold.objects.count() == 3


def test_of_several_who_place_one_hold_one_does(wallet):
    results = in_threads(*[lambda: place(wallet, "h", "1")] * 6)
    assert sum(isinstance(result, Hold) for result in results) == 1
    assert all(isinstance(error, HoldError) for error in failures(results))
    assert balances(wallet)[2] == 1


def test_several_who_resolve_one_hold_resolve_it_once(wallet):
    for number in range(10):
        place(wallet, f"h{number}", "0.9")
    one_by_one = [[Resolution(f"h{number}", None, "x")] for number in range(10)]
    together = [[Resolution(f"h{number}", Decimal("0.5"), "y") for number in reversed(range(10))]] * 2
    results = in_threads(*[lambda asked=asked: holds.resolve(asked, now=NOW) for asked in (*one_by_one, *together)])
    assert not failures(results)
    assert sorted(key for keys in results for key in keys) == [f"h{number}" for number in range(10)]
    assert balances(wallet)[2] == 0


def test_shares_taken_at_once_never_exceed_the_hold(wallet):
    holds.place(customer_id=wallet.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(5), now=NOW)
    results = in_threads(*[lambda: holds.capture_share(key="refund:1", share=Decimal(2), now=NOW)] * 5)
    assert len(failures(results)) == 3
    assert balances(wallet)[2] == 1
    assert Hold.objects.get().captured == 4


def test_one_key_posted_by_several_moves_once(wallet):
    house_account("clearing:stripe:USD")
    results = in_threads(*[lambda: topup(wallet, "7", "topup:9")] * 8)
    assert not failures(results)
    assert balances(wallet)[0] == 7
    assert Transfer.objects.filter(key="topup:9").count() == 1


def test_of_two_meanings_of_one_key_one_is_posted_and_the_other_a_conflict(wallet):
    house_account("clearing:stripe:USD")
    results = in_threads(*[lambda n=n: topup(wallet, str(n), "topup:9") for n in (7, 8, 7, 8)])
    assert len(failures(results)) == 2
    assert all(isinstance(error, TransferConflict) for error in failures(results))
    assert balances(wallet)[0] == Transfer.objects.get(key="topup:9").amount


def test_a_house_account_is_opened_once(db):
    results = in_threads(*[lambda: house_account("fx:CNY")] * 8)
    assert {account.pk for account in results} == {results[0].pk}
    assert results[0].currency == "CNY"


def test_opposing_postings_over_two_wallets_never_deadlock(make_customer):
    first, second = (open_wallet(customer=make_customer("100", name=name)) for name in "ab")

    def move(thread: int):
        a, b = (first, second) if thread % 2 else (second, first)
        return [
            post([Posting(f"m{thread}:{n}", "adjustment", a.bonus_account, b.bonus_account, Decimal(1))], now=NOW)
            for n in range(20)
        ]

    assert not failures(in_threads(*[lambda t=t: move(t) for t in range(4)]))
    assert balances(first)[1] == balances(second)[1] == 100
    assert audit().drifts == []


def test_wallets_are_locked_in_the_order_of_their_ids_however_they_are_named(make_customer):
    ids = [make_customer(name=name).pk for name in "abcdef"]

    def lock(order):
        for _ in range(30):
            with transaction.atomic():
                assert list(lock_wallets(order)) == ids

    assert not failures(in_threads(lambda: lock(ids), lambda: lock(ids[::-1]), lambda: lock(ids[3:] + ids[:3])))


def test_the_same_keys_posted_in_opposing_orders_never_deadlock(db):
    bank, fees = house_account("bank:USD"), house_account("expense:fees:USD")
    rows = [Posting(f"row:{n:03}", "fee", bank, fees, Decimal("0.01")) for n in range(400)]

    for _ in range(3):
        there_and_back = [lambda rows=rows: post(rows, now=NOW), lambda rows=rows[::-1]: post(rows, now=NOW)]
        assert not failures(in_threads(*there_and_back))
        rows = [Posting(f"{row.key}+", "fee", bank, fees, row.amount) for row in rows]
    assert Transfer.objects.filter(kind="fee").count() == 1200


def test_the_audit_raises_no_false_alarm_while_money_moves(make_customer):
    wallets = [open_wallet(customer=make_customer("50", name=name)) for name in "ab"]
    revenue, done = house_account("revenue:bonus"), threading.Event()

    def spend(wallet):
        count = 0
        while not done.is_set():
            key = f"gen-{wallet.pk}-{count}"
            place(wallet, key, "0.1")
            with transaction.atomic():
                lock_wallets([wallet.pk])
                holds.resolve([Resolution(key, Decimal("0.04"), "completed")], now=NOW)
                post([Posting(f"{key}:bonus", "usage_bonus", wallet.bonus_account, revenue, Decimal("0.04"))], now=NOW)
            count += 1
        return count

    def look():
        try:
            return [drift for _ in range(40) for drift in audit().drifts]
        finally:
            done.set()

    *spent, found = in_threads(*[lambda w=w: spend(w) for w in wallets], look)
    assert found == []
    assert not failures(spent)
    assert min(spent) > 5, "the audit had the database for itself"


def test_a_wallet_of_many_transfers_is_summed_up_page_by_page_while_it_grows(wallet, monkeypatch):
    monkeypatch.setattr("billing.audit.run.PAGE", 7)
    done = threading.Event()

    def grow():
        count = 0
        while not done.is_set():
            topup(wallet, "0.01", f"topup:{count}")
            count += 1
        return count

    def look():
        try:
            while balances(wallet)[0] < Decimal("0.50"):
                pass
            return [drift for _ in range(20) for drift in check_wallet(wallet.pk)]
        finally:
            done.set()

    house_account("clearing:stripe:USD")
    grown, found = in_threads(grow, look)
    assert found == []
    assert grown > 50
