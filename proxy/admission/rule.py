"""Admission's rule, without I/O: what to hold for a request, or why to refuse it. Amounts in USD with the margin."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from accounts.limits import meters
from accounts.limits.meters import CapReached, CustomerCounter, KeyCounter
from accounts.limits.policy import KeyPolicy
from billing.books.money import ZERO
from billing.warnings.spending import BudgetShort
from core.records import value
from proxy.errors import Refusal, account_suspended, key_ended
from proxy.once.claims import Claim
from proxy.prices.sums import ceiling

SMALLEST = Decimal("0.00000001")
LEAST_OUTPUT_TOKENS = 256
"""A limit that the wallet, not the caller, chose is not made smaller than this: the answer would be of no use."""
OUTPUT_WINDOW_TOKENS = 4_096
"""Of a stream so much output is held for at a time; most answers are shorter."""


@value
class Ask:
    """A request that wants a hold. Amounts in USD with the margin.

    `input_most` is what its input can cost at most, `output_rate` an output token over all choices; with
    `output_limit` tokens they make the bound. `may_shrink`: the caller named no limit, so the wallet may.
    `is_extended`: a stream whose hold grows as it is written, and that ends where it cannot.
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
    is_extended: bool = False
    session: str | None = None
    tells_input: bool = False
    """A stream whose first event tells what its input used: what is held too much for it is given back then."""
    guess: str | None = None
    """How the estimate came about, as JSON; None where nothing is known of such requests."""
    once: Claim | None = None
    """What it may be a repeat of."""

    @property
    def bound(self) -> Decimal:
        return self.bound_at(self.output_limit)

    @property
    def first_limit(self) -> int:
        """Tokens of output that are held for at first."""
        return min(self.output_limit, OUTPUT_WINDOW_TOKENS) if self.is_extended else self.output_limit

    def bound_at(self, output_limit: int) -> Decimal:
        return ceiling(self.input_most + self.output_rate * output_limit)


@dataclass(eq=False)
class Short(Refusal):
    """A refusal for want of money, of the wallet or within a key's cap. Amounts in USD.

    `needed`, the least that would do, has to fit into `room`; holds may give back `may_come_free` at most. `finding` is
    the message without its advice to top up.
    """

    finding: str = ""
    needed: Decimal = ZERO
    room: Decimal = ZERO
    may_come_free: Decimal = ZERO
    cap: CapReached | None = None
    purse: str = ""
    """The budget's hold that is short, "" for the wallet or a cap."""

    @property
    def full(self) -> CapReached | BudgetShort | None:
        """The cap or the budget without room for it; None for the wallet."""
        return BudgetShort(self.purse, self.needed) if self.purse else self.cap

    @property
    def may_pass(self) -> bool:
        """Whether holds alone may be in its way."""
        return ZERO < self.may_come_free >= self.needed - self.room


@dataclass(slots=True)
class WalletCounter:
    """A wallet in the hands of one batch, in USD: `available`, `reserved` by all its holds, what open requests may cost
    beyond them (`exposure`) and what that may be at most (`allowance`)."""

    available: Decimal
    reserved: Decimal
    exposure: Decimal
    bonus: Decimal = ZERO
    allowance: Decimal = ZERO
    held: Decimal = ZERO
    exposed: Decimal = ZERO

    def hold(self, decision: "Decision") -> None:
        self.available -= decision.hold
        self.reserved += decision.hold
        self.held += decision.hold
        self.exposure += decision.bound - decision.hold
        self.exposed += decision.bound - decision.hold

    def hold_more(self, amount: Decimal, *, exposing: Decimal = ZERO) -> None:
        self.available -= amount
        self.reserved += amount
        self.held += amount
        self.exposure += exposing
        self.exposed += exposing


@dataclass(slots=True)
class Purse(WalletCounter):
    """A budget in the hands of one batch, in the wallet's place: `available` is what it has left, `reserved` what
    `requests` under way hold inside it. It has no allowance.

    Not `is_backed`: the balance does not cover what is set aside any more, as after a refund that was begun at the
    provider, and less is available than is left.
    """

    requests: int = 0
    is_backed: bool = True

    def backed_by(self, wallet: WalletCounter) -> "Purse":
        """Usage takes a wallet below zero by its allowance at most, whatever took from it meanwhile."""
        missing = wallet.exposure - wallet.available - wallet.allowance
        if missing > 0:
            self.is_backed = False
            self.available = max(ZERO, self.available - missing)
        return self


