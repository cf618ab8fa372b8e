"""Any interleaving of what can happen to wallets keeps every invariant; a pencil, plain Python, says what is right."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import TestCase
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from accounts.models import Customer, User
from accounts.signals import customer_created
from billing.audit.entries import check_entries
from billing.audit.run import audit
from billing.books import entries, holds
from billing.books.grants import grant_bonus
from billing.books.holds import HoldError, InsufficientBalance, Resolution
from billing.books.ledger import Posting, TransferConflict, house_account, lock_wallets, post
from billing.books.money import CENT, MICRO
from billing.models import Hold, LedgerAccount, Transfer, Wallet
from tests.billing.conftest import balances
from tests.conftest import NOW
from tests.examples import examples

CASH = st.decimals(min_value=Decimal("0.01"), max_value=50, places=2)
SMALL = st.decimals(min_value=MICRO, max_value=20, places=8)
COSTS = st.one_of(st.just(Decimal(0)), st.decimals(min_value=0, max_value=30, places=8))
WHO = st.sampled_from((0, 1))
SHARES = st.sampled_from([Decimal("0.3"), Decimal("0.5"), Decimal(1)])


@dataclass
class Pencil:
    """One customer's balances, and each open hold's kind, what is left of it, and its bound."""

    id: int
    paid: Decimal = Decimal(0)
    bonus: Decimal = Decimal(0)
    open: dict[str, tuple[str, Decimal, Decimal]] = field(default_factory=dict)

    @property
    def held(self) -> Decimal:
        return sum((left for _, left, _ in self.open.values()), Decimal(0))

    @property
    def exposure(self) -> Decimal:
        requests = [(left, bound) for kind, left, bound in self.open.values() if kind == Hold.Kind.REQUEST]
        return sum((bound - left for left, bound in requests), Decimal(0))

    @property
    def available(self) -> Decimal:
        return self.paid + self.bonus - self.held


class Books(RuleBasedStateMachine):
    """Two customers, the house, and whatever may happen between them."""

    requests: Bundle[tuple[int, str]] = Bundle("requests")
    refunds: Bundle[tuple[int, str]] = Bundle("refunds")
    disputes: Bundle[tuple[int, str]] = Bundle("disputes")
    posted: Bundle[Posting] = Bundle("posted")

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.pencils = [Pencil(self._customer(name)) for name in "ab"]
        self.number = self.transfers = 0
        self.finance = [User.objects.create_superuser(f"{name}@staff.example.org", "x") for name in "ab"]
        for who in (0, 1):  # with empty wallets most of what may happen is a refusal
            self.top_up_by_card_of(who, Decimal(40))

    @staticmethod
    def _customer(name: str) -> int:
        customer = Customer.objects.create(name=name)
        customer_created.send(sender=Customer, customer=customer)
        return customer.pk

    def teardown(self) -> None:
        try:
            assert audit().drifts == []
            assert list(check_entries(None)) == []
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    def next(self, what: str) -> str:
        self.number += 1
        return f"{what}:{self.number}"

    def account(self, who: int, kind: str) -> LedgerAccount:
        return LedgerAccount.objects.get(customer_id=self.pencils[who].id, kind=kind)

    def post(self, *postings: Posting) -> None:
        post(list(postings), now=NOW)
        self.transfers += len(postings)

    # Money comes in.

    @rule(target=posted, who=WHO, amount=CASH)
    def top_up_by_card(self, who, amount):
        return self.top_up_by_card_of(who, amount)

    def top_up_by_card_of(self, who: int, amount: Decimal) -> Posting:
        clearing = house_account("clearing:stripe:USD")
        posting = Posting(self.next("topup"), "topup", clearing, self.account(who, "paid"), amount)
        self.post(posting)
        self.pencils[who].paid += amount
        return posting

    @rule(target=posted, who=WHO, amount=CASH)
    def top_up_in_yuan(self, who, amount):
        key, yuan = self.next("topup"), (amount * 7).quantize(CENT)
        dollars = Posting(f"{key}:USD", "topup", house_account("fx:USD"), self.account(who, "paid"), amount)
        clearing, fx = house_account("clearing:alipay:CNY"), house_account("fx:CNY")
        self.post(Posting(f"{key}:CNY", "topup_charge", clearing, fx, yuan), dollars)
        self.pencils[who].paid += amount
        return dollars

    @rule(target=posted, who=WHO, amount=SMALL)
    def grant(self, who, amount):
        customer, key = Customer.objects.get(pk=self.pencils[who].id), self.next("grant")
        for _ in range(2):
            grant_bonus(customer=customer, amount=amount, key=key, reason="", now=NOW)
        self.pencils[who].bonus += amount
        self.transfers += 1
        return Posting(key, "grant", house_account("expense:bonus"), self.account(who, "bonus"), amount)

    @rule(target=posted, giver=WHO, amount=SMALL)
    def correct_a_top_up_of_the_wrong_customer(self, giver, amount):
        taker = 1 - giver
        posting = Posting(
            self.next("adjust"), "adjustment", self.account(giver, "paid"), self.account(taker, "paid"), amount
        )
        self.post(posting)
        self.pencils[giver].paid -= amount
        self.pencils[taker].paid += amount
        return posting

    @rule(amount=SMALL, is_refused=st.booleans())
    def enter_by_hand(self, amount, is_refused):
        """Between accounts of the house alone: no wallet moves."""
        first, second = self.finance
        entry = entries.propose(
            debit="bank:USD",
            credit="clearing:stripe:USD",
            amount=amount,
            about=NOW.date(),
            reference=self.next("paper"),
            reason="a payout",
            by=first,
            now=NOW,
        )
        if is_refused:
            entries.refuse(entry_id=entry.pk, why="a slip", by=second, now=NOW)
            return
        entries.approve(entry_id=entry.pk, by=second, now=NOW)
        self.transfers += 1

    # What was posted comes again.

    @rule(known=posted)
    def repeat_a_posting(self, known):
        post([known], now=NOW)

    @rule(known=posted, change=st.sampled_from(["kind", "amount", "debit"]), amount=CASH)
    def claim_a_key_for_something_else(self, known, change, amount):
        other = {"kind": "payout", "amount": known.amount + amount, "debit": house_account("bank:USD")}
        changed = Posting(
            **{**{name: getattr(known, name) for name in Posting.__slots__}, change: other[change]}  # type: ignore[arg-type]
        )
        fresh = Posting(self.next("fresh"), "topup", house_account("fx:USD"), self.account(0, "paid"), amount)
        with pytest.raises(TransferConflict):
            post([fresh, changed], now=NOW)

    # Money is set aside.

    @rule(target=requests, who=WHO, amount=SMALL)
    def hold_a_request_at_its_bound(self, who, amount):
        return self._place(who, "gen", Hold.Kind.REQUEST, amount)

    @rule(target=refunds, who=WHO, amount=CASH)
    def freeze_for_a_refund(self, who, amount):
        return self._place(who, "refund", Hold.Kind.REFUND, amount)

    @rule(target=disputes, who=WHO, amount=CASH)
    def freeze_for_a_dispute(self, who, amount):
        return self._place(who, "dispute", Hold.Kind.DISPUTE, amount, may_overdraw=True)

    def _place(self, who: int, what: str, kind: Hold.Kind, amount: Decimal, may_overdraw: bool = False):
        pencil, key = self.pencils[who], self.next(what)
        ask = {"customer_id": pencil.id, "key": key, "kind": kind, "amount": amount, "now": NOW}
        if pencil.available >= amount or may_overdraw:
            holds.place(**ask, may_overdraw=may_overdraw)
            pencil.open[key] = (kind, amount, amount)
            with pytest.raises(HoldError):  # a second time, or for want of money
                holds.place(**ask, may_overdraw=may_overdraw)
        else:
            with pytest.raises(InsufficientBalance) as refused:
                holds.place(**ask)
            assert refused.value.available == pencil.available
        return who, key

    @rule(target=requests, who=WHO, estimate=SMALL, more=SMALL)
    def admit_a_request_at_its_estimate(self, who, estimate, more):
        """As admission does it over its own connection: a hold below the bound."""
        pencil, key = self.pencils[who], self.next("gen")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(holds.LOCK_FREE_WALLETS, [[pencil.id]])
            [(customer_id, available, held, exposure, *_)] = cursor.fetchall()
            assert (customer_id, available, held, exposure) == (
                pencil.id,
                pencil.available,
                pencil.held,
                pencil.exposure,
            )
            if available >= estimate:
                cursor.execute(holds.PLACE_ONE_HOLD, [key, pencil.id, estimate, estimate + more, NOW])
                cursor.execute(holds.ADD_HELD_TO_ONE, [estimate, more, pencil.id])
                pencil.open[key] = (Hold.Kind.REQUEST, estimate, estimate + more)
        return who, key

    @rule(target=requests, estimate=SMALL, more=SMALL)
    def admit_a_batch(self, estimate, more):
        ready = [p for p in self.pencils if p.available >= estimate]
        keys, ids = [self.next("gen") for _ in ready], [p.id for p in ready]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(holds.LOCK_WALLETS, [ids])
            sums, bounds = [estimate] * len(ready), [estimate + more] * len(ready)
            cursor.execute(holds.PLACE_HOLDS, [keys, ids, sums, bounds, [NOW] * len(ready)])
            cursor.execute(holds.ADD_HELD, [ids, sums, [more] * len(ready)])
        for pencil, key in zip(ready, keys, strict=True):
            pencil.open[key] = (Hold.Kind.REQUEST, estimate, estimate + more)
        return (self.pencils.index(ready[0]), keys[0]) if ready else (0, self.next("gen"))

    # What was set aside is taken or given back.

    @rule(request=consumes(requests), cost=COSTS)
    def settle_a_request(self, request, cost):
        """Captured up to its bound, which may be more than was held; bonus first, as settlement does it."""
        who, key = request
        pencil = self.pencils[who]
        _, _, bound = pencil.open.pop(key, ("", Decimal(0), Decimal(0)))
        cost = min(cost, bound)
        with transaction.atomic():
            wallet = lock_wallets([pencil.id])[pencil.id]
            resolved = holds.resolve([Resolution(key, cost or None, "completed")], now=NOW)
            assert resolved == ({key} if bound else set())
            from_bonus = min(cost, wallet.bonus)
            revenue = house_account("revenue:bonus"), house_account("revenue:usage")
            parts = [
                Posting(f"{key}:bonus", "usage_bonus", self.account(who, "bonus"), revenue[0], from_bonus),
                Posting(f"{key}:paid", "usage", self.account(who, "paid"), revenue[1], cost - from_bonus),
            ]
            self.post(*[part for part in parts if part.amount])
        pencil.bonus -= from_bonus
        pencil.paid -= cost - from_bonus

    @rule(request=requests, beyond=SMALL)
    def charge_beyond_the_bound(self, request, beyond):
        who, key = request
        if key in self.pencils[who].open:
            asked = [Resolution(key, self.pencils[who].open[key][2] + beyond, "completed")]
            with pytest.raises(IntegrityError, match="hold_captured_within_bound"), transaction.atomic():
                holds.resolve(asked, now=NOW)

    @rule(held=st.one_of(requests, disputes))
    def release_a_hold(self, held):
        self._release(*held)

    @rule(refund=refunds)
    def give_back_what_is_left_of_a_refund(self, refund):
        self._release(*refund)

    def _release(self, who: int, key: str) -> None:
        resolved = holds.resolve([Resolution(key, None, "gone")], now=NOW)
        assert bool(resolved) == (self.pencils[who].open.pop(key, None) is not None)

    @rule(refund=refunds, share=SHARES)
    def send_a_part_of_a_refund(self, refund, share):
        who, key = refund
        pencil = self.pencils[who]
        kind, left, bound = pencil.open.get(key, ("", Decimal(0), Decimal(0)))
        amount = (left * share).quantize(CENT)
        with pytest.raises(HoldError):
            holds.capture_share(key=key, share=left + CENT, now=NOW) if left else self._take_from_nothing(key)
        if not amount:
            return
        holds.capture_share(key=key, share=amount, now=NOW)
        transit = house_account("refunds:in_transit")
        self.post(Posting(self.next(key), "refund", self.account(who, "paid"), transit, amount))
        pencil.paid -= amount
        pencil.open[key] = (kind, left - amount, bound)
        if left == amount:
            del pencil.open[key]

    @staticmethod
    def _take_from_nothing(key: str) -> None:
        if not Hold.objects.filter(pk=key).exists():
            raise HoldError("it was refused")
        holds.capture_share(key=key, share=CENT, now=NOW)

    @rule(dispute=consumes(disputes))
    def lose_a_dispute(self, dispute):
        """The provider takes the money; the wallet may go below zero."""
        who, key = dispute
        pencil = self.pencils[who]
        if key not in pencil.open:
            return
        _, amount, _ = pencil.open.pop(key)
        with transaction.atomic():
            assert holds.resolve([Resolution(key, amount, "withdrawn")], now=NOW) == {key}
            clearing = house_account("clearing:stripe:USD")
            self.post(Posting(f"{key}:withdrawn", "dispute", self.account(who, "paid"), clearing, amount))
        pencil.paid -= amount

    @rule(who=WHO, more=SMALL)
    def spend_bonus_that_is_not_there(self, who, more):
        pencil, bonus = self.pencils[who], self.account(who, "bonus")
        spend = Posting(self.next("spend"), "usage_bonus", bonus, house_account("revenue:bonus"), pencil.bonus + more)
        with pytest.raises(IntegrityError, match="wallet_bonus_not_negative"), transaction.atomic():
            post([spend], now=NOW)

    # What is always true.

    @invariant()
    def the_wallets_are_what_the_pencil_says(self):
        for pencil in self.pencils:
            wallet = Wallet.objects.get(pk=pencil.id)
            assert balances(wallet) == (pencil.paid, pencil.bonus, pencil.held, pencil.exposure)
            assert wallet.available == pencil.available

    @invariant()
    def nothing_was_posted_or_held_twice(self):
        assert Transfer.objects.count() == self.transfers
        open_keys = Hold.objects.filter(state="open").values_list("key", flat=True)
        assert set(open_keys) == {key for pencil in self.pencils for key in pencil.open}


@pytest.mark.timeout(400)  # a failure is shrunk to the fewest steps, which takes its time
class AnyInterleaving(TestCase):
    def test_any_interleaving_keeps_every_invariant(self):
        run_state_machine_as_test(
            Books,
            settings=settings(
                max_examples=examples(15),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
