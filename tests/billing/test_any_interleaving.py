"""Any interleaving of what can happen to a wallet keeps every invariant; a plain model in Python says what is right."""

from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test import TestCase
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from accounts.models import Customer
from accounts.signals import customer_created
from billing import holds
from billing.audit import audit_customer
from billing.grants import grant_bonus
from billing.holds import InsufficientBalance, Resolution
from billing.ledger import Posting, TransferConflict, house_account, lock_wallets, post
from billing.models import Hold, Wallet
from tests.conftest import NOW

AMOUNTS = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(50), places=2)
COSTS = st.decimals(min_value=0, max_value=Decimal(60), places=8)


class Books(RuleBasedStateMachine):
    """One customer; `paid`, `bonus` and `open` are what a person with a pencil would have."""

    requests: Bundle[str] = Bundle("requests")
    refunds: Bundle[str] = Bundle("refunds")
    keys: Bundle[tuple[str, Decimal]] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.customer = Customer.objects.create(name="H")
        customer_created.send(sender=Customer, customer=self.customer)
        self.paid = self.bonus = Decimal(0)
        self.open: dict[str, tuple[Decimal, Decimal]] = {}
        self.number = 0

    def teardown(self) -> None:
        try:
            assert audit_customer(self.customer.pk) == []
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    def next(self, what: str) -> str:
        self.number += 1
        return f"{what}:{self.customer.pk}:{self.number}"

    @property
    def wallet(self) -> Wallet:
        return Wallet.objects.select_related("paid_account", "bonus_account").get(customer=self.customer)

    @property
    def available(self) -> Decimal:
        return self.paid + self.bonus - sum((held for held, _ in self.open.values()), Decimal(0))

    def post(self, *postings: Posting) -> None:
        post(list(postings), now=NOW)

    @rule(target=keys, amount=AMOUNTS)
    def top_up_by_card(self, amount):
        key = self.next("topup")
        self.post(Posting(key, "topup", house_account("clearing:stripe:USD"), self.wallet.paid_account, amount))
        self.paid += amount
        return key, amount

    @rule(amount=AMOUNTS)
    def top_up_in_yuan(self, amount):
        key, yuan = self.next("topup"), (amount * 7).quantize(Decimal("0.01"))
        self.post(
            Posting(f"{key}:CNY", "topup_charge", house_account("clearing:alipay:CNY"), house_account("fx:CNY"), yuan),
            Posting(f"{key}:USD", "topup", house_account("fx:USD"), self.wallet.paid_account, amount),
        )
        self.paid += amount

    @rule(amount=AMOUNTS)
    def grant(self, amount):
        grant_bonus(customer=self.customer, amount=amount, key=self.next("grant"), reason="", now=NOW)
        self.bonus += amount

    @rule(known=keys)
    def repeat_a_top_up(self, known):
        key, amount = known
        self.post(Posting(key, "topup", house_account("clearing:stripe:USD"), self.wallet.paid_account, amount))

    @rule(known=keys)
    def claim_a_key_for_something_else(self, known):
        key, amount = known
        posting = Posting(key, "topup", house_account("fx:USD"), self.wallet.paid_account, amount + 1)
        with pytest.raises(TransferConflict), transaction.atomic():
            self.post(posting)

    @rule(target=requests, amount=AMOUNTS)
    def hold_for_a_request(self, amount):
        return self._place("gen", Hold.Kind.REQUEST, amount)

    @rule(target=refunds, amount=AMOUNTS)
    def freeze_for_a_refund(self, amount):
        return self._place("refund", Hold.Kind.REFUND, amount)

    @rule(amount=AMOUNTS)
    def freeze_for_a_dispute(self, amount):
        key = self.next("dispute")
        holds.place(
            customer_id=self.customer.pk,
            key=key,
            kind=Hold.Kind.DISPUTE,
            amount=amount,
            now=NOW,
            may_overdraw=True,
        )
        self.open[key] = (amount, amount)

    def _place(self, what: str, kind: Hold.Kind, amount: Decimal) -> str:
        key, had = self.next(what), self.available
        ask = {"customer_id": self.customer.pk, "key": key, "kind": kind, "amount": amount, "now": NOW}
        if had >= amount:
            holds.place(**ask)
            self.open[key] = (amount, amount)
        else:
            with pytest.raises(InsufficientBalance) as refused, transaction.atomic():
                holds.place(**ask)
            assert refused.value.available == had
        return key

    @rule(key=consumes(requests), cost=COSTS)
    def settle_a_request(self, key, cost):
        """Captured up to the bound, bonus first, as settlement does it."""
        if key not in self.open:
            return
        cost = min(cost, self.open[key][1])
        with transaction.atomic():
            wallet = lock_wallets([self.customer.pk])[self.customer.pk]
            assert holds.resolve([Resolution(key, cost or None, "completed")], now=NOW) == {key}
            from_bonus = min(cost, wallet.bonus)
            postings = []
            if from_bonus:
                account = house_account("revenue:bonus")
                postings.append(Posting(f"{key}:bonus", "usage_bonus", wallet.bonus_account, account, from_bonus))
            if cost - from_bonus:
                account = house_account("revenue:usage")
                postings.append(Posting(f"{key}:paid", "usage", wallet.paid_account, account, cost - from_bonus))
            self.post(*postings)
        del self.open[key]
        self.bonus -= from_bonus
        self.paid -= cost - from_bonus

    @rule(key=requests)
    def release_a_request(self, key):
        resolved = holds.resolve([Resolution(key, None, "gone")], now=NOW)
        assert bool(resolved) == (key in self.open)
        self.open.pop(key, None)

    @rule(key=consumes(refunds), share=st.sampled_from([Decimal("0.5"), Decimal(1)]))
    def send_a_refund(self, key, share):
        """A part of a refund leaves, and the rest of the hold is given back."""
        if key not in self.open:
            return
        amount = (self.open[key][0] * share).quantize(Decimal("0.01"))
        with transaction.atomic():
            if amount:
                holds.capture_share(key=key, share=amount, now=NOW)
                transit = house_account("refunds:in_transit")
                self.post(Posting(f"{key}:sent", "refund", self.wallet.paid_account, transit, amount))
            holds.resolve([Resolution(key, None, "rest")], now=NOW)
        del self.open[key]
        self.paid -= amount

    @invariant()
    def the_wallet_is_what_the_pencil_says(self):
        wallet = self.wallet
        held = sum((amount for amount, _ in self.open.values()), Decimal(0))
        assert (wallet.paid, wallet.bonus, wallet.held) == (self.paid, self.bonus, held)
        assert wallet.available == self.available

    @invariant()
    def the_books_balance(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM billing_hold WHERE state = 'open' AND customer_id = %s", [self.customer.pk]
            )
            assert cursor.fetchone() == (len(self.open),)


class AnyInterleaving(TestCase):
    def test_any_interleaving_keeps_every_invariant(self):
        run_state_machine_as_test(
            Books,
            settings=settings(
                max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
