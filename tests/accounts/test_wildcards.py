"""Models are named with wildcards, and what a pattern stands for is never wider than the one it lies within."""

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.keys.wildcards import Allowed, covers, matches, names_of

LETTERS = st.text("ab/*", max_size=7)


@given(LETTERS, st.text("ab/", max_size=8))
def test_a_star_stands_for_any_letters_and_nothing_else_has_a_meaning(pattern, name):
    told = re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), name)
    assert matches(pattern, name) is bool(told)


WORDS = ["".join(letters) for n in range(4) for letters in itertools.product("ab", repeat=n)]
SLUGS = [f"{provider}/{name}" for provider in WORDS for name in WORDS]
SLUGS += [f"{one}/{other}/{name}" for one in WORDS[1:7] for other in WORDS[1:7] for name in WORDS[1:7]]


@given(st.lists(LETTERS, min_size=1, max_size=2), LETTERS)
def test_what_is_covered_allows_no_model_that_the_cover_does_not(own, item):
    if covers(own, item):
        for slug in SLUGS:
            names = names_of(slug)
            assert not Allowed([item]).allows(names) or Allowed(own).allows(names), slug


@pytest.mark.parametrize(
    ("own", "item", "is_covered"),
    [
        (["openai/m"], "openai/m", True),
        (["m"], "openai/m", True),
        (["openai/m"], "m", False),
        (["openai/m"], "x/openai/m", True),
        (["m"], "x/openai/m", True),
        (["x/m"], "x/openai/m", False),
        (["anthropic/*"], "anthropic/claude-*", True),
        (["anthropic/*"], "*/claude", False),
        (["anthropic/*"], "*", False),
        (["*-mini"], "openai/gpt-*-mini", True),
        (["gpt-*"], "openai/gpt-4*", True),
        (["openai/gpt-*"], "gpt-4", False),
        (["*"], "*", True),
        (["claude", "*-mini"], "*-nano", False),
    ],
)
def test_examples_of_what_lies_within_what(own, item, is_covered):
    assert covers(own, item) is is_covered


def test_a_bare_name_stands_for_the_model_wherever_it_is_sold():
    """So a key that names `m` may well make one that names `openai/m`, under which `x/openai/m` is allowed as well."""
    sold = names_of("x/openai/m")
    allowed = [item for item in ("x/openai/m", "openai/m", "m", "x/m", "x") if Allowed([item]).allows(sold)]
    assert (allowed, names_of("m")) == (["x/openai/m", "openai/m", "m"], {"m"})


def test_a_pattern_that_would_keep_a_regular_expression_busy_costs_a_pass():
    began = time.perf_counter()
    assert not matches("*a" * 100 + "b", "a" * 20_000)
    assert not matches("*" * 200 + "b", "a" * 20_000)
    assert time.perf_counter() - began < 1
