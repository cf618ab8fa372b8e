"""The books refuse what must never happen: by named constraint, by trigger, by key."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.books.grants import grant_bonus
from billing.books.ledger import LedgerError, Posting, TransferConflict, house_account, open_wallet, post
from billing.models import Hold, LedgerAccount, Transfer, Wallet
from tests.billing.conftest import balances, topup
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


def test_a_repeat_of_a_key_returns_the_first_transfer_and_moves_nothing(wallet):
    for _ in range(2):
        topup(wallet, "5")
    assert balances(wallet)[0] == 5
    assert Transfer.objects.filter(key="topup:1").count() == 1


@pytest.mark.parametrize("change", ["amount", "kind", "account"])
def test_a_key_with_another_meaning_is_a_conflict_and_nothing_of_its_group_moves(wallet, change):
    topup(wallet, "5")
    clearing = house_account("clearing:stripe:USD")
    taken = Posting(
        "topup:1",
        "grant" if change == "kind" else "topup",
        clearing,
        wallet.bonus_account if change == "account" else wallet.paid_account,
        Decimal(6 if change == "amount" else 5),
    )
    with pytest.raises(TransferConflict):
        post([Posting("topup:0", "topup", clearing, wallet.paid_account, Decimal(1)), taken], now=NOW)
    assert balances(wallet)[:2] == (5, 10)
    assert not Transfer.objects.filter(key="topup:0").exists()


def test_a_group_of_which_one_half_is_there_is_completed(wallet):
    fx, charge = house_account("fx:USD"), (house_account("clearing:alipay:CNY"), house_account("fx:CNY"))
    yuan = Posting("topup:7:CNY", "topup_charge", *charge, Decimal("35.60"))
    dollars = Posting("topup:7:USD", "topup", fx, wallet.paid_account, Decimal(5))
    post([yuan], now=NOW)
    post([yuan, dollars], now=NOW)
    assert balances(wallet)[0] == 5
    assert Transfer.objects.filter(key__startswith="topup:7").count() == 2


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "0.000000001", "1000000000000"])
def test_a_transfer_moves_a_positive_exact_amount(wallet, amount):
    with pytest.raises(LedgerError):
        topup(wallet, amount)
    assert balances(wallet)[0] == 0


def test_yuan_move_in_whole_fen(db):
    with pytest.raises(LedgerError, match="decimal places"):
        post([Posting("f", "fee", house_account("a:CNY"), house_account("fx:CNY"), Decimal("0.001"))], now=NOW)


def test_one_posting_names_a_key_once(wallet):
    posting = Posting("x", "topup", house_account("clearing:stripe:USD"), wallet.paid_account, Decimal(1))
    with pytest.raises(LedgerError, match="twice"):
        post([posting, posting], now=NOW)


def test_a_transfer_has_one_currency(wallet):
    yuan = house_account("fx:CNY")
    with pytest.raises(LedgerError):
        post([Posting("x", "topup", yuan, wallet.paid_account, Decimal(1))], now=NOW)
    with pytest.raises(IntegrityError, match="transfer_debit_in_currency"), transaction.atomic():
        Transfer.objects.create(**row(wallet, debit=yuan))
    with pytest.raises(IntegrityError, match="transfer_credit_in_currency"), transaction.atomic():
        Transfer.objects.create(**row(wallet, credit=yuan))
    with pytest.raises(IntegrityError, match="transfer_debit_in_currency"), transaction.atomic():
        Transfer.objects.create(**row(wallet, currency="CNY"))


def test_a_customers_account_without_a_wallet_cannot_be_moved(customer):
    wallet = Wallet.objects.get(customer=customer)
    Wallet.objects.all().delete()
    with pytest.raises(LedgerError, match="no wallet"):
        topup(wallet, "5")
    assert not Transfer.objects.filter(key="topup:1").exists()


def test_opening_a_wallet_again_returns_the_first(customer, wallet):
    assert open_wallet(customer=customer) == wallet
    assert LedgerAccount.objects.filter(customer=customer).count() == 2


def test_bonus_is_never_overspent_and_nothing_of_the_group_moves(wallet):
    topup(wallet, "5")
    spend = [
        Posting("g:bonus", "usage_bonus", wallet.bonus_account, house_account("revenue:bonus"), Decimal("10.00000001")),
        Posting("g:paid", "usage", wallet.paid_account, house_account("revenue:usage"), Decimal(1)),
    ]
    with pytest.raises(IntegrityError, match="wallet_bonus_not_negative"), transaction.atomic():
        post(spend, now=NOW)
    assert balances(wallet)[:2] == (5, 10)
    assert not Transfer.objects.filter(key__startswith="g:").exists()


def row(wallet: Wallet, **changes) -> dict:
    clearing = house_account("clearing:stripe:USD")
    base = {"key": "k", "kind": "k", "debit": clearing, "credit": wallet.paid_account, "amount": 1, "created_at": NOW}
    return {**base, **changes}


def hold(wallet: Wallet, **changes) -> dict:
    base = {"key": "h", "customer": wallet.customer, "kind": "request", "amount": 1, "bound": 2, "created_at": NOW}
    return {**base, **changes}


CONSTRAINTS = [
    ("billing_transfer_key", lambda w: [Transfer.objects.create(**row(w)) for _ in range(2)]),
    ("transfer_amount_positive", lambda w: Transfer.objects.create(**row(w, amount=0))),
    ("transfer_two_accounts", lambda w: Transfer.objects.create(**row(w, debit=w.paid_account))),
    ("wallet_bonus_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(bonus=-1)),
    ("wallet_held_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(held=-1)),
    ("wallet_exposure_not_negative", lambda w: Wallet.objects.filter(pk=w.pk).update(exposure=-1)),
    ("billing_hold_pkey", lambda w: [Hold.objects.create(**hold(w)) for _ in range(2)]),
    ("hold_amount_positive", lambda w: Hold.objects.create(**hold(w, amount=0))),
    ("hold_within_bound", lambda w: Hold.objects.create(**hold(w, amount=2, bound=1))),
    ("hold_captured_within_bound", lambda w: Hold.objects.create(**hold(w, captured=3))),
    ("hold_captured_within_bound", lambda w: Hold.objects.create(**hold(w, captured=-1))),
    ("hold_resolved_has_time", lambda w: Hold.objects.create(**hold(w, state="released"))),
    ("hold_resolved_has_time", lambda w: Hold.objects.create(**hold(w, resolved_at=NOW))),
    ("ledgeraccount_currency_known", lambda w: LedgerAccount.objects.create(name="x", currency="XXX")),
    ("ledgeraccount_customer_kinds_have_customer", lambda w: LedgerAccount.objects.create(name="x", kind="paid")),
    (
        "ledgeraccount_customer_kinds_have_customer",
        lambda w: LedgerAccount.objects.create(name="x", kind="system", customer=w.customer),
    ),
    (
        "ledgeraccount_one_of_a_kind",
        lambda w: LedgerAccount.objects.create(name="x", kind="paid", customer=w.customer),
    ),
]


@pytest.mark.parametrize(("name", "act"), CONSTRAINTS, ids=[name for name, _ in CONSTRAINTS])
def test_what_must_never_happen_is_a_named_constraint(wallet, name, act):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        act(wallet)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE billing_transfer SET amount = 1000000", "Cannot update or delete"),
        ("UPDATE billing_transfer SET memo = 'x'", "Cannot update or delete"),
        ("DELETE FROM billing_transfer", "Cannot update or delete"),
        ("TRUNCATE billing_transfer", "append-only"),
        ("TRUNCATE billing_ledgeraccount CASCADE", "append-only"),
        ("UPDATE billing_ledgeraccount SET currency = 'CNY' WHERE name = 'expense:bonus'", "Cannot update or delete"),
        ("DELETE FROM billing_ledgeraccount", "Cannot update or delete"),
    ],
)
def test_transfers_and_accounts_are_append_only(wallet, statement, why):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the fixtures wrote is checked, and not in the way
    with pytest.raises(DatabaseError, match=why), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Transfer.objects.count() == 1


def test_a_grant_is_given_once_by_its_key(customer, wallet):
    for _ in range(2):
        grant_bonus(customer=customer, amount=Decimal(2), key="grant:x", reason="sorry", now=NOW)
    assert balances(wallet)[1] == 12
    with pytest.raises(TransferConflict):
        grant_bonus(customer=customer, amount=Decimal(3), key="grant:x", reason="sorry", now=NOW)