@value
class Decision:
    """What is held, the most that may be charged, and the output limit to send upstream.

    `covered` are the tokens of output within the bound: fewer than the limit where the hold is to grow with a stream.
    """

    hold: Decimal
    bound: Decimal
    output_limit: int
    covered: int


@value
class Extension:
    """What an open hold is to grow by, in USD: `wanted`, or what there is of it, but not less than `least`. What is
    less than nothing is given back, and what is nothing leaves it as it is.

    `why` is one of `proxy.models.Change`; `day` is the one on which the request was counted.
    """

    generation_id: str
    policy: KeyPolicy
    why: str
    wanted: Decimal
    least: Decimal
    day: date
    exposing: Decimal = ZERO
    """What its bound changes by beyond that: nothing, or less than nothing."""


class TooLittle(StrEnum):
    """Why a hold does not grow."""

    BALANCE = "balance"
    BUDGET = "budget"
    ENDED = "ended"
    """Its request is no longer open."""


NoMore = TooLittle | CapReached
"""What keeps a hold from growing."""


def extend(asked: Extension, *, wallet: WalletCounter, key: KeyCounter) -> Decimal | NoMore:
    """The rule, without I/O: what a hold grows by, or what keeps it from growing."""
    if asked.wanted <= 0:
        return asked.wanted
    left = meters.left_on(asked.day, policy=asked.policy, key=key)
    more = min(asked.wanted, _room(wallet, left))
    if more >= asked.least and more > 0:
        return more
    if left is not None and left < wallet.available:
        least = max(asked.least, SMALLEST)
        if (cap := meters.broken_on(asked.day, policy=asked.policy, key=key, needed=least)) is not None:
            return cap
    return TooLittle.BUDGET if isinstance(wallet, Purse) and wallet.is_backed else TooLittle.BALANCE


def decide(
    ask: Ask, *, wallet: WalletCounter, key: KeyCounter, customer: CustomerCounter, now: datetime
) -> Decision | Refusal:
    """The rule, without I/O: what to hold for a request, or why not."""
    if not key.active:
        return key_ended(purse=ask.policy.purse)
    if customer.suspended:
        return account_suspended()
    left = meters.left(policy=ask.policy, key=key, now=now)
    decision = _hold_for(ask, wallet=wallet, left=left)
    if decision is not None:
        hold = decision.hold
    else:
        # What the wallet does not cover is refused for that, unless a limit is reached anyway.
        least = _least(ask)
        hold = least if least <= wallet.available else ZERO
    reached = meters.check(
        policy=ask.policy,
        key=key,
        customer=customer,
        model=ask.model,
        model_rpm=ask.model_rpm,
        hold=hold,
        now=now,
        room=left,
    )
    if reached is not None:
        return _limit_refusal(reached, ask=ask, left=left, wallet=wallet)
    return decision or _insufficient(ask, wallet=wallet, left=left)


def _hold_for(ask: Ask, *, wallet: WalletCounter, left: Decimal | None) -> Decision | None:
    """What the wallet covers, and what the key's caps have `left`; None where nothing of use does."""
    covered = ask.first_limit
    bound = ask.bound_at(covered)
    room = _room(wallet, left)
    less = _less_than_bound(ask, bound, wallet=wallet)
    if less < bound and (left is None or less <= left) and not (ask.tells_input and bound <= room):
        return Decision(hold=less, bound=bound, output_limit=ask.output_limit, covered=covered)
    if bound <= room or not bound:
        return Decision(hold=bound, bound=bound, output_limit=_limit_for(ask, room=room), covered=covered)
    affordable = _affordable(ask, room=room)
    if (ask.may_shrink or ask.is_extended) and affordable >= LEAST_OUTPUT_TOKENS:
        bound = ask.bound_at(affordable)
        limit = affordable if ask.may_shrink else ask.output_limit
        return Decision(hold=bound, bound=bound, output_limit=limit, covered=affordable)
    return None


