"""Requests of models: held at the most they can cost, or within the allowance at less; metered, settled, left over."""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import rule

from accounts.models import ApiKey
from billing.books import holds
from billing.books.allowance import Overrun, Payments, allowance
from billing.models import Wallet
from core.arrays import columns
from proxy.admission.writer import EXTEND_GENERATIONS
from proxy.ids import new_generation_id
from proxy.kept import jobs, judging
from proxy.models import Generation, Job
from proxy.prices.usage import Usage as UsedTokens
from proxy.protocols.base import Reported
from proxy.settlement import attempts, settle
from tests.histories.steps import MICRO, PICK, SHARES, WHO, Steps, pick

OVERRUN = Overrun(Decimal(1), timedelta(0))
PER_TOKEN = Decimal("0.0000105")
"""Of input, with the margin."""
FACTS = ("paid_in", "first_paid_at", "paid_again", "disputed", "written_off")


class Usage(Steps):
    def new_id(self, now: datetime) -> str:
        self.number += 1
        return new_generation_id(int(now.timestamp() * 10**9) + self.number * 10**6)

    def is_held(
        self, number: str, key: ApiKey, held: Decimal, bound: Decimal, *, used: Decimal | None, now: datetime
    ) -> None:
        """A request's row; with its usage, unless that is None."""
        known: dict[str, Any] = {"usage_source": "none"}
        if used is not None:
            tokens = math.ceil(bound * used / PER_TOKEN)
            known = {
                "usage_source": "upstream",
                "upstream": self.model.upstreams.get(),
                "input_tokens": tokens,
                "state": "metered",
                "cost": min(tokens * PER_TOKEN, bound),
                "metered_at": now,
            }
        Generation.objects.create(
            pk=number,
            customer_id=key.customer_id,
            key=key,
            model=self.model,
            price=self.model.prices.earliest("version"),
            protocol="openai",
            streamed=False,
            bound=bound,
            held=held,
            created_at=now,
            **known,
        )

    @rule(
        who=WHO,
        share=SHARES,
        used=st.sampled_from((None, Decimal(0), Decimal("0.4"), Decimal(1), Decimal(1))),
        estimated=st.sampled_from((Decimal(0), Decimal("0.5"), Decimal(1))),
        is_settled=st.booleans(),
    )
    def call_a_model(self, who, share, used, estimated, is_settled):
        """Held, and metered as a share of the most it can cost; None: no usage is known yet. `estimated`: how much of
        what the allowance leaves it may cost beyond its hold.
        """
        wallet = Wallet.objects.get(customer=self.customers[who])
        amount = (wallet.available * share).quantize(MICRO)
        if amount <= 0:
            return
        now = self.clock.now()
        number = self.new_id(now)
        allowed = allowance(Payments(**{name: getattr(wallet, name) for name in FACTS}), overrun=OVERRUN, now=now)
        beyond = max(Decimal(0), (allowed - wallet.exposure) * estimated).quantize(MICRO)
        with connection.cursor() as cursor:  # as admission does
            cursor.execute(holds.PLACE_ONE_HOLD, [number, wallet.pk, amount, amount + beyond, now])
            cursor.execute(holds.ADD_HELD_TO_ONE, [amount, beyond, wallet.pk])
        self.is_held(number, self.keys[who], amount, amount + beyond, used=used, now=now)
        if is_settled:
            settle.settle_all(now=now)

    @rule(index=PICK, share=SHARES)
    def a_stream_holds_more(self, index, share):
        generation = pick(Generation.objects.filter(state="held", key__in=self.keys), index)
        wallet = generation and Wallet.objects.get(customer=generation.customer)
        more = (wallet.available * share).quantize(MICRO) if wallet else Decimal(0)
        if more <= 0:
            return
        ids, why, amounts = columns([(generation.pk, "output", more)])
        with transaction.atomic(), connection.cursor() as cursor:  # as admission does
            cursor.execute(EXTEND_GENERATIONS, (ids, why, amounts, amounts))
            cursor.execute(holds.EXTEND_HOLDS, (ids, amounts, amounts))
            cursor.execute(holds.ADD_HELD_TO_ONE, [more, Decimal(0), wallet.pk])

    @rule(index=PICK, used=st.sampled_from((None, 0, 700)))
    def an_upstream_was_tried_in_vain(self, index, used):
        """On a request's way, whatever became of that; None: nobody knows what it used."""
        generation = pick(Generation.objects.all(), index)
        if generation is None:
            return
        self.number += 1
        usage = None if used is None else UsedTokens(input_tokens=used)
        tried = attempts.Attempt(self.model.upstreams.get().pk, "refused", monotonic(), usage=usage)
        attempts.write([(generation.pk, self.number, tried)])

    @rule(index=PICK)
    def a_request_goes_on_in_the_background(self, index):
        generation = pick(Generation.objects.filter(state="held"), index)
        if generation is None or jobs.find(generation.pk) is not None:
            return
        upstream, asked = self.model.upstreams.get(), b'{"terms":{},"least":null,"tier":"","left_out":null}'
        asked = asked[:-1] + b',"factor":"1","fair":{"input_tokens":3}}'
        jobs.begin(jobs.Begun(generation.pk, "/v1/x", upstream.pk, "m", "a", generation.pk, asked, 60, 5))

    @rule(index=PICK, used=st.sampled_from((None, Decimal(0), Decimal("0.4"), Decimal(1), Decimal(2))))
    def a_job_ends(self, index, used):
        """None: nobody knows what it used."""
        row = pick(Job.objects.filter(ended_at=None), index)
        if row is None:
            return
        job, generation = jobs.find(row.pk), Generation.objects.get(pk=row.pk)
        if used is None:
            jobs.give_up(row.pk, reason="timeout", flag=True)
            return
        told = UsedTokens(input_tokens=math.ceil(generation.bound * used / PER_TOKEN))
        record = judging.record_of(job, judging.destination_of(job), Reported(told), reason="completed")
        assert jobs.meter(record)
        assert not jobs.meter(record)

    @rule()
    def a_gateway_is_found_dead(self):
        """What it left behind is released."""
        settle.sweep(now=self.clock.now())
