"""Budgets: money set aside for a run, used up, ended by hand or by time, with requests under way."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.books import holds
from billing.books.ledger import lock_wallets
from billing.budgets import ending, making
from billing.budgets.making import BudgetError
from billing.models import Budget, Hold, Wallet
from core.arrays import columns
from core.clock import database_now
from proxy.admission.writer import EXTEND_GENERATIONS
from proxy.models import Generation
from tests.histories.steps import DYING, MICRO, PICK, SHARES, WHO, pick
from tests.histories.usage import Usage
from tests.histories.world import mortal


class Budgets(Usage):
    @rule(who=WHO, share=SHARES, with_key=st.booleans(), dies=DYING)
    def set_money_aside(self, who, share, with_key, dies):
        amount = (Wallet.objects.get(customer=self.customers[who]).available * share).quantize(MICRO)
        made_with = self.keys[who] if with_key else None
        fields = {"customer": self.customers[who], "name": "run", "now": database_now(), "made_with": made_with}
        with mortal(dies), suppress(BudgetError):
            making.make(amount=max(amount, making.LEAST), lasts=timedelta(hours=1), **fields)

    @rule(
        index=PICK,
        share=SHARES,
        used=st.sampled_from((None, Decimal(0), Decimal("0.4"), Decimal(1))),
    )
    def call_a_model_inside_a_budget(self, index, share, used):
        """Held there, and metered as a share of what is held; None: no usage is known yet."""
        budget = pick(Budget.objects.filter(ended_at=None), index)
        hold = budget and Hold.objects.get(pk=budget.hold_key)
        amount = ((hold.amount - hold.captured) * share).quantize(MICRO) if hold else Decimal(0)
        if amount <= 0:
            return
        now = self.clock.now()
        number = self.new_id(now)
        with transaction.atomic(), connection.cursor() as cursor:  # as admission does
            lock_wallets([budget.customer_id])
            row = (number, budget.customer_id, amount, amount, now, hold.key)
            cursor.execute(holds.PLACE_HOLDS_INSIDE, columns([row]))
            cursor.execute(holds.TAKE_FROM_PURSES, columns([(hold.key, amount)]))
        self.is_held(number, budget.key, amount, amount, used=used, now=now)

    @rule(index=PICK, share=SHARES)
    def a_stream_holds_more_inside_its_budget(self, index, share):
        running = Budget.objects.filter(ended_at=None).values("key")
        generation = pick(Generation.objects.filter(state="held", key__in=running), index)
        hold = generation and Hold.objects.get(pk=generation.key.budget.hold_key)
        more = ((hold.amount - hold.captured) * share).quantize(MICRO) if hold else Decimal(0)
        if more <= 0:
            return
        ids, why, amounts = columns([(generation.pk, "output", more)])
        with transaction.atomic(), connection.cursor() as cursor:  # as admission does
            lock_wallets([generation.customer_id])
            cursor.execute(EXTEND_GENERATIONS, (ids, why, amounts, amounts))
            cursor.execute(holds.EXTEND_HOLDS, (ids, amounts, amounts))
            cursor.execute(holds.TAKE_FROM_PURSES, columns([(hold.key, more)]))

    @rule(index=PICK, dies=DYING)
    def a_budget_is_ended(self, index, dies):
        budget = pick(Budget.objects.all(), index)
        if budget is not None:
            with mortal(dies):
                ending.end(budget_id=budget.pk, reason=Budget.Ended.DELETED, now=self.clock.now())

    @rule(index=PICK, dies=DYING)
    def a_budgets_time_is_up(self, index, dies):
        budget = pick(Budget.objects.filter(ended_at=None), index)
        if budget is not None:
            now = database_now()
            Budget.objects.filter(pk=budget.pk).update(created_at=now - timedelta(hours=1), expires_at=now)
            with mortal(dies):
                ending.end_due(now=now)
