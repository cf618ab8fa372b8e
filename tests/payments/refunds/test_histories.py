"""Random histories of a customer's refunds: whatever providers say and staff do, the audit is clean after each step."""

import contextlib
import random
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.audit.run import audit
from billing.models import LedgerAccount, RefundRequest, Wallet
from payments import refunds as refunding
from payments.models import RefundPart, TopUp
from payments.providers import registry
from payments.providers.base import RefundFact, RefundOrder, RefundOutcome
from tests.payments.conftest import METHODS
from tests.payments.dispute_steps import balance, drifts, spend
from tests.payments.fake_refunds import FakeProvider, paid_in
from tests.payments.refund_steps import staff

pytestmark = pytest.mark.django_db

STEPS = 40
WORDS = (RefundOutcome.DONE, *RefundOutcome, RefundOutcome.FAILED, RefundOutcome.PARKED)


class History:
    """One customer, two of finance, and providers that say anything at all."""

    def __init__(self, customer, first: User, second: User, chance: random.Random) -> None:
        self.customer, self.first, self.second, self.chance = customer, first, second, chance
        self.now = timezone.now()

    def says(self, order: RefundOrder) -> RefundFact:
        outcome = self.chance.choice(WORDS)
        amount = order.amount - 1 if self.chance.random() < 0.1 else order.amount
        return RefundFact(outcome, amount=amount, detail=outcome.value)

    def request(self) -> RefundRequest | None:
        found = list(RefundRequest.objects.filter(customer=self.customer))
        return self.chance.choice(found) if found else None

    def part(self) -> RefundPart | None:
        found = list(RefundPart.objects.filter(refund__customer=self.customer))
        return self.chance.choice(found) if found else None

    def free(self) -> Decimal:
        return max(Wallet.objects.get(customer=self.customer).available, Decimal(0))

    def step(self) -> None:
        acts = {self.pay: 1, self.spend: 2, self.ask: 1, self.decide: 3, self.send: 3, self.look: 6, self.finance: 4}
        [act] = self.chance.choices(list(acts), list(acts.values()))
        with contextlib.suppress(refunds.RefundError, refunding.PartError):
            act()

    def pay(self) -> None:
        if TopUp.objects.filter(customer=self.customer).count() < 5:
            fee = self.chance.choice(("0.00", "0.00", "0.37"))
            paid_in(self.customer, self.chance.choice(METHODS), self.chance.choice(("20.00", "7.13", "0.99")), fee)

    def spend(self) -> None:
        if (amount := (self.free() * Decimal(self.chance.choice(("0.5", "1")))).quantize(Decimal("0.01"))) > 0:
            spend(self.customer, str(min(amount, self.free())))

    def ask(self) -> None:
        most = refunds.refundable(customer_id=self.customer.pk).amount
        share = (most * Decimal(self.chance.choice(("0.3", "1")))).quantize(Decimal("0.01"), rounding="ROUND_DOWN")
        refunds.ask(customer=self.customer, amount=share, reason="not needed", entered_by=self.first, now=self.now)

    def decide(self) -> None:
        if (refund := self.request()) is None:
            return
        if self.chance.random() < 0.7:
            most = refunds.most_now(refund)
            refunds.approve(refund_id=refund.pk, amount=most, by=self.first, now=self.now)
        elif self.chance.random() < 0.7:
            refunds.deny(refund_id=refund.pk, words="no", by=self.first, now=self.now)
        else:
            refunds.cancel(refund_id=refund.pk, now=self.now)

    def send(self) -> None:
        for pk in RefundRequest.objects.filter(state__in=("approved", "sending")).values_list("pk", flat=True):
            refunding.send(refund_id=pk, now=self.now)

    def look(self) -> None:
        if (part := self.part()) is not None:
            refunding.look(part_id=part.pk, now=self.now)

    def finance(self) -> None:
        if (part := self.part()) is None:
            return
        values = {"part_id": part.pk, "now": self.now}
        for by in self.chance.sample((self.first, self.second), self.chance.randint(1, 2)):
            match self.chance.randint(0, 6):
                case 0:
                    refunding.park_part(**values, by=by)
                case 1:
                    refunding.give_back(**values, by=by, closed_there=True)
                case 2:
                    refunding.record_transfer(**values, by=by, reference="B", paid_there=self.chance.random() < 0.5)
                case 3:
                    refunding.withdraw_transfer(**values, by=by)
                case 4:
                    refunding.collect(**values, by=by)
                case 5:
                    refunding.bear(**values, by=by)
                case _:
                    refunding.look_at_contradiction(**values, by=by)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_providers_say_and_staff_do_the_books_hold_after_each_step(make_customer, monkeypatch, settings, seed):
    settings.REFUND_SUPPORT_LIMIT = Decimal(10_000)
    chance = random.Random(seed)
    history = History(make_customer(), staff("first"), staff("second"), chance)
    monkeypatch.setattr(registry, "get", lambda code: FakeProvider(says=history.says, on_send=history.says))
    for act in (history.pay, history.ask, history.decide, history.send):
        with contextlib.suppress(refunds.RefundError):
            act()
    for number in range(STEPS):
        history.step()
        assert audit(customer_ids=[history.customer.pk]).drifts == [], (seed, number)
        on_the_way = sum(
            (part.amount for part in RefundPart.objects.filter(state__in=("sending", "parked"))), Decimal(0)
        )
        transit = LedgerAccount.objects.filter(name="refunds:in_transit")
        assert (balance("refunds:in_transit") if transit.exists() else 0) == on_the_way, (seed, number)
    assert drifts() == []
