"""Some hundred inputs for each target each time; `make fuzz` looks longer, and knows where to look."""

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.running import load, names


def near(seeds: list[bytes], words: list[bytes]) -> st.SearchStrategy[bytes]:
    """A seed with parts taken out, put in or repeated: bytes, a piece of another one, or one of the words at a line."""
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
    edits = [st.tuples(place, st.just(False), st.integers(0, 30), piece, st.integers(1, 3))]
    if words:
        word = st.sampled_from(words)
        edits += [st.tuples(place, st.just(True), st.sampled_from([0, 0, 0, 10, 20]), word, st.integers(1, 2))] * 3
    return st.builds(edited, st.sampled_from(seeds), st.lists(st.one_of(edits), max_size=5))


def edited(seed: bytes, edits: list[tuple[int, bool, int, bytes, int]]) -> bytes:
    for at, is_at_line, taken, put, times in edits:
        places = [place + 1 for place, byte in enumerate(seed) if byte == 10] if is_at_line else range(len(seed) + 1)
        start = places[at % len(places)] if places else 0
        seed = seed[:start] + put * times + seed[start + taken :]
    return seed


@pytest.mark.parametrize("name", names())
def test_what_a_target_says_holds_for_any_bytes(name):
    target = load(name)

    @settings(max_examples=getattr(target, "EXAMPLES", 300), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=2000), near(list(target.SEEDS), getattr(target, "WORDS", []))))
    def holds(data: bytes) -> None:
        target.check(data)

    for seed in target.SEEDS:
        target.check(seed)
    holds()


@pytest.mark.parametrize("name", ["sse", "http"])
def test_make_fuzz_starts_with_words_and_without(name, tmp_path, monkeypatch):
    pytest.importorskip("atheris")
    monkeypatch.setenv("CHUIZI_STATE_DIR", str(tmp_path))
    assert (len(getattr(load(name), "WORDS", ())) > 0) == (name == "http")
    done = subprocess.run([sys.executable, "-m", "fuzz", name, "--seconds", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "stat::number_of_executed_units" in done.stderr
