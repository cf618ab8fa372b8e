"""Some hundred inputs for each target each time; `make fuzz` looks longer, and knows where to look."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.running import load, names


def near(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """A seed with parts taken out, put in or moved, a piece of another one among them."""
    place = st.integers(0, 2**16)
    piece = st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda seed, at, size: seed[at % (len(seed) + 1) :][:size],
            st.sampled_from(seeds),
            place,
            st.integers(0, 200),
        ),
    )
    edit = st.tuples(place, st.integers(0, 30), piece, st.integers(1, 3))

    def edited(seed: bytes, edits: list[tuple[int, int, bytes, int]]) -> bytes:
        for at, taken, put, times in edits:
            at %= len(seed) + 1
            seed = seed[:at] + put * times + seed[at + taken :]
        return seed

    return st.builds(edited, st.sampled_from(seeds), st.lists(edit, max_size=6))


@pytest.mark.parametrize("name", names())
def test_what_a_target_says_holds_for_any_bytes(name):
    target = load(name)

    @settings(max_examples=getattr(target, "EXAMPLES", 300), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=2000), near(list(target.SEEDS))))
    def holds(data: bytes) -> None:
        target.check(data)

    for seed in target.SEEDS:
        target.check(seed)
    holds()
