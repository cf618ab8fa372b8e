"""Sessions of coding agents as they are seen, replayed by the rules alone: what is estimated, and what is used.

A session has 30 turns and grows from 20,000 to 180,000 tokens, of which 95 % come from the provider's cache but at its
start and after a pause; answers have 200 to 4,000 tokens. How many bytes a token has goes by what is added: code,
prose, JSON or Chinese. `ARGS="tests/proxy/learning/test_replay.py -s"` prints the table.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from proxy.admission.ask import ask_of
from proxy.admission.rule import Ask, Decision
from proxy.learning.counter import MARGIN
from proxy.learning.guess import Lesson, Ratio, Warm, guess_of, lesson_of
from proxy.prices.bounds import LIKELY_TOOL_FRAME_TOKENS, Material
from proxy.prices.catalog import Destination, Entry
from proxy.prices.sums import cost_of
from proxy.prices.units import LONG_WRITES
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.endpoint import Messages
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint
from proxy.protocols.openai.chat.endpoint import ChatCompletions
from tests.proxy.admission.test_rule import POLICY, decided, wallet

TURNS, SMALLEST, LARGEST = 30, 20_000, 180_000
SHORTEST_ANSWER, LONGEST_ANSWER = 200, 4_000
SHOWN_BYTES = {"code": 3.4, "prose": 4.4, "json": 2.9, "chinese": 3.1}
"""Bytes a token of what agents read, by its kind; JSON's escapes and frames are in it."""
LONG_PAUSES = 0.03
LIMIT = 32_000
BALANCE, ALLOWANCE = "6", "0.3"
"""What a request finds that is alone: of this balance all was paid in, so that a twentieth may be exposed."""


@dataclass(frozen=True)
class Turn:
    """One request of a session: bytes of its body, seconds since the one before, and what its provider counts."""

    size: int
    pause: float
    usage: Usage


@dataclass(frozen=True)
class Place:
    """A model at a price, and how its callers speak."""

    name: str
    entry: Entry
    endpoint: Endpoint
    writes: bool
    counts: bool = False
    """Whether its vocabulary is here."""

    def call(self, turn: Turn) -> Call:
        material = Material(text_bytes=turn.size, wide=0, tools=True)
        if self.writes:
            return MessagesCall(material=material, stream=True, output_limit=LIMIT, unwritten=LONG_WRITES)
        return Call(material=material, stream=True, output_limit=LIMIT)

    def ask(self, turn: Turn, *, ratio: Ratio | None, warm: Warm | None, is_counted: bool = False) -> Ask:
        call, tokenized = self.call(turn), None
        is_known = ratio is not None and warm is not None and warm.goes_on_in(turn.size)
        if is_counted and self.counts and not is_known:
            told = turn.usage.input_tokens
            tokenized = told + told // MARGIN + LIKELY_TOOL_FRAME_TOKENS
        guess = guess_of(call.material, limit=LIMIT, ratio=ratio, warm=warm, tokenized=tokenized)
        return ask_of(self.endpoint, call, self.entry, policy=POLICY, model_rpm=0, guess=guess)

    def cost(self, turn: Turn) -> Decimal:
        return cost_of(self.entry.price, turn.usage).charged


def place(name: str, *, context: int, writes: bool, counts: bool = False, **rates: str) -> Place:
    price = PriceVersion(
        id=1, billing="per_token", rates={unit: Decimal(rate) for unit, rate in rates.items()}, margin=Decimal(1)
    )
    protocol = "anthropic" if writes else "openai"
    at = Destination(name, 1, "u", protocol, "https://x", "k", name, 60, 600, kind=protocol)
    entry = Entry(1, name, price, (at,), 64_000, context)
    return Place(name, entry, Messages() if writes else ChatCompletions(), writes, counts)


PLACES = (
    place(
        "anthropic/sonnet", context=200_000, writes=True,
        input="3", output="15", cache_read="0.3", cache_write="3.75", cache_write_1h="6",
    ),
    place("openai/gpt", context=400_000, writes=False, input="1.25", output="10", cache_read="0.125"),
    place("gpt, counted", context=400_000, writes=False, counts=True, input="1.25", output="10", cache_read="0.125"),
)  # fmt: skip


