"""Holds that grow, shrink, are refused and left behind in any order, over admission's own connection.

The rule decides from locked rows, SQL writes them, and a gateway may die between any two steps. A pencil says what is
held; the promise is that usage takes no wallet below its allowance, and no charge exceeds its bound.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from accounts.keys import issuing
from accounts.limits.policy import READ_POLICIES, KeyPolicy, policy_from_row
from accounts.models import Customer
from accounts.signals import customer_created
from billing.audit.run import audit
from billing.books.allowance import Overrun
from billing.books.grants import grant_bonus
from billing.models import Hold, Wallet
from proxy.admission.rule import Ask, Extension, TooLittle
from proxy.admission.writer import Admitted, CommitUnknown, Extending, Waiter, Writer
from proxy.errors import Refusal
from proxy.models import Change, Generation, Lease, Model, Price
from proxy.prices.loading import load_catalog
from proxy.records.held import changes_of, story_of
from proxy.settlement.settle import release, settle_all, sweep
from tests.conftest import NOW, pay_in
from tests.examples import examples

CATALOG = {
    "upstreams": [{"name": "u", "protocol": "openai", "base_url": "http://127.0.0.1:1/v1"}],
    "models": [{"id": "openai/m", "upstreams": ["u"], "price": {"input": "10", "output": "40"}}],
}
OVERRUN = Overrun(limit=Decimal("0.40"), after=timedelta(0))
AMOUNTS = st.sampled_from([Decimal(text) for text in ("0.01", "0.25", "1", "2.5", "7")])
PICK = st.integers(0, 30)
DEATHS = st.sampled_from(["", "", "", "before the writes", "before the answer"])
"""Whether the gateway's connection breaks in a batch, and where."""


@dataclass
class Pencil:
    """Each request's hold and bound; the balance that is left."""

    balance: Decimal
    held: dict[str, Decimal] = field(default_factory=dict)
    bound: dict[str, Decimal] = field(default_factory=dict)


