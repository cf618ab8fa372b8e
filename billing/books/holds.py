"""The only writer of holds, and of the wallets' `held` and `exposure` that follow from them.

A hold is placed once and resolved once: `open -> captured | released`, by compare-and-set under the wallet's lock.
One inside a budget is taken out of the budget's hold, and its rest goes back there: the wallet's `held` stays.
The SQL of admission stands here too; `proxy/admission/queue.py` sends it over its own connection.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from accounts.limits.correcting import MeterChange, correct
from billing.books.ledger import lock_wallets
from billing.books.money import ZERO, InvalidAmount, usd
from billing.models import Budget, Hold
from billing.warnings import spending
from core import states
from core.arrays import array, columns


class HoldError(Exception):
    """A hold that cannot be placed or resolved as asked."""


class InsufficientBalance(HoldError):
    """The wallet has less available than the hold needs; both in USD."""

    def __init__(self, *, available: Decimal, needed: Decimal) -> None:
        super().__init__(f"available {available}, needed {needed}")
        self.available = available
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a hold: `captured` USD are taken (None: nothing, it is released), and why."""

    key: str
    captured: Decimal | None
    reason: str


# Admission's statements. Wallets that another transaction has locked are skipped here and taken one by one elsewhere.
_WALLETS = (
    "SELECT customer_id, paid + bonus - held, held, exposure, bonus,"
    " paid_in, first_paid_at, paid_again, disputed, written_off FROM billing_wallet"
)
LOCK_FREE_WALLET = f"{_WALLETS} WHERE customer_id = %s FOR NO KEY UPDATE SKIP LOCKED"
LOCK_WALLETS = f"{_WALLETS} WHERE customer_id = ANY(%s) ORDER BY customer_id FOR NO KEY UPDATE"
LOCK_FREE_WALLETS = f"{LOCK_WALLETS} SKIP LOCKED"
LOCK_WALLETS_OF = (
    "SELECT FROM billing_wallet WHERE customer_id IN (SELECT customer_id FROM billing_hold WHERE key = ANY(%s::text[]))"
    " ORDER BY customer_id FOR NO KEY UPDATE"
)
PLACE_HOLDS = (
    "INSERT INTO billing_hold (key, customer_id, kind, state, amount, bound, captured, reason, created_at)"
    " SELECT k, c, 'request', 'open', a, b, 0, '', t FROM"
    " unnest(%s::text[], %s::bigint[], %s::numeric[], %s::numeric[], %s::timestamptz[]) AS h(k, c, a, b, t)"
)
PLACE_ONE_HOLD = (
    "INSERT INTO billing_hold (key, customer_id, kind, state, amount, bound, captured, reason, created_at)"
    " VALUES (%s, %s, 'request', 'open', %s, %s, 0, '', %s)"
)
READ_PURSES = (
    "SELECT b.key, b.amount - b.captured, coalesce(sum(i.amount), 0), count(i.key) FROM billing_hold b"
    " LEFT JOIN billing_hold i ON i.inside = b.key AND i.state = 'open'"
    " WHERE b.key = ANY(%s) AND b.resolved_at IS NULL GROUP BY b.key"
)
"""Of budgets that are open: what is left of each, and what its requests under way hold. Their wallets are locked."""
PLACE_HOLDS_INSIDE = (
    "INSERT INTO billing_hold (key, customer_id, kind, state, amount, bound, captured, reason, created_at, inside)"
    " SELECT k, c, 'request', 'open', a, b, 0, '', t, i FROM"
    " unnest(%s::text[], %s::bigint[], %s::numeric[], %s::numeric[], %s::timestamptz[], %s::text[])"
    " AS h(k, c, a, b, t, i)"
)
TAKE_FROM_PURSES = (
    "UPDATE billing_hold b SET captured = b.captured + d.taken FROM unnest(%s::text[], %s::numeric[]) AS d(key, taken)"
    " WHERE b.key = d.key AND b.resolved_at IS NULL"
)
GIVE_TO_PURSES = (
    "UPDATE billing_hold b SET captured = b.captured - d.rest FROM unnest(%s::text[], %s::numeric[]) AS d(key, rest)"
    " WHERE b.key = d.key RETURNING b.key, b.customer_id, d.rest, b.resolved_at IS NULL"
)
"""What is captured of a budget's hold is what its requests were charged and hold, also once it has ended."""
EXTEND_HOLDS = (
    "UPDATE billing_hold h SET amount = h.amount + d.more, bound = h.bound + d.bound"
    " FROM unnest(%s::text[], %s::numeric[], %s::numeric[]) AS d(key, more, bound)"
    " WHERE h.key = d.key AND h.state = 'open'"
)
"""Of requests whose generations the same transaction has locked, so that none of them is being resolved."""
ADD_HELD = (
    "UPDATE billing_wallet w SET held = w.held + d.held, exposure = w.exposure + d.exposure"
    " FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS d(customer_id, held, exposure)"
    " WHERE w.customer_id = d.customer_id"
)
ADD_HELD_TO_ONE = "UPDATE billing_wallet SET held = held + %s, exposure = exposure + %s WHERE customer_id = %s"