def _less_than_bound(ask: Ask, bound: Decimal, *, wallet: WalletCounter) -> Decimal:
    """What the allowance lets be held, not less than is likely; the bound where it does not, or the wallet has less.

    Bonus is held at the bound: what a request costs beyond its hold has to be the customer's own money.
    """
    hold = max(min(ask.estimate, bound), bound - max(ZERO, wallet.allowance - wallet.exposure))
    return hold if hold + wallet.bonus <= wallet.available else bound


def _limit_for(ask: Ask, *, room: Decimal) -> int:
    """The output limit of a stream that its hold grows with: what the wallet covers now, where the caller named none,
    as an answer that its upstream ends is better than one that we do.
    """
    if not (ask.is_extended and ask.may_shrink):
        return ask.output_limit
    return max(ask.first_limit, _affordable(ask, room=room))


def _room(wallet: WalletCounter, left: Decimal | None) -> Decimal:
    return wallet.available if left is None else min(wallet.available, left)


def _affordable(ask: Ask, *, room: Decimal) -> int:
    """Tokens of output, at most, whose bound fits into `room`."""
    affordable = max(0, int((room - ask.input_most) / ask.output_rate)) if ask.output_rate else 0
    while affordable and ask.bound_at(affordable) > room:
        affordable -= 1
    return min(affordable, ask.output_limit)


def _least(ask: Ask) -> Decimal:
    """The smallest bound that would be of use."""
    if ask.may_shrink or ask.is_extended:
        return ask.bound_at(min(ask.output_limit, LEAST_OUTPUT_TOKENS))
    return ask.bound


def _fits(ask: Ask, *, room: Decimal) -> str:
    affordable = _affordable(ask, room=room)
    return f" With max_tokens of {affordable} or less it would fit." if affordable else ""


def _insufficient(ask: Ask, *, wallet: WalletCounter, left: Decimal | None) -> Short:
    if isinstance(wallet, Purse):
        return _exhausted(ask, purse=wallet, left=left)
    least, bound = _least(ask), ask.bound_at(ask.first_limit)
    hold = max(min(ask.estimate, bound), bound - wallet.allowance)
    fits = _fits(ask, room=_room(wallet, left))
    finding = f"The available balance is ${wallet.available:f} and this request needs ${least:f}.{fits}"
    held = f" ${wallet.reserved:f} is held besides; what is not used of it comes free." if wallet.reserved else ""
    return Short(
        402,
        "insufficient_balance",
        f"{finding}{held} Top up to go on.",
        finding=finding,
        needed=min(least, hold + wallet.bonus) if hold < bound else least,
        room=wallet.available,
        may_come_free=wallet.reserved,
    )


def _exhausted(ask: Ask, *, purse: Purse, left: Decimal | None) -> Short:
    least, fits = _least(ask), _fits(ask, room=_room(purse, left))
    if not purse.is_backed:
        finding = f"The balance does not cover what is set aside for this budget, and this request needs ${least:f}."
        return Short(402, "insufficient_balance", f"{finding} Top up to go on.", finding=finding, needed=least)
    finding = f"The budget has ${purse.available:f} left and this request needs ${least:f}.{fits}"
    held = ""
    if purse.requests:
        noun = "request" if purse.requests == 1 else "requests"
        held = f" ${purse.reserved:f} is held by {purse.requests} {noun} besides; what is not used of it comes free."
    return Short(
        402,
        "budget_exhausted",
        f"{finding}{held}",
        finding=finding,
        needed=least,
        room=purse.available,
        may_come_free=purse.reserved,
        purse=ask.policy.purse,
    )


def _limit_refusal(reached: meters.LimitReached, *, ask: Ask, left: Decimal | None, wallet: WalletCounter) -> Refusal:
    if (cap := reached.cap) is not None:
        finding = reached.message + _fits(ask, room=_room(wallet, left))
        return Short(
            403,
            reached.code,
            finding,
            finding=finding,
            needed=cap.needed,
            room=cap.room,
            may_come_free=cap.held,
            cap=cap,
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
