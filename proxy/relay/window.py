"""How much of a stream's output is held for, and how that grows while it is written. docs/gateway.md, "Streams".

Nobody knows how long a stream will be. So its hold covers a window of output, and before that is used up the next one
is held too, under the same locks as any hold. Where the wallet has no more the stream ends as one that has reached its
limit. Most answers are shorter than a window, and cost a comparison a piece here.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from decimal import Decimal

from accounts.limits.meters import CapReached
from billing.books.money import ZERO
from billing.warnings.spending import BudgetShort
from proxy.admission import rule
from proxy.admission.queue import Admitted
from proxy.admission.rule import LEAST_OUTPUT_TOKENS, SMALLEST, Ask, Extension, NoMore, TooLittle
from proxy.errors import Refusal
from proxy.models import Change
from proxy.prices.sums import ceiling
from proxy.relay.answers.ending import Ending, ending_of
from proxy.watch import metrics

AHEAD = 0.75
"""More is asked for when so much of what is held for is used up."""
BYTES_A_TOKEN = 3
"""Models write 3 to 5 bytes a token. What was guessed too low is held when the usage is known."""
LOOK_BYTES = 4_096
"""How much passes between two looks where the database does not say what is held."""
WORTH_CORRECTING = Decimal("0.01")
"""USD that are held too much for an input are given back while its stream is written, if they are more."""


class Window:
    """Of one stream. `bound` is what may be charged for it now, `full` what with all of its output, and `held` what is
    held, which may be less than its bound; USD.
    """

    __slots__ = (
        "_admitted",
        "_ask",
        "_ask_at",
        "_asking",
        "_choices",
        "_correcting",
        "_covered",
        "_extend",
        "_refusal",
        "_refused",
        "awaits_input",
        "bound",
        "ending",
        "full",
        "held",
        "look_at",
        "seen",
    )

    def __init__(
        self,
        ask: Ask,
        admitted: Admitted,
        *,
        choices: int,
        adds_input: bool,
        extend: Callable[[Extension], Awaitable[Decimal | NoMore]],
        refused: Callable[[CapReached | BudgetShort], None],
    ) -> None:
        """`adds_input`: more may be read while the answer is made than at first; `refused` is told of the cap or
        the budget that ends it.
        """
        decision = admitted.decision
        self.bound = decision.bound
        self.held = decision.hold
        self.full = ask.bound_at(decision.output_limit)
        self.ending: Ending | None = None
        """Why its answer was ended, if it was."""
        self.seen = 0
        """Bytes that were relayed."""
        self.look_at: float = AHEAD * decision.covered * BYTES_A_TOKEN
        """When they are so many, `goes_on` is to be asked."""
        self.awaits_input = ask.input_most > WORTH_CORRECTING and not adds_input
        """Whether `correct` is to be told, where an upstream tells that with the first bytes."""
        self._ask = ask
        self._admitted = admitted
        self._choices = choices
        self._covered = decision.covered
        self._ask_at = AHEAD * decision.covered
        """Tokens of output at which more is asked for."""
        self._extend = extend
        self._refused = refused
        self._refusal: NoMore = TooLittle.ENDED
        """Why the hold did not grow, the last time."""
        self._asking: asyncio.Task[bool | None] | None = None
        self._correcting: asyncio.Task[Decimal | None] | None = None

    def correct(self, input_cost: Decimal) -> None:
        """Give back what is held for an input beyond what it costs, by the upstream's word; nobody waits for that. Of
        one that is held below its bound what it may cost beyond its hold goes first.

        Nothing counts on it from now on: PostgreSQL may have it later than METER, and is given it once.
        """
        self.awaits_input = False
        less = self.bound - ceiling(input_cost + self._ask.output_rate * self._covered)
        if less > WORTH_CORRECTING:
            self.bound -= less
            back = max(ZERO, self.held - self.bound)
            self.held -= back
            asked = self._ask_for(Change.INPUT, -back, least=-back, exposing=back - less)
            self._correcting = asyncio.create_task(asked)

    async def goes_on(self, content_bytes: int) -> bool:
        """Whether a stream that has written so many bytes is still covered; asks for more in time."""
        made = content_bytes // BYTES_A_TOKEN // self._choices
        if self._asking is not None and self._asking.done():
            self._asking = None
        if self._asking is None and made >= self._ask_at:
            self._asking = asyncio.create_task(self._ask_for_more(made))
        if made < self._covered:
            self._look_after(made)
            return True
        is_held = await self._asked()
        if is_held is False or (is_held and made >= self._covered):
            # What was held elsewhere may have come free; and a part may be less than what is written already.
            is_held = await self._ask_for_more(made)
        if is_held is None:
            self.look_at = self.seen + LOOK_BYTES  # the house bears what is written meanwhile
            return True
        self._look_after(made)
        return is_held

    async def cover(self, cost: Decimal) -> bool:
        """Hold what a request cost beyond what is held, or as much of it as there is; whether anything came of it."""
        await self._asked()
        missing = min(cost, self.full) - self.bound
        if missing <= 0:
            return True
        return bool(await self._grow(Change.USAGE, missing, least=SMALLEST))

    def close(self) -> None:
        """Nobody waits for more."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def end(self) -> Ending:
        """End the answer, where `goes_on` says so: why."""
        needed = ceiling(self._ask.output_rate * LEAST_OUTPUT_TOKENS)
        self.ending = ending = ending_of(self._refusal, needed=needed, purse=self._ask.policy.purse)
        if ending.full is not None:
            self._refused(ending.full)
        return ending

    @property
    def _limit(self) -> int:
        return self._admitted.decision.output_limit

    def _look_after(self, made: int) -> None:
        if self._covered >= self._limit:
            self.look_at = math.inf
            return
        goal = self._covered if self._asking is not None else min(self._ask_at, self._covered)
        self.look_at = self.seen + max(BYTES_A_TOKEN, (goal - made) * BYTES_A_TOKEN * self._choices)

    async def _asked(self) -> bool | None:
        """What became of the question that is under way."""
        if self._asking is None:
            return False
        is_held = await self._asking
        self._asking = None
        return is_held

    async def _ask_for_more(self, made: int) -> bool | None:
        """Whether a window beyond what is made is held, or a part of it; None where that is not known."""
        tokens = min(max(0, made - self._covered) + rule.OUTPUT_WINDOW_TOKENS, self._limit - self._covered)
        if tokens <= 0:
            return True
        rate = self._ask.output_rate
        wanted = ceiling(rate * tokens)
        granted = await self._grow(Change.OUTPUT, wanted, least=ceiling(rate * min(tokens, LEAST_OUTPUT_TOKENS)))
        if granted:
            self._covered += tokens if granted >= wanted else int(granted / rate)
            self._ask_at = AHEAD * self._covered
        else:
            # A few times more before the end, and not with each piece: each question locks the wallet.
            self._ask_at = made + max(LEAST_OUTPUT_TOKENS, (self._covered - made) / 2)
        return None if granted is None else bool(granted)

    async def _grow(self, why: Change, wanted: Decimal, *, least: Decimal) -> Decimal | None:
        granted = await self._ask_for(why, wanted, least=least)
        self.bound += granted or ZERO
        self.held += granted or ZERO
        return granted

    async def _ask_for(
        self, why: Change, wanted: Decimal, *, least: Decimal, exposing: Decimal = ZERO
    ) -> Decimal | None:
        """What the hold grows by; None where that is not known."""
        admitted = self._admitted
        asked = Extension(admitted.generation_id, self._ask.policy, why, wanted, least, admitted.counted_on, exposing)
        try:
            granted = await self._extend(asked)
        except Refusal:
            metrics.WINDOWS.labels("unknown", why).inc()
            return None
        if not isinstance(granted, Decimal):
            metrics.WINDOWS.labels("refused", granted if isinstance(granted, TooLittle) else "cap").inc()
            self._refusal = granted
            return ZERO
        metrics.WINDOWS.labels("grown" if granted > 0 else "given back", why).inc()
        return granted
