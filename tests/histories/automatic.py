"""Automatic top-up in a history: owners let a card pay, think better of it, and workers look at balances."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.outbox import readers
from payments.automatic import attempts, cards, looking
from payments.automatic.agreements import switch_off
from payments.models import AutoTopUp
from tests.histories.steps import AMOUNTS, APART, DYING, WHO, Steps, refused
from tests.histories.world import mortal
from tests.payments.automatic.steps import DECLINED_LATER, VISA, WANTS_HOLDER, agreed


class Automatic(Steps):
    @rule(who=WHO, card=st.sampled_from((VISA, VISA, DECLINED_LATER, WANTS_HOLDER)), threshold=AMOUNTS, dies=DYING)
    def an_owner_lets_a_card_top_up(self, who, card, threshold, dies):
        """Each time by another card, on other terms; the one before goes on until it is entered."""
        customer = self.customers[who]
        with mortal(dies), refused():
            agreement = agreed(customer, threshold=threshold, now=self.clock.now(), new_card=True)
            cards.start(agreement.card)
        waiting = AutoTopUp.objects.filter(customer=customer, state="waiting").select_related("card").first()
        if waiting is not None and waiting.card.setup_reference:
            with refused():
                path = f"/setups/{waiting.card.setup_reference}/keep"
                self.providers.server.control("POST", path, card=card)
            cards.look(card_id=waiting.card_id, now=self.clock.now())

    @rule(who=WHO)
    def an_owner_thinks_better_of_it(self, who):
        switch_off(customer=self.customers[who], now=self.clock.now())

    @rule(dies=DYING, apart=APART)
    def workers_look_at_balances(self, dies, apart):
        for act in self.due_looks(self.clock.now(apart=apart)):
            with mortal(dies):
                act()

    def due_looks(self, now: datetime) -> list[Callable[[], Any]]:
        readers.read(looking.READER, now=now)
        found: list[Callable[[], Any]] = [partial(cards.look, card_id=pk, now=now) for pk in cards.claim_due(now=now)]
        return found + [partial(attempts.look, agreement_id=pk, now=now) for pk in looking.claim_due(now=now)]