def place(
    *, customer_id: int, key: str, kind: Hold.Kind, amount: Decimal, now: datetime, may_overdraw: bool = False
) -> Hold:
    """Set `amount` USD aside; raises `InsufficientBalance` unless `may_overdraw` (a dispute).

    Raises `HoldError` for an amount that is none, and if the key has a hold already.
    """
    _must_be_positive(key, amount)
    with transaction.atomic():
        wallet = lock_wallets([customer_id])[customer_id]
        if not may_overdraw and wallet.available < amount:
            raise InsufficientBalance(available=wallet.available, needed=amount)
        if Hold.objects.filter(pk=key).exists():
            raise HoldError(f"{key} has a hold already")
        hold = Hold.objects.create(
            key=key, customer_id=customer_id, kind=kind, amount=amount, bound=amount, created_at=now
        )
        _add_held({customer_id: (amount, ZERO)})
    return hold


def hand_over(key: str) -> None:
    """A request goes on without its gateway: its hold belongs to a job. Nothing where it holds nothing."""
    request = Hold.objects.filter(pk=key, kind=Hold.Kind.REQUEST, state=Hold.State.OPEN)
    request.update(kind=Hold.Kind.JOB)


def resolve(resolutions: Sequence[Resolution], *, now: datetime, are_locked: bool = False) -> set[str]:
    """Resolve open holds; return the keys that this call resolved. One that is not open is left alone.

    A captured amount may be less or more than what was held, never more than the bound (a named constraint). The
    caller posts the transfers in the same transaction. `are_locked`: the caller has locked the wallets, and undoes all
    if this raises. Raises `HoldError` for a key named twice and for an amount that is none.
    """
    if not resolutions:
        return set()
    keys = [r.key for r in resolutions]
    if len(set(keys)) != len(keys):
        raise HoldError("one hold twice in one resolution")
    for resolution in resolutions:
        if resolution.captured is not None:
            _must_be_positive(resolution.key, resolution.captured)
    with transaction.atomic(savepoint=not are_locked), connection.cursor() as cursor:
        if not are_locked:
            cursor.execute(LOCK_WALLETS_OF, [array(keys)])
        cursor.execute(
            "UPDATE billing_hold h SET state = CASE WHEN r.captured IS NULL THEN 'released' ELSE 'captured' END,"
            "  captured = h.captured + coalesce(r.captured, 0), reason = r.reason, resolved_at = %s"
            " FROM unnest(%s::text[], %s::numeric[], %s::text[]) AS r(key, captured, reason)"
            # Open, by its constraint. Said with the state, the planner may walk through all that are open.
            " WHERE h.key = r.key AND h.resolved_at IS NULL"
            " RETURNING h.key, h.customer_id, h.amount - h.captured + coalesce(r.captured, 0), h.bound - h.amount,"
            "  h.inside, h.captured",
            [now, *columns([(r.key, r.captured, r.reason) for r in resolutions])],
        )
        freed: dict[int, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
        resolved = set()
        inside: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
        for key, customer_id, held, exposure, purse, charged in cursor.fetchall():
            resolved.add(key)
            freed[customer_id] = (freed[customer_id][0] - held, freed[customer_id][1] - exposure)
            if purse is not None:
                inside[purse] = (inside[purse][0] + held - charged, inside[purse][1] + charged)
        for customer_id, kept in _give_to_purses(inside, now=now) if inside else ():
            freed[customer_id] = (freed[customer_id][0] + kept, freed[customer_id][1])
        _add_held(freed)
    return resolved


def _give_to_purses(inside: dict[str, tuple[Decimal, Decimal]], *, now: datetime) -> list[tuple[int, Decimal]]:
    """Give budgets back what their requests did not use, of each the rest and what was charged; by customer, what stays
    held. The rest of one that has ended is the wallet's again, and the key that made it had so much less set aside.
    """
    with connection.cursor() as cursor:
        cursor.execute(GIVE_TO_PURSES, columns([(key, rest) for key, (rest, _) in inside.items()]))
        rows = cursor.fetchall()
    tell_makers([(key, ZERO if is_open else rest, inside[key][1]) for key, _, rest, is_open in rows], now=now)
    return [(customer_id, rest) for _, customer_id, rest, is_open in rows if is_open]


def tell_makers(changes: Sequence[tuple[str, Decimal, Decimal]], *, now: datetime) -> None:
    """Of budgets, by their holds: so much is not set aside any more, and so much of it was charged. That counts within
    the caps of the keys that they were made with, in the periods in which they were.
    """
    ids = [key.removeprefix("budget:") for key, _, _ in changes]
    made = {budget.hold_key: budget for budget in Budget.objects.filter(pk__in=ids).select_related("key__child")}
    told = []
    for key, back, charged in changes:
        maker, day = made[key].key.child.made_with_id, made[key].counted_on
        if maker is not None and day is not None and (back or charged):
            told.append(MeterChange(maker, day, -back, charged))
    spending.tell(correct(told, counts_for_account=False), now=now)


def capture_share(*, key: str, share: Decimal, now: datetime) -> None:
    """Take a part of an open hold (a refund is sent in parts); the last share captures the hold.

    Raises `HoldError` if the hold is not open or has less left, and for an amount that is none.
    """
    _must_be_positive(key, share)
    with transaction.atomic():
        customer_id = Hold.objects.values_list("customer_id", flat=True).get(key=key)
        lock_wallets([customer_id])
        hold = Hold.objects.select_for_update(no_key=True).get(key=key)
        left = hold.amount - hold.captured
        if hold.state != Hold.State.OPEN or share > left:
            raise HoldError(f"{key} is {hold.state} with {left} left, not {share}")
        taken = hold.captured + share
        if share == left:
            states.move(hold, to=Hold.State.CAPTURED, error=_not_open, captured=taken, reason="sent", resolved_at=now)
        else:
            hold.captured = taken
            hold.save(update_fields=["captured"])
        _add_held({customer_id: (-share, ZERO)})


def _not_open(hold: Hold) -> HoldError:
    return HoldError(f"{hold.key} is {hold.state}")


def _must_be_positive(key: str, amount: Decimal) -> None:
    try:
        if usd(amount) > 0:
            return
    except InvalidAmount as error:
        raise HoldError(f"{key}: {error}") from None
    raise HoldError(f"{key} cannot hold or take {amount}")


def _add_held(changes: dict[int, tuple[Decimal, Decimal]]) -> None:
    if not changes:
        return
    with connection.cursor() as cursor:
        cursor.execute(ADD_HELD, columns([(customer_id, *change) for customer_id, change in changes.items()]))
