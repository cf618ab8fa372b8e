"""A guess is careful: by what a customer's prompts came to before, and by what of the last one is still in a cache."""

from dataclasses import replace

import pytest

from proxy.learning.guess import BY_COUNT, BY_LEARNING, Guess, Ratio, Warm, guess_of, lesson_of
from proxy.prices.bounds import Material
from proxy.prices.usage import Usage

SIZE = 400_000
PROMPT = Material(text_bytes=SIZE, wide=0)
KNOWN = Ratio(ratio=250_000, ratio_spread=0, output=500, output_spread=100, requests=1_000)
"""Four bytes a token."""
WARM = Warm(size=390_000, tokens=97_500, readable=90_000, age=30)


def guessed(material: Material = PROMPT, *, limit: int = 32_000, **known: object) -> Guess | None:
    return guess_of(material, limit=limit, **{"ratio": KNOWN, "warm": None, **known})


def test_nothing_known_is_no_guess():
    assert guessed(ratio=None) is None
    assert guessed(ratio=None, warm=WARM) is None


@pytest.mark.parametrize(
    "material",
    [replace(PROMPT, text_bytes=8_191), replace(PROMPT, images=1), replace(PROMPT, kept=5), replace(PROMPT, films=1)],
)
def test_a_small_prompt_and_one_with_more_than_text_are_not_guessed(material):
    assert guessed(material) is None


def test_the_learned_ratio_is_taken_with_a_margin():
    guess = guessed()
    assert guess is not None
    assert (guess.by, guess.cached, guess.output) == (BY_LEARNING, 0, 764)
    assert guess.input == 105_050, "a twentieth more, and a little as nobody knows for certain"


def test_few_requests_and_scattered_ones_make_it_more_careful():
    assert guessed(ratio=replace(KNOWN, requests=1)).input == 155_000
    assert guessed(ratio=replace(KNOWN, ratio_spread=50_000)).input == 160_050


def test_a_guess_is_never_beyond_a_token_a_byte():
    assert guessed(ratio=replace(KNOWN, ratio=900_000, ratio_spread=300_000)).input == SIZE


def test_what_the_session_sent_before_counts_as_its_provider_counted_it_and_mostly_from_the_cache():
    guess = guessed(warm=WARM)
    assert guess is not None
    assert guess.input == WARM.tokens + 2_627 + 656
    assert guess.cached == WARM.readable * 95 // 100


@pytest.mark.parametrize(
    "warm",
    [
        pytest.param(replace(WARM, age=241), id="forgotten after four minutes"),
        pytest.param(replace(WARM, size=420_000), id="a shorter prompt is another conversation's"),
        pytest.param(replace(WARM, size=190_000), id="so is one that is twice as long"),
    ],
)
def test_a_prompt_that_does_not_go_on_is_guessed_without_a_cache(warm):
    assert guessed(warm=warm) == guessed()


def test_a_count_goes_before_what_was_learned():
    guess = guessed(counted=80_000, warm=WARM)
    assert guess == Guess(BY_COUNT, 80_000, 80_000, 764)
    assert guessed(ratio=None, counted=80_000) == Guess(BY_COUNT, 80_000, 0, 1_024)


def test_the_callers_own_limit_is_the_most_of_an_answer():
    assert guessed(limit=300).output == 300


def lesson(usage: Usage, *, choices: int = 1, is_whole: bool = True, last: Warm | None = None):
    return lesson_of(
        PROMPT,
        usage,
        customer_id=1,
        model_id=2,
        session=3,
        last=last,
        choices=choices,
        is_whole=is_whole,
        started=0,
    )


def test_what_was_read_and_written_can_be_read_next_time():
    taught = lesson(Usage(input_tokens=100_000, output_tokens=7, cached_tokens=80_000, cache_write_tokens=5_000))
    assert taught is not None
    assert (taught.tokens, taught.readable, taught.output, taught.is_typical) == (100_000, 85_000, 7, True)


def test_where_writes_are_not_told_as_much_can_be_read_as_of_the_last_prompt():
    usage = Usage(input_tokens=100_000, cached_tokens=90_000)
    assert lesson(usage).readable == 90_000, "by the first that was read no more is known"
    assert lesson(usage, last=WARM).readable == 92_307, "of 97,500 then 90,000 were read"
    assert lesson(usage, last=replace(WARM, tokens=90_000)).readable == 100_000
    assert lesson(usage, last=replace(WARM, age=900)).readable == 90_000


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(Usage(input_tokens=SIZE + 2_000, output_tokens=1), id="more tokens than bytes"),
        pytest.param(Usage(output_tokens=1), id="no input"),
        pytest.param(Usage(input_tokens=10, cached_tokens=11), id="more cached than there is"),
    ],
)
def test_absurd_usage_teaches_nothing(usage):
    assert lesson(usage) is None


def test_an_answer_that_was_cut_and_several_at_once_tell_nothing_of_others():
    usage = Usage(input_tokens=100_000, output_tokens=7)
    assert not lesson(usage, is_whole=False).is_typical
    assert not lesson(usage, choices=2).is_typical
