"""Which customer may name what at which account: one narrow row an id, for as long as upstreams keep things.

Rows are written by METER with the usage of the answer that they are about, and looked up before ADMIT by requests that
name an id, and by no others. Another customer's id is as unknown as one that nobody has. docs/gateway.md, "What an
upstream keeps".
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from django.db import connection, transaction

from core.arrays import array, columns
from core.records import value
from proxy.errors import Refusal
from proxy.models import Generation

KEPT_FOR = "30 days"
MOST_IDS = 500
"""Of one answer; a longer one names its first."""
MOST_TOKENS = 10**12
MOST_AT_ONCE = 5_000


@value
class Keeping:
    """What an upstream keeps of an answer: the answer's own id, then those of the parts that it wrote."""

    account: str
    ids: tuple[str, ...]


@value
class Found:
    """What a request names: where it lies, and the tokens of input that it brings, at most."""

    account: str
    tokens: int
    generation_ids: tuple[str, ...]


WRITE = (
    "INSERT INTO proxy_kept (customer_id, digest, account, generation_id, tokens, expires_at)"
    " SELECT DISTINCT ON (g.customer_id, k.digest) g.customer_id, decode(k.digest, 'hex'), k.account, g.id, k.tokens,"
    f" clock_timestamp() + interval '{KEPT_FOR}'"
    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS k(generation_id, digest, account, tokens)"
    " JOIN proxy_generation g ON g.id = k.generation_id AND g.state <> 'released'"
    " ORDER BY g.customer_id, k.digest, k.tokens DESC"
    " ON CONFLICT (customer_id, digest) DO UPDATE SET account = excluded.account,"
    " generation_id = excluded.generation_id, tokens = excluded.tokens, expires_at = excluded.expires_at"
)
"""Behind the UPDATE of METER and in its transaction: nothing is kept of what was released before."""
FIND = (
    "SELECT account, generation_id, max(tokens), count(*) FROM proxy_kept"
    " WHERE customer_id = %s AND digest = ANY(SELECT decode(d, 'hex') FROM unnest(%s::text[]) d)"
    " AND expires_at > clock_timestamp() GROUP BY account, generation_id"
)
FORGET = (
    "DELETE FROM proxy_kept k USING proxy_kept named WHERE named.customer_id = %s AND named.digest = decode(%s, 'hex')"
    " AND k.customer_id = named.customer_id AND k.digest = named.digest"
)
TIDY = (
    "DELETE FROM proxy_kept WHERE (customer_id, digest) IN"
    " (SELECT customer_id, digest FROM proxy_kept WHERE expires_at <= clock_timestamp() LIMIT %s)"
)


def digest(name: str) -> str:
    """In hexadecimal."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def rows_of(generation_id: str, keeping: Keeping, *, whole: int, written: int) -> list[list[Any]]:
    """What `WRITE` takes, by row. An answer brings all of its tokens (`whole`), a part at most what was `written`."""
    whole, written = min(whole, MOST_TOKENS), min(written, MOST_TOKENS)
    return [
        [generation_id, digest(name), keeping.account, written if at else whole]
        for at, name in enumerate(keeping.ids[:MOST_IDS])
    ]


def write(rows: Sequence[Sequence[Any]]) -> None:
    """As METER does, for what it does not write."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(WRITE, columns(rows))


def find(*, customer_id: int, names: Iterable[str]) -> Found:
    """Where what these ids name lies, by PostgreSQL's clock. Raises `Refusal`: 404 for one that is not this customer's,
    400 for ids of several accounts.
    """
    wanted = {digest(name): name for name in names}
    with connection.cursor() as cursor:
        cursor.execute(FIND, [customer_id, array(wanted)])
        rows = cursor.fetchall()
    if sum(count for *_, count in rows) != len(wanted):
        raise unknown(*wanted.values())
    accounts = {account for account, *_ in rows}
    if len(accounts) > 1:
        words = "What this request names is kept in several places: it cannot be brought together."
        raise Refusal(400, "validation_error", words)
    # Parts of one answer are within its tokens.
    return Found(accounts.pop(), sum(tokens for _, _, tokens, _ in rows), tuple(name for _, name, _, _ in rows))


def model_of(generation_id: str) -> str:
    """What the model is called here that answered; "" where the request is not known any more."""
    return Generation.objects.filter(pk=generation_id).values_list("model__slug", flat=True).first() or ""


def unknown(*names: str) -> Refusal:
    """The same, whether another customer has it or nobody."""
    if len(names) == 1:
        return Refusal(404, "not_found", f"There is no {names[0][:100]!r} here.")
    return Refusal(404, "not_found", "One of the ids that this request names is not here.")


def forget(*, customer_id: int, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [customer_id, digest(name)])


def tidy() -> int:
    """Forget what upstreams do not keep any more; return how many."""
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TIDY, [MOST_AT_ONCE])
            deleted: int = cursor.rowcount
        total += deleted
        if deleted < MOST_AT_ONCE:
            return total
