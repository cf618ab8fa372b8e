"""Upstreams of one priority share sessions: each stays where it is, whichever process has it and whatever is added."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from proxy.prices.catalog import Destination
from proxy.prices.loading import load_catalog
from proxy.protocols.base import Call
from proxy.relay.choosing.affinity import in_turn
from tests.proxy.conftest import catalog
from tests.proxy.relay.choosing.test_cooldown import destination
from tests.spoken import CHAT, COMPLETIONS, GENERATE, MESSAGES, RESPONSES, Spoken

FOUR = [destination(name) for name in ("a", "b", "c", "d")]
BEHIND = b'"tools":[{"cache_key":{}}],'
INSIDE = b'"messages":[{"content":"\\"cache_key\\":\\"a\\""}]'
SESSIONS = [f"session-{number}" for number in range(1000)]


def turn(places: Sequence[Destination] = FOUR, session: str | None = None, *, rest: bytes = b"", **who: int) -> str:
    """The names of the upstreams in their order."""
    who = {"customer_id": 1, "key_id": 1, **who}
    found = in_turn(places, Call(model="m", session=session, rest=rest), member=b"cache_key", **who)
    return "".join(one.upstream for one in found)


def test_each_has_its_share_of_sessions():
    shares = Counter(turn(session=session)[0] for session in SESSIONS)
    assert set(shares) == set("abcd")
    assert min(shares.values()) > 200


def test_one_that_is_added_takes_its_share_and_moves_no_other_session():
    before = {session: turn(session=session) for session in SESSIONS}
    after = {session: turn([*FOUR, destination("e")], session) for session in SESSIONS}
    assert all(after[session].replace("e", "") == before[session] for session in SESSIONS)
    assert 150 < sum(order[0] == "e" for order in after.values()) < 250


def test_priority_goes_before_a_session():
    cheap, dear = [replace(one, priority=1) for one in FOUR[:2]], [replace(one, priority=2) for one in FOUR[2:]]
    orders = {turn([*cheap, *dear], session) for session in SESSIONS[:50]}
    assert orders == {"abcd", "abdc", "bacd", "badc"}


def test_where_no_two_have_one_priority_nothing_is_computed():
    places = [replace(one, priority=number) for number, one in enumerate(FOUR)]
    assert in_turn(places, Call(), member=b"", customer_id=1, key_id=1) is places


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"session": "a"}, {"session": "b"}),
        ({"session": "a"}, {"session": "a", "customer_id": 2}),
        ({"rest": b'"cache_key": "a"'}, {"rest": b'"cache_key":"b"'}),
        ({"rest": BEHIND + b'"cache_key":"a"'}, {"rest": BEHIND + b'"cache_key":"b"'}),
        ({"key_id": 1}, {"key_id": 2}),
        ({"session": "1"}, {"key_id": 1}),
    ],
    ids=["session", "customer", "member", "member behind another", "key", "kind"],
)
def test_what_goes_together_is_told_by_session_else_by_a_member_else_by_the_key(one, other):
    eight = [destination(name) for name in "abcdefgh"]  # 40,320 orders
    assert turn(eight, **one) == turn(eight, **one) != turn(eight, **other)


@pytest.mark.parametrize(
    "rest",
    [b"", INSIDE, b'"cache_key":7', b'"cache_key":"' + b"x" * 2000, b'"cache_key"'],
)
def test_what_is_no_such_member_counts_for_none(rest):
    assert turn(rest=rest) == turn()


ORDERS = """
import django
django.setup()
from tests.proxy.relay.choosing.test_affinity import SESSIONS, turn
print(",".join(turn(session=session) for session in SESSIONS[:100]))
"""


def test_another_process_has_the_same_order():
    done = subprocess.run([sys.executable, "-c", ORDERS], capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.strip().split(",") == [turn(session=session) for session in SESSIONS[:100]]


@pytest.mark.parametrize(
    ("spoken", "more"),
    [
        (CHAT, lambda name: {"prompt_cache_key": name}),
        (COMPLETIONS, None),
        (RESPONSES, lambda name: {"prompt_cache_key": name}),
        (MESSAGES, lambda name: {"metadata": {"user_id": f'{{"device":"{name}"}}'}}),
        (GENERATE, None),
    ],
    ids=lambda given: str(given) if isinstance(given, Spoken) else None,
)
def test_a_session_stays_with_its_upstream_and_sessions_are_spread(
    gateway, upstream, second_upstream, spoken: Spoken, more
):
    data = catalog(upstream, second=second_upstream)
    data["upstreams"][1]["priority"] = 1
    load_catalog(data)
    gateway.look_at_catalog()
    at_first = {}
    for name in "abcdefgh":
        before = len(upstream.calls)
        for _ in range(2):
            named = {"headers": {"X-Session-Id": name}} if more is None else more(name)
            assert gateway.chat(**named).status_code == 200
        at_first[name] = len(upstream.calls) - before
    assert set(at_first.values()) == {0, 2}
