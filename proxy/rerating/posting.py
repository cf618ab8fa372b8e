"""A re-rating's transfers, page by page: each page is one transaction with the cursor that passes it.

So it posts once, run twice or killed anywhere. Lock order: the re-rating, requests by id, wallets, meters of keys,
totals of days. Each request's charge goes from what is left of it, whatever corrected it meanwhile, to what it is at
the price.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F

from accounts.limits.correcting import Charged, MeterChange, correct
from billing.books.kinds import Kind
from billing.books.ledger import Account, Posting, house_account, lock_wallets, post_all
from billing.books.money import ZERO
from billing.books.reversals import HOUSE
from billing.models import LedgerAccount, Wallet
from billing.warnings import spending
from core import states
from core.arrays import array, columns
from core.records import value
from proxy.models import Rerate, RerateShare
from proxy.purchases import margin
from proxy.rerating.charges import Correction, Split, Versions, judge, split_back, split_up
from proxy.rerating.reading import BALANCES, key_of, moved, page_of
from proxy.rerating.rows import locked, save
from proxy.settlement import counting

WRITE = (
    "UPDATE proxy_generation g SET corrected_cost = r.cost FROM unnest(%s::text[], %s::numeric[]) AS r(id, cost)"
    " WHERE g.id = r.id"
)
ADD = (
    "INSERT INTO proxy_rerateshare AS s"
    " (rerate_id, customer_id, requests, charged, back, up, posted, given_back, taken)"
    " SELECT %s, customer, 0, 0, 0, 0, posted, given_back, taken"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[]) AS d(customer, posted, given_back, taken)"
    " ON CONFLICT (rerate_id, customer_id) DO UPDATE SET posted = s.posted + EXCLUDED.posted,"
    " given_back = s.given_back + EXCLUDED.given_back, taken = s.taken + EXCLUDED.taken"
)


@value
class Move:
    """A correction as it is posted: `change` is what its charge comes to rise by, USD."""

    correction: Correction
    split: Split
    is_up: bool

    @property
    def change(self) -> Decimal:
        return self._signed(self.split.paid + self.split.bonus)

    @property
    def bonus(self) -> Decimal:
        """What of `change` is on the bonus balance."""
        return self._signed(self.split.bonus)

    def _signed(self, amount: Decimal) -> Decimal:
        return amount if self.is_up else -amount


def post(rerate_id: int, *, now: datetime) -> bool:
    """Post the next page; False where another worker is at it, or it is done."""
    with transaction.atomic():
        rerate = locked(rerate_id, Rerate.State.POSTING)
        if rerate is None:
            return False
        page = page_of(rerate, is_locked=True)
        if page is None:
            rows = Rerate.objects.filter(pk=rerate.pk)
            states.move_all(rows, to=Rerate.State.DONE, finished_at=now, problem="")
            return True
        versions = Versions([rerate.price_id, *(request.used.price_id for request in page.requests)])
        found = [
            correction
            for request in page.requests
            for _verdict, correction in [judge(request, versions, price_id=rerate.price_id, upwards=rerate.upwards)]
            if correction is not None
        ]
        if found:
            _post(rerate, found, now=now)
        save(rerate, cursor=page.last, done=F("done") + len(page.requests))
    return True


def _post(rerate: Rerate, corrections: Sequence[Correction], *, now: datetime) -> None:
    wallets = lock_wallets({one.request.used.customer_id for one in corrections})
    moves = [move for move in _moves(rerate, corrections, wallets) if move.change]
    if not moves:
        return
    charged = _correct_meters(moves)
    changes = {move.correction.request.pk: move.change for move in moves}
    counting.correct(changes, now=now)
    with connection.cursor() as cursor:
        rows = [(m.correction.request.pk, m.correction.before + m.change) for m in moves]
        cursor.execute(WRITE, columns(rows))
        if cursor.rowcount != len(moves):
            raise LookupError("a locked request is not where it was")
    houses = {balance: house_account(HOUSE[balance]) for balance in BALANCES}
    postings = [posting for move in moves for posting in _postings(rerate, move, wallets, houses)]
    post_all(postings, now=now, group=rerate.key, actor_id=rerate.decided_by_id)
    _add_to_shares(rerate, moves)
    bonus = {move.correction.request.pk: move.bonus for move in moves}
    margin.correct(changes, bonus=bonus, now=now)
    spending.tell(charged, now=now)


def _moves(rerate: Rerate, corrections: Sequence[Correction], wallets: dict[int, Wallet]) -> list[Move]:
    """In the order of the requests, so that what is available goes to the first."""
    paid = _paid_left(rerate, [one for one in corrections if one.back])
    told = set(
        RerateShare.objects.filter(rerate=rerate, customer__in=wallets, announced_at__isnull=False).values_list(
            "customer_id", flat=True
        )
    )
    available = {pk: wallet.available for pk, wallet in wallets.items()}
    bonus = {pk: wallet.bonus for pk, wallet in wallets.items()}
    moves = []
    for one in corrections:
        customer_id = one.request.used.customer_id
        if one.back:
            split, sign = split_back(one.back, paid=paid[one.request.pk]), 1
        elif customer_id in told:
            split, sign = split_up(one.up, available=available[customer_id], bonus=bonus[customer_id]), -1
        else:
            continue
        available[customer_id] += sign * (split.paid + split.bonus)
        bonus[customer_id] += sign * split.bonus
        moves.append(Move(one, split, sign < 0))
    return moves


def _paid_left(rerate: Rerate, corrections: Sequence[Correction]) -> dict[str, Decimal]:
    """By request, what was charged to paid balance and is not back yet."""
    left: dict[str, Decimal] = defaultdict(lambda: ZERO)
    with connection.cursor() as cursor:
        keys = array([f"{one.request.pk}:paid" for one in corrections])
        cursor.execute("SELECT key, amount FROM billing_transfer WHERE key = ANY(%s::text[])", [keys])
        for key, amount in cursor.fetchall():
            left[key.removesuffix(":paid")] = amount
    earlier = moved(rerate.model_id, [one.request.pk for one in corrections if one.request.is_corrected])
    for pk, balances in earlier.items():
        left[pk] += balances["paid"]
    return left


def _postings(
    rerate: Rerate, move: Move, wallets: dict[int, Wallet], houses: dict[str, LedgerAccount]
) -> list[Posting]:
    used = move.correction.request.used
    wallet = wallets[used.customer_id]
    own = {
        "paid": Account(wallet.paid_account_id, LedgerAccount.Kind.PAID.value, used.customer_id),
        "bonus": Account(wallet.bonus_account_id, LedgerAccount.Kind.BONUS.value, used.customer_id),
    }
    postings = []
    for balance in BALANCES:
        amount: Decimal = getattr(move.split, balance)
        if amount:
            key, house = key_of(rerate.pk, used.pk, balance), houses[balance]
            if move.is_up:
                postings.append(Posting(key, Kind.RERATE_UP, own[balance], house, amount))
            else:
                postings.append(Posting(key, Kind.RERATE, house, own[balance], amount))
    return postings


def _correct_meters(moves: Sequence[Move]) -> list[Charged]:
    """The spend of the keys, on the day that it was counted on."""
    requests = [(move.correction.request, move.change) for move in moves]
    return correct(MeterChange(one.key_id, one.counted_on, change, change) for one, change in requests)


def _add_to_shares(rerate: Rerate, moves: Sequence[Move]) -> None:
    sums: dict[int, tuple[int, Decimal, Decimal]] = defaultdict(lambda: (0, ZERO, ZERO))
    for move in moves:
        customer_id = move.correction.request.used.customer_id
        posted, back, taken = sums[customer_id]
        sums[customer_id] = posted + 1, back + max(ZERO, -move.change), taken + max(ZERO, move.change)
    with connection.cursor() as cursor:
        cursor.execute(ADD, [rerate.pk, *columns([(pk, *found) for pk, found in sums.items()])])
