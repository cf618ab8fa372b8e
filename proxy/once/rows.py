"""What is known of requests that are to be done once, in PostgreSQL: by every gateway, and after any death.

A row with a key is written with its hold, and looked for under the wallet's lock before: of two that come to two
processes at once one holds. Others are written a moment later, and looked for by who says that it tries again.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from django.db import connection, transaction

from core.arrays import array, columns
from core.crypto import seal, unseal
from core.records import value
from proxy.batches.pipeline import Query
from proxy.models import Generation
from proxy.once.claims import Claim
from proxy.settlement.lease import SWEPT_AFTER

KEPT, LOST = 200, 0
OLD_SECONDS = 10
"""An answer whose usage has been known for so long is here, or never will be."""
MOST_AT_ONCE = 5_000
Place = tuple[int, str]
"""A customer and a digest."""
Begun = Mapping[Place, str]
"""The generations of first requests."""

NAMED = "(o.customer_id, o.digest) IN (SELECT c, decode(d, 'hex') FROM unnest(%s::bigint[], %s::text[]) AS w(c, d))"
IS_OLD = f"coalesce(g.metered_at < clock_timestamp() - interval '{OLD_SECONDS} seconds', false)"
UNCHARGED = f"(g.state = 'released' OR (coalesce(g.cost, 1) = 0 AND (g.usage_source = 'none' OR {IS_OLD})))"
VOID = f"({UNCHARGED} AND coalesce(o.status, {LOST}) = {LOST})"
"""It came to nothing that anybody paid for: its repeat is the first."""
TAKEN = (
    "SELECT o.customer_id, encode(o.digest, 'hex'), o.generation_id FROM proxy_once o"
    f" JOIN proxy_generation g ON g.id = o.generation_id WHERE {NAMED} AND o.expires_at > clock_timestamp()"
    f" AND NOT {VOID}"
)
"""Which of these were begun, and not for nothing."""
_INSERT = (
    "INSERT INTO proxy_once (customer_id, digest, asked, generation_id, expires_at)"
    " SELECT w.customer_id, decode(w.digest, 'hex'), decode(w.asked, 'hex'), w.id,"
    " clock_timestamp() + w.seconds * interval '1 second'"
    " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[])"
    " AS w(customer_id, digest, asked, id, seconds){}"
    " ON CONFLICT (customer_id, digest) DO UPDATE SET asked = excluded.asked, generation_id = excluded.generation_id,"
    " expires_at = excluded.expires_at, wanted_at = NULL, status = NULL, answer = NULL"
)
WRITE = _INSERT.format("")
NOTE = _INSERT.format(" WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'")
"""Not waiting for the disk, in one statement: a transaction around it would cost three more round trips."""
FIND = (
    "SELECT o.customer_id, encode(o.digest, 'hex'), encode(o.asked, 'hex'), o.generation_id, o.status, o.answer,"
    f" {VOID}, coalesce(g.state, '') IN ('metered', 'settled', 'quarantined'), coalesce(g.settlement_reason, ''),"
    f" {IS_OLD},"
    f" coalesce(l.renewed_at > clock_timestamp() - interval '{SWEPT_AFTER.seconds} seconds', false)"
    " FROM proxy_once o JOIN proxy_generation g ON g.id = o.generation_id LEFT JOIN proxy_lease l ON l.id = g.lease_id"
    f" WHERE {NAMED} AND o.expires_at > clock_timestamp()"
)
KEEP = (
    "UPDATE proxy_once o SET status = w.status, answer = w.answer"
    " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[], %s::bytea[])"
    " AS w(customer_id, digest, id, status, answer)"
    " WHERE o.customer_id = w.customer_id AND o.digest = decode(w.digest, 'hex') AND o.generation_id = w.id"
    " AND o.answer IS NULL"
)
WANT = (
    "UPDATE proxy_once SET wanted_at = clock_timestamp()"
    " WHERE customer_id = %s AND digest = decode(%s, 'hex') AND status IS NULL"
)
WANTED = (
    "SELECT encode(o.digest, 'hex'), o.customer_id, o.generation_id FROM proxy_once o"
    " JOIN proxy_generation g ON g.id = o.generation_id AND g.lease_id = %s"
    " WHERE o.wanted_at IS NOT NULL AND o.status IS NULL"
)
HAS_ANY = "SELECT EXISTS (SELECT 1 FROM proxy_once WHERE customer_id = %s AND expires_at > clock_timestamp())"
TIDY = (
    "DELETE FROM proxy_once WHERE (customer_id, digest) IN"
    " (SELECT customer_id, digest FROM proxy_once WHERE expires_at <= clock_timestamp() LIMIT %s)"
)


class Twin(Exception):
    """A request was begun before, by this process or another."""


@value
class Answer:
    """What was sent: a head and a body."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def packed(self) -> bytes:
        head = [self.status, [[name.decode("latin-1"), text.decode("latin-1")] for name, text in self.headers]]
        return seal(zlib.compress(orjson.dumps(head) + b"\n" + self.body, 1))


