"""The books refuse what must never happen: by named constraint, by trigger, by key."""

import threading
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing import holds
from billing.audit import audit
from billing.grants import grant_bonus
from billing.holds import HoldError, InsufficientBalance, Resolution
from billing.ledger import LedgerError, Posting, TransferConflict, house_account, open_wallet, post
from billing.models import Hold, LedgerAccount, Transfer, Wallet
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


def topup(wallet: Wallet, amount: str, key: str = "topup:1") -> None:
    clearing = house_account("clearing:stripe:USD")
    post([Posting(key, "topup", clearing, wallet.paid_account, Decimal(amount))], now=NOW)


def in_threads(*acts) -> list:
    """Run at once, each with a connection of its own; their results or exceptions."""
    results = [None] * len(acts)

    def run(index: int) -> None:
        try:
            results[index] = acts[index]()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_repeat_of_a_key_returns_the_first_transfer_and_moves_nothing(wallet):
    for _ in range(2):
        topup(wallet, "5")
    wallet.refresh_from_db()
    assert (wallet.paid, Transfer.objects.filter(key="topup:1").count()) == (5, 1)


@pytest.mark.parametrize("change", ["amount", "kind", "account"])
def test_a_key_with_another_meaning_is_a_conflict_and_nothing_moves(wallet, change):
    topup(wallet, "5")
    posting = Posting(
        "topup:1",
        "grant" if change == "kind" else "topup",
        house_account("clearing:stripe:USD"),
        wallet.bonus_account if change == "account" else wallet.paid_account,
        Decimal(6 if change == "amount" else 5),
    )
    with pytest.raises(TransferConflict):
        post([posting], now=NOW)
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.bonus) == (5, 10)


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_a_transfer_moves_a_positive_amount(wallet, amount):
    with pytest.raises(LedgerError):
        topup(wallet, amount)


def test_a_transfer_has_one_currency(wallet):
    with pytest.raises(LedgerError):
        post([Posting("x", "topup", house_account("fx:CNY"), wallet.paid_account, Decimal(1))], now=NOW)
    with pytest.raises(IntegrityError, match="transfer_debit_in_currency"), transaction.atomic():
        Transfer.objects.create(
            key="x",
            kind="x",
            debit=house_account("fx:CNY"),
            credit=wallet.paid_account,
            amount=1,
            currency="USD",
            created_at=NOW,
        )


