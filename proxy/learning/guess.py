"""How much a large prompt likely uses: counted, or by what its customer's prompts came to before. Pure.

A guess is careful, and yet no bound: what a request can cost stays what it was, and only a customer's allowance lets a
hold be less. Ratios are whole tokens a million bytes. docs/ledger.md, "Wallets and holds".
"""

from core.records import value
from proxy.prices.bounds import (
    FRAME_TOKENS,
    LIKELY_OUTPUT_TOKENS,
    TOOL_FRAME_TOKENS,
    Material,
    likely_output,
    likely_tokens,
)
from proxy.prices.usage import Usage

LARGE_BYTES = 8_192
"""A smaller prompt costs too little for a closer look."""
MILLION = 1_000_000
SPREADS = 3
"""So many mean distances above the mean is a careful guess of a ratio: of a normal distribution 0.8 % are beyond."""
OUTPUT_SPREADS = 13, 5
"""The same for the length of answers, 2.6: it is one of two things that would have to be short at once."""
LEAST_MARGIN = 20
"""A twentieth is added at least."""
ADDED_MARGIN = 4
"""What a turn adds is of one kind, and may be denser than the whole: a quarter more of it."""
WARM_SECONDS = 240.0
"""Providers keep a prompt for 5 minutes, from when it was last read."""
NOT_READ = 20
"""A twentieth of what was in the cache is taken to be read no more: the end of the last prompt is written anew."""
SHRINKS = 50
"""A prompt that is shorter than the last one of its session by more than a fiftieth is another conversation's."""
GROWS = 2
"""And one that is more than so many times as long."""
BY_COUNT, BY_LEARNING, BY_VOCABULARY = "counted", "learned", "vocabulary"
KNOWN_AFTER = 5
"""So many requests tell what a customer's prompts come to."""


@value
class Lesson:
    """What one answer taught. `size` in bytes, `started` by the monotonic clock; from then on `readable` tokens are in
    the provider's cache. `is_typical`: its counts tell something of other requests.
    """

    customer_id: int
    model_id: int
    session: int
    size: int
    tokens: int
    readable: int
    output: int
    is_typical: bool
    started: float


@value
class Ratio:
    """What a customer's prompts to a model came to; means and mean distances. `requests` that taught it."""

    ratio: int
    ratio_spread: int
    output: int
    output_spread: int
    requests: int
    is_general: bool = False
    """Of most customers, not of this one."""

    @property
    def careful(self) -> int:
        """Tokens a million bytes, at most a token a byte; of few requests more is added."""
        margin = max(SPREADS * self.ratio_spread, self.ratio // LEAST_MARGIN) + self.ratio // (2 * self.requests)
        return min(self.ratio + margin, MILLION)

    @property
    def least(self) -> int:
        """Tokens a million bytes; what is counted to have fewer was not counted as its provider counts."""
        if self.is_general or self.requests < KNOWN_AFTER:
            return 0
        return self.ratio - max(SPREADS * self.ratio_spread, self.ratio // LEAST_MARGIN)

    @property
    def careful_output(self) -> int:
        spreads, of = OUTPUT_SPREADS
        return self.output + spreads * self.output_spread // of + 4 * LIKELY_OUTPUT_TOKENS // self.requests


@value
class Warm:
    """A session's last prompt, `age` seconds ago."""

    size: int
    tokens: int
    readable: int
    age: float

    def goes_on_in(self, size: int) -> bool:
        """Whether a prompt of that many bytes is likely the same conversation, and still in the cache."""
        return self.age < WARM_SECONDS and self.size - self.size // SHRINKS <= size <= GROWS * self.size


@value
class Guess:
    """Tokens of input, of which `cached`, and of output, that a request likely uses at most; and by what that is so."""

    by: str
    input: int
    cached: int
    output: int


def guess_of(
    material: Material,
    *,
    limit: int,
    ratio: Ratio | None,
    warm: Warm | None,
    counted: int | None = None,
    tokenized: int | None = None,
) -> Guess | None:
    """None for what is not guessed: a small prompt, one with pictures or sound, one of which nothing is known.

    `counted` tokens of input by the model's own provider, `tokenized` by its vocabulary here; each careful.
    """
    if not is_learned_from(material) or (ratio is None and counted is None and tokenized is None):
        return None
    size = material.text_bytes
    goes_on = warm is not None and warm.goes_on_in(size)
    by, tokens, cached = BY_LEARNING, 0, 0
    if counted is not None:
        by, tokens = BY_COUNT, counted
    elif tokenized is not None and (ratio is None or tokenized * MILLION >= ratio.least * size):
        by, tokens = BY_VOCABULARY, tokenized
    elif ratio is not None:
        tokens = -(-size * ratio.careful // MILLION)
        if goes_on and warm is not None:
            # The part that is known was counted by the provider itself.
            added = -(-max(0, size - warm.size) * ratio.careful // MILLION)
            tokens = min(tokens, warm.tokens + added + added // ADDED_MARGIN)
    if goes_on and warm is not None:
        cached = min(warm.readable - warm.readable // NOT_READ, tokens)
    output = likely_output(limit) if ratio is None else min(limit, ratio.careful_output)
    return Guess(by, tokens, cached, output)


def is_learned_from(material: Material) -> bool:
    return material.text_bytes >= LARGE_BYTES and material.is_plain and not (material.kept or material.predicted)


def lesson_of(
    material: Material,
    usage: Usage,
    *,
    customer_id: int,
    model_id: int,
    session: int,
    last: Warm | None,
    choices: int,
    is_whole: bool,
    started: float,
) -> Lesson | None:
    """What an answer teaches whose upstream told that usage; None where it cannot be believed.

    `last` is the session's last prompt, as it was when this one was guessed. `is_whole`: it ended by itself, so that
    its length tells of others.
    """
    most = material.text_bytes + FRAME_TOKENS + TOOL_FRAME_TOKENS
    told = usage.input_tokens
    if not 0 < told <= most or usage.more is not None or usage.cached_tokens + usage.cache_write_tokens > told:
        return None
    readable = usage.cached_tokens + usage.cache_write_tokens
    if not usage.cache_write_tokens and last is not None and last.goes_on_in(material.text_bytes):
        # Where writes are not told: as large a part of this prompt as was read of the last one.
        readable = max(readable, min(told * usage.cached_tokens // last.tokens, told))
    output, is_typical = usage.output_tokens, is_whole and choices == 1
    return Lesson(customer_id, model_id, session, material.text_bytes, told, readable, output, is_typical, started)


def fair_ratio(material: Material) -> int:
    """Tokens a million bytes, by the count without a tokenizer."""
    return likely_tokens(material.text_bytes, wide=material.wide) * MILLION // max(1, material.text_bytes)