class Streams(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.customer = Customer.objects.create(name="Ada")
        customer_created.send(sender=Customer, customer=self.customer)
        pay_in(self.customer, "8.00", at=NOW)
        grant_bonus(customer=self.customer, amount=Decimal(1), key=f"b:{self.customer.pk}", reason="", now=NOW)
        self.key = issuing.issue(customer=self.customer, name="k", now=NOW)
        self.policy = policy_of(self.key.text)
        self.pencil = Pencil(Decimal(9))
        self.lease = Lease.objects.create(renewed_at=NOW, started_at=NOW, host="x")
        self.writer = Writer(lease_id=self.lease.pk, overrun=OVERRUN)

    def teardown(self) -> None:
        drifts = audit(customer_ids=[self.customer.pk]).drifts
        assert [drift for drift in drifts if "top-ups" not in drift] == []  # of the order itself the books know nothing
        self.writer.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    # Admission's batches.

    def write(self, waiters: Sequence[Waiter | Extending], *, dies: str = "") -> bool:
        """Whether it is known what came of it."""

        async def write() -> None:
            pipeline = await self.writer._connected()
            if dies:
                original = pipeline.round_trip

                async def breaks(queries: Any, **more: Any) -> Any:
                    if ("COMMIT", ()) not in queries:
                        return await original(queries, **more)
                    if dies == "before the answer":
                        await original(queries, **more)
                    pipeline.close()
                    raise psycopg.OperationalError("the connection broke")

                pipeline.round_trip = breaks  # type: ignore[method-assign]
            try:
                grants, more, _ = await self.writer.write(waiters, wait_for_locks=True)
            finally:
                vars(pipeline).pop("round_trip", None)  # a batch that only refuses does not get so far
            for waiter, admitted in grants:
                waiter.future.set_result(admitted)
            for extending, granted in more:
                extending.future.set_result(granted)

        try:
            self.loop.run_until_complete(write())
        except (CommitUnknown, psycopg.OperationalError):
            return False
        return True

    def future(self) -> "asyncio.Future[Any]":
        return self.loop.create_future()

    @rule(input_most=AMOUNTS, share=st.sampled_from([Decimal("0.1"), Decimal("0.9"), Decimal(1)]), dies=DEATHS)
    def a_request_is_admitted(self, input_most, share, dies):
        model = Model.objects.get()
        ask = Ask(
            policy=self.policy, model_id=model.pk, model=model.slug, model_rpm=0, price_id=Price.objects.get().pk,
            protocol="openai", streamed=True, input_most=input_most, output_rate=Decimal("0.001"), output_limit=2_000,
            may_shrink=False, estimate=(input_most * share).quantize(Decimal("0.01")), is_extended=True,
        )  # fmt: skip
        waiter = Waiter(ask, self.future(), lambda admitted: admitted)
        self.write([waiter], dies=dies)
        if waiter.future.done() and waiter.future.exception() is None:
            admitted: Admitted = waiter.future.result()
            self.pencil.held[admitted.generation_id] = admitted.decision.hold
            self.pencil.bound[admitted.generation_id] = admitted.decision.bound
        elif waiter.future.done():
            assert isinstance(waiter.future.exception(), Refusal)
        self.learn()

    def learn(self) -> None:
        """A batch whose outcome the gateway never heard of is there, or not: the pencil takes over what was."""
        for row in Generation.objects.filter(state="held", customer=self.customer):
            self.pencil.held.setdefault(row.pk, row.held)
            self.pencil.bound.setdefault(row.pk, row.bound)

    @rule(index=PICK, wanted=AMOUNTS, least=AMOUNTS, twice=st.booleans(), dies=DEATHS)
    def a_stream_wants_more(self, index, wanted, least, twice, dies):
        """Open or not; and twice in one batch counts once."""
        number = self.pick(index)
        if number is None:
            return
        asked = [self.extension(number, Change.OUTPUT, wanted, min(wanted, least)) for _ in range(1 + twice)]
        available = self.wallet().available
        is_open, before = number in self.pencil.held, self.pencil.held.get(number)
        is_known = self.write(asked, dies=dies)
        if not is_known:
            if is_open:
                grown = Generation.objects.get(pk=number).held - before
                assert grown in (0, min(wanted, available))
                self.grow(number, grown)
            return
        granted = [one.future.result() for one in asked]
        assert granted[1:] == [TooLittle.ENDED] * twice
        if not is_open:
            assert granted[0] is TooLittle.ENDED
        elif isinstance(granted[0], TooLittle):
            assert granted[0] is TooLittle.BALANCE
            assert available < min(wanted, least) or available <= 0
        else:
            assert granted[0] == min(wanted, available) >= min(wanted, least)
            self.grow(number, granted[0])

    @rule(index=PICK, share=st.sampled_from([Decimal("0.1"), Decimal("0.8")]))
    def an_input_is_corrected(self, index, share):
        """Of one that is held below its bound, first what it may cost beyond its hold."""
        number = self.pick(index)
        if number is None or number not in self.pencil.held:
            return
        less = (self.pencil.bound[number] * share).quantize(Decimal("0.00000001"))
        back = max(Decimal(0), self.pencil.held[number] - self.pencil.bound[number] + less)
        if not less:
            return
        asked = self.extension(number, Change.INPUT, -back, -back, exposing=back - less)
        assert self.write([asked])
        assert asked.future.result() == -back
        self.pencil.held[number] -= back
        self.pencil.bound[number] -= less

    @rule(amount=AMOUNTS)
    def a_batch_grows_all_that_is_open(self, amount):
        asked = [self.extension(number, Change.USAGE, amount, Decimal("0.00000001")) for number in self.pencil.held]
        if not asked:
            return
        assert self.write(asked)
        for one in asked:
            if isinstance(granted := one.future.result(), Decimal):
                self.grow(one.asked.generation_id, granted)

    def extension(self, number: str, why: Change, wanted: Decimal, least: Decimal, **more: Decimal) -> Extending:
        row = Generation.objects.get(pk=number)
        asked = Extension(number, self.policy, why, wanted, least, row.created_at.date(), **more)
        return Extending(asked, self.future())

    def grow(self, number: str, more: Decimal) -> None:
        self.pencil.held[number] += more
        self.pencil.bound[number] += more

    def pick(self, index: int) -> str | None:
        numbers = list(Generation.objects.filter(customer=self.customer).order_by("pk").values_list("pk", flat=True))
        return numbers[index % len(numbers)] if numbers else None

    # What ends a request.

    @rule(index=PICK, claimed=st.sampled_from([Decimal(0), Decimal("0.3"), Decimal(1), Decimal(50)]))
    def its_usage_is_metered_and_settled(self, index, claimed):
        """`claimed`: of its bound; never charged beyond it, as METER does it."""
        number = self.pick(index)
        if number is None or number not in self.pencil.held:
            return
        bound = self.pencil.bound.pop(number)
        del self.pencil.held[number]
        cost = min(bound, (bound * claimed).quantize(Decimal("0.00000001")))
        Generation.objects.filter(pk=number, state="held").update(
            state="metered", metered_at=NOW, cost=cost, usage_source="upstream"
        )
        settle_all(now=NOW)
        self.pencil.balance -= cost

    @rule(index=PICK)
    def it_is_released(self, index):
        number = self.pick(index)
        if number is not None:
            released = release([number], reason="upstream_error", now=NOW)
            assert bool(released) == (self.pencil.held.pop(number, None) is not None)
            self.pencil.bound.pop(number, None)

    @rule()
    def the_gateway_dies(self):
        """kill -9: its connection is gone, and its lease grows old."""
        self.writer.close()
        Lease.objects.filter(pk=self.lease.pk).update(renewed_at=NOW - timedelta(days=1))
        sweep(now=NOW)
        assert not Generation.objects.filter(customer=self.customer, state="held").exists()
        self.pencil.held.clear()
        self.pencil.bound.clear()
        self.lease = Lease.objects.create(renewed_at=NOW + timedelta(days=3650), started_at=NOW, host="x")
        self.writer = Writer(lease_id=self.lease.pk, overrun=OVERRUN)

    # The promise.

    def wallet(self) -> Wallet:
        return Wallet.objects.get(customer=self.customer)

    @invariant()
    def what_is_held_is_what_the_pencil_says(self):
        wallet = self.wallet()
        assert wallet.held == sum(self.pencil.held.values())
        assert wallet.balance == self.pencil.balance
        assert wallet.exposure == sum(self.pencil.bound.values()) - wallet.held
        for hold in Hold.objects.filter(customer=self.customer, state="open"):
            assert (hold.amount, hold.bound) == (self.pencil.held[hold.key], self.pencil.bound[hold.key])

    @invariant()
    def usage_takes_the_wallet_no_further_than_its_allowance(self):
        wallet = self.wallet()
        assert wallet.exposure <= OVERRUN.limit
        assert wallet.balance >= -OVERRUN.limit
        assert wallet.bonus >= 0

    @invariant()
    def the_story_of_each_hold_leads_to_it(self):
        for row in Generation.objects.filter(customer=self.customer):
            story = story_of(row)
            assert 0 <= story.first <= story.first_bound
            assert [change.held for change in changes_of(row)[-1:]] == [row.held] * bool(row.hold_changes)


def policy_of(text: str) -> KeyPolicy:
    with connection.cursor() as cursor:
        cursor.execute(READ_POLICIES, [[issuing.digest(text)]])
        [row] = cursor.fetchall()
    return policy_from_row(row, asked_at=monotonic(), default_rpm=0, default_customer_rpm=0)[1]


@pytest.fixture
def served(transactional_db: None) -> None:
    load_catalog(CATALOG)


@pytest.mark.timeout(400)  # a failure is shrunk to the fewest steps, which takes its time
def test_any_order_of_growing_and_ending_keeps_the_promise(served):
    run_state_machine_as_test(
        Streams,
        settings=settings(
            max_examples=examples(10),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