CONSTRAINTS = [
    ("transfer_amount_positive", lambda w: Transfer.objects.create(**row(w, amount=0))),
    ("transfer_two_accounts", lambda w: Transfer.objects.create(**row(w, debit=w.paid_account))),
    ("wallet_bonus_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(bonus=-1)),
    ("wallet_held_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(held=-1)),
    ("wallet_exposure_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(exposure=-1)),
    ("hold_amount_positive", lambda w: Hold.objects.create(**hold(w, amount=0))),
    ("hold_within_bound", lambda w: Hold.objects.create(**hold(w, amount=2, bound=1))),
    ("hold_captured_within_bound", lambda w: Hold.objects.create(**hold(w, captured=3))),
    ("hold_resolved_has_time", lambda w: Hold.objects.create(**hold(w, state="released"))),
    ("ledgeraccount_currency_known", lambda w: LedgerAccount.objects.create(name="x", currency="EUR")),
    ("ledgeraccount_customer_kinds_have_customer", lambda w: LedgerAccount.objects.create(name="x", kind="paid")),
]


def row(wallet: Wallet, **changes) -> dict:
    clearing = house_account("clearing:stripe:USD")
    base = {"key": "k", "kind": "k", "debit": clearing, "credit": wallet.paid_account, "amount": 1, "created_at": NOW}
    return {**base, **changes}


def hold(wallet: Wallet, **changes) -> dict:
    base = {"key": "h", "customer": wallet.customer, "kind": "request", "amount": 1, "bound": 2, "created_at": NOW}
    return {**base, **changes}


@pytest.mark.parametrize(("name", "act"), CONSTRAINTS, ids=[name for name, _ in CONSTRAINTS])
def test_what_must_never_happen_is_a_named_constraint(wallet, name, act):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        act(wallet)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_transfer SET amount = 1000000",
        "DELETE FROM billing_transfer",
        "TRUNCATE billing_transfer",
        "UPDATE billing_ledgeraccount SET name = 'x' WHERE name = 'expense:bonus'",
    ],
)
def test_transfers_and_accounts_are_append_only(wallet, statement):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_hold_needs_what_is_available_and_a_dispute_takes_what_is_not_there(wallet):
    with pytest.raises(InsufficientBalance) as raised:
        holds.place(customer_id=wallet.pk, key="r", kind=Hold.Kind.REFUND, amount=Decimal("10.01"), now=NOW)
    assert (raised.value.available, raised.value.needed) == (10, Decimal("10.01"))
    holds.place(customer_id=wallet.pk, key="d", kind=Hold.Kind.DISPUTE, amount=Decimal(15), now=NOW, may_overdraw=True)
    wallet.refresh_from_db()
    assert wallet.available == -5


def test_a_hold_resolves_at_most_once(wallet):
    holds.place(customer_id=wallet.pk, key="h", kind=Hold.Kind.REQUEST, amount=Decimal(3), now=NOW)
    assert holds.resolve([Resolution("h", None, "gone")], now=NOW) == {"h"}
    for captured in (None, Decimal(1)):
        assert holds.resolve([Resolution("h", captured, "again")], now=NOW) == set()
    wallet.refresh_from_db()
    assert wallet.held == 0


def test_a_share_of_a_hold_is_taken_and_the_last_one_captures_it(wallet):
    holds.place(customer_id=wallet.pk, key="refund:7", kind=Hold.Kind.REFUND, amount=Decimal(5), now=NOW)
    holds.capture_share(key="refund:7", share=Decimal(2), now=NOW)
    wallet.refresh_from_db()
    assert (wallet.held, Hold.objects.get().state) == (3, "open")
    with pytest.raises(HoldError):
        holds.capture_share(key="refund:7", share=Decimal("3.01"), now=NOW)
    holds.capture_share(key="refund:7", share=Decimal(3), now=NOW)
    wallet.refresh_from_db()
    assert (wallet.held, Hold.objects.get().state) == (0, "captured")


@pytest.mark.django_db(transaction=True)
def test_threads_on_one_small_wallet_never_overdraw_it(wallet):
    def place(number: int):
        return lambda: holds.place(
            customer_id=wallet.pk, key=f"h{number}", kind=Hold.Kind.REQUEST, amount=Decimal(3), now=NOW
        )

    results = in_threads(*map(place, range(8)))
    assert sum(isinstance(result, Hold) for result in results) == 3
    assert sum(isinstance(result, InsufficientBalance) for result in results) == 5
    wallet.refresh_from_db()
    assert wallet.available == 1


@pytest.mark.django_db(transaction=True)
def test_two_threads_resolve_one_hold_once_and_post_one_key_once(wallet):
    holds.place(customer_id=wallet.pk, key="h", kind=Hold.Kind.REQUEST, amount=Decimal(3), now=NOW)
    results = in_threads(*[lambda: holds.resolve([Resolution("h", None, "x")], now=NOW)] * 6)
    assert sorted(map(len, results)) == [0] * 5 + [1]
    clearing = house_account("clearing:stripe:USD")
    posting = Posting("topup:9", "topup", clearing, wallet.paid_account, Decimal(7))
    assert not [r for r in in_threads(*[lambda: post([posting], now=NOW)] * 6) if isinstance(r, Exception)]
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held) == (7, 0)


@pytest.mark.django_db(transaction=True)
def test_opposing_postings_over_two_wallets_never_deadlock(make_customer):
    first, second = (open_wallet(customer=make_customer("100", name=name)) for name in "ab")

    def move(number: int):
        a, b = (first, second) if number % 2 else (second, first)
        posting = Posting(f"m{number}", "adjust", a.bonus_account, b.bonus_account, Decimal(1))
        return lambda: [post([posting], now=NOW)]

    assert not [r for r in in_threads(*map(move, range(12))) if isinstance(r, Exception)]
    assert audit().drifts == []


TAMPER = [
    ("the wallet's paid", "UPDATE billing_wallet SET paid = paid + 1"),
    ("the wallet's held", "UPDATE billing_wallet SET held = held + 1"),
    ("the wallet's exposure", "UPDATE billing_wallet SET exposure = exposure + 1"),
    ("captured", "UPDATE billing_hold SET captured = 0.5 WHERE key = 'h'"),
    ("there is no wallet", "DELETE FROM billing_wallet"),
]


@pytest.mark.parametrize(("says", "statement"), TAMPER)
def test_the_audit_finds_what_was_tampered_with(wallet, says, statement):
    holds.place(customer_id=wallet.pk, key="h", kind=Hold.Kind.REQUEST, amount=Decimal(3), now=NOW)
    holds.resolve([Resolution("h", None, "gone")], now=NOW)
    assert audit().drifts == []
    with connection.cursor() as cursor:
        cursor.execute(statement)
    drifts = audit(customer_ids=[wallet.customer_id]).drifts
    assert any(says in drift for drift in drifts), drifts


def test_a_grant_is_given_once_by_its_key(customer, wallet):
    for _ in range(2):
        grant_bonus(customer=customer, amount=Decimal(2), key="grant:x", reason="sorry", now=NOW)
    wallet.refresh_from_db()
    assert wallet.bonus == 12
