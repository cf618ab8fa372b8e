"""Requests are charged anew at a corrected price, down and up, which two of finance decide and a worker posts."""

from datetime import timedelta

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import rule

from proxy.models import Rerate
from proxy.prices.loading import set_price
from proxy.rerating import deciding, work
from tests.histories.steps import APART, DYING, PICK, WHO, Steps, pick, refused
from tests.histories.world import mortal

RATES = st.sampled_from(("1", "5", "9.7", "12", "30"))
MOST_STEPS = 50
WAYS = (deciding.approve, deciding.approve, deciding.refuse)


class Rerating(Steps):
    @rule(input=RATES, upwards=st.booleans(), by=WHO, is_approved=st.booleans(), dies=DYING)
    def finance_finds_a_price_wrong(self, input, upwards, by, is_approved, dies):
        model, now = self.model, self.clock.now()
        with transaction.atomic():
            set_price(model, {"input": input, "output": "40"}, where=model.slug)
        about = {"model": model, "price": model.prices.latest("version"), "by": self.staff[by], "now": now}
        days = {"first_day": (now - timedelta(days=40)).date(), "last_day": now.date()}
        with refused():
            found = deciding.propose(**about, **days, upwards=upwards, reason="test")
            self.rerating_goes_on(dies, 0)
            if is_approved:
                deciding.approve(proposal_id=found.pk, by=self.staff[1 - by], now=now)
        self.rerating_goes_on(dies, 0)

    @rule(index=PICK, act=st.sampled_from(WAYS), by=WHO, dies=DYING)
    def finance_decides_a_rerating(self, index, act, by, dies):
        rerate = pick(Rerate.objects.filter(state__in=deciding.OPEN), index)
        if rerate is None:
            return
        why = {"why": "no"} if act is deciding.refuse else {}
        with refused():
            act(proposal_id=rerate.pk, by=self.staff[by], now=self.clock.now(), **why)
        self.rerating_goes_on(dies, 0)

    @rule(dies=DYING, apart=APART)
    def rerating_goes_on(self, dies, apart):
        now = self.clock.now(apart=apart)
        with mortal(dies):
            for _ in range(MOST_STEPS):
                if not work.step(now=now):
                    return
            raise AssertionError("a re-rating never ends")
