"""Which of several upstreams a session goes to: always the same, so that its prompts are found in a cache there.

Upstreams of one priority are ordered by a hash of session and upstream (rendezvous hashing): every process finds the
same order without asking anybody, and an upstream that is added or switched off moves its own share of sessions alone.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from proxy.prices.catalog import Destination, Entry
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint

VALUE = re.compile(rb'\s*:\s*"((?:[^"\\]|\\.){1,1000})"')
MOST_PLACES = 8
"""At which a member is looked for: tools may have one of its name."""


def ways_of(
    endpoint: Endpoint[Any], call: Call, entry: Entry, *, customer_id: int, key_id: int
) -> Sequence[Destination]:
    """Where a request of theirs may go, first choice first."""
    found: Sequence[Destination] = endpoint.ways(entry).destinations
    if call.account:
        found = endpoint.among(found, account=call.account)
    if len(found) < 2:
        return found
    in_order = in_turn(found, call, member=endpoint.session_member, customer_id=customer_id, key_id=key_id)
    if endpoint.side is None:
        return in_order
    # Of one priority those come first that speak as the caller does.
    return sorted(in_order, key=lambda one: (one.priority, _translates(endpoint, one)))


def _translates(endpoint: Endpoint[Any], destination: Destination) -> bool:
    dialect = endpoint.dialect(destination)
    return dialect is not None and dialect.translates


def in_turn(
    destinations: Sequence[Destination], call: Call, *, member: bytes, customer_id: int, key_id: int
) -> Sequence[Destination]:
    """By priority as they come, those of one priority in their session's own order.

    A session is what the caller names, else the value of this `member` of its body, else its key.
    """
    if all(one.priority != other.priority for one, other in pairwise(destinations)):
        return destinations
    session = blake2b(b"%d\0%b\0" % (customer_id, session_name(call, member) or b"key %d" % key_id), digest_size=8)

    def turn(destination: Destination) -> tuple[int, bytes]:
        own = session.copy()
        own.update(destination.upstream.encode())
        return destination.priority, own.digest()

    return sorted(destinations, key=turn)


def session_name(call: Call, member: bytes) -> bytes:
    """What the caller names its session by, else what this `member` of its body says; b"" for neither."""
    if call.session is not None:
        return b"session " + call.session.encode()
    if not member:
        return b""
    name, at = b'"%b"' % member, -1
    for _place in range(MOST_PLACES):
        if (at := call.rest.find(name, at + 1)) < 0:
            break
        if (found := VALUE.match(call.rest, at + len(name))) is not None:
            return b"member " + found[1]
    return b""