def unpacked(sealed: bytes) -> Answer | None:
    """None where it was sealed with another key than ours is now."""
    try:
        head, _, body = zlib.decompress(unseal(sealed)).partition(b"\n")
    except InvalidToken:
        return None
    status, headers = orjson.loads(head)
    return Answer(status, [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers], body)


@value
class Found:
    """A request that was begun. `is_void`: it came to nothing; `is_charged`, `reason`: how it ended, if it has;
    `is_old`: a while ago. `is_alive`: the process that took it is.
    """

    asked: str
    generation_id: str
    status: int | None
    answer: bytes | None
    is_void: bool
    is_charged: bool
    reason: str
    is_old: bool
    is_alive: bool

    @property
    def was_delivered(self) -> bool:
        """Its caller was there until its end."""
        return self.reason == Generation.Reason.COMPLETED


@value
class Keeping:
    """An answer for its row; None where it will never be there."""

    claim: Claim
    generation_id: str
    answer: Answer | None


def read_of(claims: Iterable[Claim]) -> Query:
    """For admission, behind the locks."""
    return TAKEN, columns([(claim.customer_id, claim.digest) for claim in claims])


def begun(rows: Iterable[Sequence[Any]]) -> Begun:
    """What `read_of` finds."""
    return {(customer_id, digest): generation_id for customer_id, digest, generation_id in rows}


def is_begun(claim: Claim, begun: Begun) -> bool:
    return begun.get((claim.customer_id, claim.digest), claim.unless) != claim.unless


def write_of(claims: Iterable[tuple[Claim | None, str]]) -> list[Query]:
    """The rows of these claims and the ids of their generations; the last of several with one digest stays."""
    rows = {
        (claim.customer_id, claim.digest): (claim.customer_id, claim.digest, claim.asked, generation_id, claim.seconds)
        for claim, generation_id in claims
        if claim is not None
    }
    return [(WRITE, columns(list(rows.values())))] if rows else []


def note(claims: Sequence[tuple[Claim, str]]) -> None:
    """Write them without waiting for the disk: if PostgreSQL falls, their requests are known as little as they were."""
    with connection.cursor() as cursor:
        for _, parameters in write_of(claims):
            cursor.execute(NOTE, parameters)


def find(places: Sequence[Place]) -> list[Found | None]:
    """Of each, what was begun there, by PostgreSQL's clock."""
    with connection.cursor() as cursor:
        cursor.execute(FIND, columns(list(dict.fromkeys(places))))
        found = {(row[0], row[1]): Found(*row[2:]) for row in cursor.fetchall()}
    return [found.get(place) for place in places]


def keep(answers: Sequence[Keeping]) -> list[None]:
    rows = [
        (
            one.claim.customer_id,
            one.claim.digest,
            one.generation_id,
            LOST if one.answer is None else KEPT,
            None if one.answer is None else one.answer.packed(),
        )
        for one in answers
    ]
    *plain, sealed = zip(*rows, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [*(array(column) for column in plain), list(sealed)])
    return [None] * len(answers)


def want(claim: Claim) -> None:
    """Ask the process that took it for its answer."""
    with connection.cursor() as cursor:
        cursor.execute(WANT, [claim.customer_id, claim.digest])


def wanted(lease_id: int) -> list[tuple[str, int, str]]:
    """What others want of that process: digest, customer, generation."""
    with connection.cursor() as cursor:
        cursor.execute(WANTED, [lease_id])
        return [(digest, customer_id, generation_id) for digest, customer_id, generation_id in cursor.fetchall()]


def has_any(customer_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(HAS_ANY, [customer_id])
        [found] = cursor.fetchone()
    return bool(found)


def tidy() -> int:
    """Forget what has expired, answers and all; return how many."""
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TIDY, [MOST_AT_ONCE])
            deleted: int = cursor.rowcount
        total += deleted
        if deleted < MOST_AT_ONCE:
            return total
