"""Admission's rule, without I/O: what to hold for a request, or why to refuse it. Amounts in USD with the margin."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from accounts import limits
from accounts.limits import CustomerCounter, KeyCounter, KeyPolicy
from billing.money import ZERO
from chuizi.facts import fact
from proxy.errors import Refusal, invalid_key
from proxy.pricing import ceiling

LEAST_OUTPUT_TOKENS = 256
"""A limit that the wallet, not the caller, chose is not made smaller than this: the answer would be of no use."""


@fact
class Ask:
    """A request that wants a hold. Amounts in USD with the margin.

    `input_most` is what its input can cost at most, `output_rate` an output token over all choices; with
    `output_limit` tokens they make the bound. `may_shrink`: the caller named no limit, so the wallet may.
    """

    policy: KeyPolicy
    model_id: int
    model: str
    model_rpm: int
    price_id: int
    protocol: str
    streamed: bool
    input_most: Decimal
    output_rate: Decimal
    output_limit: int
    may_shrink: bool
    estimate: Decimal

    @property
    def bound(self) -> Decimal:
        return self.bound_at(self.output_limit)

    def bound_at(self, output_limit: int) -> Decimal:
        return ceiling(self.input_most + self.output_rate * output_limit)


@dataclass(eq=False)
class Short(Refusal):
    """A refusal for want of money, of the wallet or within a key's cap. Amounts in USD.

    `needed`, the least that would do, has to fit into `room`; holds may give back `may_come_free` at most. `facts` is
    the message without its advice to top up; a cap of a day counts what was held on `day`.
    """

    facts: str = ""
    needed: Decimal = ZERO
    room: Decimal = ZERO
    may_come_free: Decimal = ZERO
    cap: limits.Cap | None = None
    cap_limit: Decimal = ZERO
    day: date = date.min

    @property
    def may_pass(self) -> bool:
        """Whether holds alone may be in its way."""
        return ZERO < self.may_come_free >= self.needed - self.room


@dataclass(slots=True)
class WalletCounter:
    """A wallet in the hands of one batch; `available`, `reserved` by all its holds and `exposure` in USD."""

    available: Decimal
    reserved: Decimal
    exposure: Decimal
    topped_up: bool
    held: Decimal = ZERO
    exposed: Decimal = ZERO

    def hold(self, decision: "Decision") -> None:
        self.available -= decision.hold
        self.reserved += decision.hold
        self.held += decision.hold
        self.exposure += decision.bound - decision.hold
        self.exposed += decision.bound - decision.hold


@fact
class Decision:
    """What is held, the most that may be charged, and the output limit to send upstream."""

    hold: Decimal
    bound: Decimal
    output_limit: int


def decide(
    ask: Ask, *, wallet: WalletCounter, key: KeyCounter, customer: CustomerCounter, overrun: Decimal, now: datetime
) -> Decision | Refusal:
    """The rule, without I/O: what to hold for a request, or why not."""
    if not key.active:
        return invalid_key()
    if customer.suspended:
        return Refusal(403, "account_suspended", "This account is suspended. Write to support.")
    decision = _hold_for(ask, wallet=wallet, overrun=overrun)
    reached = limits.check(
        policy=ask.policy,
        key=key,
        customer=customer,
        model=ask.model,
        model_rpm=ask.model_rpm,
        hold=decision.hold if isinstance(decision, Decision) else ZERO,
        now=now,
    )
    if reached is not None:
        return _limit_refusal(reached, wallet=wallet, now=now)
    return decision


def _hold_for(ask: Ask, *, wallet: WalletCounter, overrun: Decimal) -> Decision | Refusal:
    bound = ask.bound
    estimate = min(ask.estimate, bound)
    if wallet.topped_up and wallet.exposure + bound - estimate <= overrun and estimate <= wallet.available:
        return Decision(hold=estimate, bound=bound, output_limit=ask.output_limit)
    if bound <= wallet.available or not bound:
        return Decision(hold=bound, bound=bound, output_limit=ask.output_limit)
    affordable = 0
    if ask.output_rate:
        affordable = max(0, int((wallet.available - ask.input_most) / ask.output_rate))
        while affordable and ask.bound_at(affordable) > wallet.available:
            affordable -= 1
    if ask.may_shrink and affordable >= LEAST_OUTPUT_TOKENS:
        bound = ask.bound_at(affordable)
        return Decision(hold=bound, bound=bound, output_limit=affordable)
    needed = ask.bound_at(min(ask.output_limit, LEAST_OUTPUT_TOKENS)) if ask.may_shrink else bound
    fits = f" With max_tokens of {affordable} or less it would fit." if affordable else ""
    facts = f"The available balance is ${wallet.available:f} and this request needs ${needed:f}.{fits}"
    return Short(
        402,
        "insufficient_balance",
        f"{facts} Top up to go on.",
        facts=facts,
        needed=estimate if wallet.topped_up and bound - estimate <= overrun else needed,
        room=wallet.available,
        may_come_free=wallet.reserved,
    )


def _limit_refusal(reached: limits.LimitReached, *, wallet: WalletCounter, now: datetime) -> Refusal:
    if reached.cap is not None:
        return Short(
            403,
            reached.code,
            reached.message,
            facts=reached.message,
            needed=reached.needed,
            room=reached.cap_limit - reached.spent,
            may_come_free=min(wallet.reserved, reached.spent),
            cap=reached.cap,
            cap_limit=reached.cap_limit,
            day=now.date(),
        )
    return Refusal(
        429,
        reached.code,
        reached.message,
        headers={
            "Retry-After": str(reached.retry_after),
            "X-RateLimit-Limit": str(reached.rate_limit),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(reached.retry_after),
        },
    )
