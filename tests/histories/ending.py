"""Bonus that ends in a history: the house gives some for a while, and its end is due."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.bonus import ending
from billing.books.grants import grant_bonus
from tests.histories.steps import AMOUNTS, DYING, WHO, Steps
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
