"""Bonus that ends in a history: the house gives some for a while, also by codes, and its end is due."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.bonus import batches, ending, entering
from billing.bonus.entering import CodeError
from billing.books.grants import grant_bonus
from tests.histories.steps import AMOUNTS, DYING, WHO, Steps, refused
from tests.histories.world import mortal


class Ending(Steps):
    @rule(who=WHO, amount=AMOUNTS, minutes=st.sampled_from((1, 40, 24 * 60, 8 * 24 * 60)), dies=DYING)
    def the_house_gives_bonus_for_a_while(self, who, amount, minutes, dies):
        now = self.clock.now()
        self.number += 1
        given = {"amount": amount, "key": f"test:ending:{self.number}", "reason": "test", "now": now}
        with mortal(dies):
            grant_bonus(customer=self.customers[who], **given, ends_at=now + timedelta(minutes=minutes))

    @rule(dies=DYING)
    def bonus_ends(self, dies):
        with mortal(dies):
            ending.end_due(now=self.clock.now())

    @rule(who=WHO, amount=AMOUNTS, days=st.sampled_from((None, 1, 8)), stops=st.booleans(), dies=DYING)
    def a_code_is_made_and_entered_twice(self, who, amount, days, stops, dies):
        now, by = self.clock.now(), self.staff[0]
        terms = {"words": "test", "amount": amount, "count": 1, "uses": 2, "days": days, "reason": "test"}
        batch = batches.propose(**terms, ends_at=now + timedelta(days=1), by=by, now=now)
        with refused():
            if batch.needs_second:
                batches.approve(batch_id=batch.pk, by=self.staff[1], now=now)
            [code] = batches.make_codes(batch_id=batch.pk, by=by, now=now)
            if stops:
                batches.stop(batch_id=batch.pk, by=by, now=now)
            user = self.customers[who].members.get(membership__role="owner")
            given = {"customer": self.customers[who], "user": user, "text": code, "address": "", "now": now}
            with mortal(dies), suppress(CodeError):
                entering.enter(**given)
            with suppress(CodeError):
                entering.enter(**given)