def session(*, seed: int, writes: bool) -> Iterator[Turn]:
    chance = random.Random(seed)
    # Programs, most of all: an agent's prompt is of several kinds, whatever it works on.
    kinds = [chance.choice(list(SHOWN_BYTES)) for _ in range(2)] + ["code"]
    tokens, size, known = 0, 0, 0
    for number in range(TURNS):
        goal = SMALLEST + (LARGEST - SMALLEST) * number // (TURNS - 1)
        more = goal - tokens if not tokens else round((goal - tokens) * chance.uniform(0.4, 1.6))
        tokens += more
        size += round(more * SHOWN_BYTES[chance.choice(kinds)] * chance.uniform(0.9, 1.1))
        is_long = chance.random() < LONG_PAUSES
        pause = chance.uniform(300, 3_000) if is_long else chance.uniform(2, 120)
        cached = 0 if is_long or not known else min(known, round(tokens * chance.uniform(0.93, 0.97)))
        answer = round(SHORTEST_ANSWER * (LONGEST_ANSWER / SHORTEST_ANSWER) ** chance.random())
        written = tokens - cached - 50 if writes else 0
        yield Turn(size, pause, Usage(tokens, answer, cached, written))
        known = tokens


@dataclass
class Row:
    """Sums over requests, in USD."""

    name: str
    requests: int = 0
    bound: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    refused: int = 0
    estimated: Decimal = Decimal(0)
    used: Decimal = Decimal(0)
    below: int = 0

    def add(self, ask: Ask, cost: Decimal) -> None:
        self.requests += 1
        self.bound += ask.bound_at(ask.first_limit)
        self.estimated += ask.estimate
        self.used += cost
        self.below += ask.estimate < cost
        decision = decided(ask, wallet(BALANCE, allowance=ALLOWANCE))
        if isinstance(decision, Decision):
            self.held += decision.hold
        else:
            self.refused += 1

    @property
    def ratio(self) -> Decimal:
        """How often what was used is in what was estimated."""
        return self.estimated / self.used

    def __str__(self) -> str:
        return (
            f"{self.name:34} {self.requests:6} {self.refused:8} {self.bound:9.2f} {self.held:9.2f}"
            f" {self.estimated:9.2f} {self.used:9.2f} {self.ratio:7.2f} {100 * self.below / self.requests:7.2f}"
        )


HEAD = (
    f"{'':34} {'asked':>6} {'refused':>8} {'bounds':>9} {'held':>9} {'estimated':>9} {'used':>9} {'ratio':>7}"
    f" {'below %':>7}"
)


class Replay:
    """Customers whose sessions follow each other. `learn` takes a lesson, `known` tells what there is of a customer."""

    def __init__(self, where: Place, *, customers: int, sessions: int) -> None:
        self.where = where
        self.customers = customers
        self.sessions = sessions

    def run(self, learn, known) -> Sequence[Row]:
        before, during, after = (Row(f"{self.where.name}, {how}") for how in ("before", "as it learns", "learned"))
        for customer in range(1, self.customers + 1):
            for number in range(self.sessions):
                warm: Warm | None = None
                for turn in session(seed=customer * 1_000 + number, writes=self.where.writes):
                    ratio: Ratio | None = known(customer)
                    if warm is not None:
                        warm = Warm(warm.size, warm.tokens, warm.readable, turn.pause)
                    cost = self.where.cost(turn)
                    before.add(self.where.ask(turn, ratio=None, warm=None), cost)
                    asked = self.where.ask(turn, ratio=ratio, warm=warm, is_counted=True)
                    (after if number else during).add(asked, cost)
                    lesson = self._lesson(turn, customer, warm)
                    learn(lesson)
                    warm = Warm(lesson.size, lesson.tokens, lesson.readable, 0)
        return before, during, after

    def _lesson(self, turn: Turn, customer: int, last: Warm | None) -> Lesson:
        material = self.where.call(turn).material
        found = lesson_of(
            material,
            turn.usage,
            customer_id=customer,
            model_id=1,
            session=1,
            last=last,
            choices=1,
            is_whole=True,
            started=0,
        )
        assert found is not None
        return found
