"""The only writer of transfers, and of the wallets' paid and bonus balances that follow from them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from accounts.models import Customer
from billing import levels
from billing.books import chart
from billing.books.kinds import KINDS, Kind
from billing.books.money import PLACES, ZERO, InvalidAmount, exact
from billing.models import LedgerAccount, Transfer, Wallet
from billing.months.periods import open_day
from core.arrays import array, columns

_LOCKED = "FROM billing_wallet WHERE customer_id = ANY(%s::bigint[]) ORDER BY customer_id FOR NO KEY UPDATE"
LOCK_WALLETS = f"SELECT {_LOCKED}"
_ZONE = "(SELECT time_zone FROM accounts_customer c WHERE c.id = customer_id)"
LOCK_BALANCES = f"SELECT customer_id, bonus, bonus_account_id, paid_account_id, {_ZONE} {_LOCKED}"
"""As settlement needs them, without a model's instance for each."""
MOVE_WALLETS = (
    "WITH moved AS (UPDATE billing_wallet w SET paid = w.paid + d.paid, bonus = w.bonus + d.bonus"
    "  FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS d(customer_id, paid, bonus)"
    "  WHERE w.customer_id = d.customer_id"
    "  RETURNING w.customer_id, w.watched_below, w.low_below, w.low_since, d.paid + d.bonus AS change)"
    " SELECT count(*), array_agg(customer_id) FILTER (WHERE watched_below IS NOT NULL AND change < 0"
    "  OR low_below IS NOT NULL AND (change < 0 OR low_since IS NOT NULL)) FROM moved"
)
"""Says how many it moved, and which of them are watched and fell, or are low and may be up again."""
PAID_IN = (Kind.TOPUP, Kind.REFUND, Kind.REFUND_FAILED)
WRITTEN_OFF = (Kind.WRITE_OFF, Kind.WRITE_OFF_RECOVERED)
"""Kinds of transfers that move a wallet's `paid_in` and `written_off` as they move its paid balance."""


class LedgerError(Exception):
    """A posting the books refuse."""


class TransferConflict(LedgerError):
    """The key is taken by a transfer with other accounts, another amount or another kind."""


class Account(NamedTuple):
    """A customer's account as its wallet names it, for postings by the thousand: no row is read for it."""

    pk: int
    kind: str
    customer_id: int
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Posting:
    """A transfer to be: `amount` in the accounts' one currency, `key` the business fact it stands for."""

    key: str
    kind: Kind
    debit: LedgerAccount | Account
    credit: LedgerAccount | Account
    amount: Decimal
    memo: str = ""


def house_account(name: str) -> LedgerAccount:
    """The house's account of a name that `chart` makes, opened on first use; its currency ends the name, else USD.

    Raises `LedgerError` for a currency that is not known.
    """
    last = name.rpartition(":")[2]
    is_named = last in PLACES
    if not is_named and (last.isupper() or name.startswith(chart.IN_A_CURRENCY)):
        raise LedgerError(f"{name[:80]} names no known currency")
    return LedgerAccount.objects.get_or_create(name=name, defaults={"currency": last if is_named else "USD"})[0]


def open_wallet(*, customer: Customer) -> Wallet:
    """The customer's wallet with its paid and bonus accounts; a repeat returns the one there is."""
    wallet = Wallet.objects.select_related("paid_account", "bonus_account").filter(pk=customer.pk).first()
    if wallet is not None:
        return wallet
    names = {kind: f"customer:{customer.pk}:{kind}" for kind in (LedgerAccount.Kind.PAID, LedgerAccount.Kind.BONUS)}
    LedgerAccount.objects.bulk_create(
        [LedgerAccount(name=name, kind=kind, customer=customer, currency="USD") for kind, name in names.items()],
        ignore_conflicts=True,
    )
    ours = LedgerAccount.objects.in_bulk(names.values(), field_name="name")
    paid, bonus = (ours[name] for name in names.values())
    return Wallet.objects.get_or_create(customer=customer, defaults={"paid_account": paid, "bonus_account": bonus})[0]


def lock_wallets(customer_ids: Iterable[int]) -> dict[int, Wallet]:
    """Lock wallets in id order (docs/architecture.md, "Locks, in one order"), until the transaction ends."""
    rows = Wallet.objects.select_for_update(no_key=True).filter(customer_id__in=set(customer_ids))
    return {wallet.customer_id: wallet for wallet in rows.order_by("customer_id")}


def post(
    postings: Sequence[Posting],
    *,
    now: datetime,
    group: str = "",
    actor_id: int | None = None,
    about: date | None = None,
) -> dict[str, Transfer]:
    """Write transfers, all or none, and move the wallets they touch; return every key's transfer.

    They are booked on the day of `now` in the books' zone, or on the day they are `about`; if its month is locked, on
    the first open day, with the day they are about in the note.
    Keys are written in order, so that two who post the same keys never wait for each other in a circle. A repeat of a
    key returns the first transfer and moves nothing. Raises `TransferConflict` if that first one has other accounts,
    another amount or another kind, and `LedgerError` for a posting that is none.
    """
    if not postings:
        return {}
    with transaction.atomic():
        post_all(postings, now=now, group=group, actor_id=actor_id, about=about)
        return {transfer.key: transfer for transfer in Transfer.objects.filter(key__in=[p.key for p in postings])}


def post_all(
    postings: Sequence[Posting],
    *,
    now: datetime,
    group: str = "",
    actor_id: int | None = None,
    about: date | None = None,
    are_locked: bool = False,
) -> None:
    """As `post`, without reading back what was written: for postings by the thousand. `are_locked`: the caller has
    locked the wallets, and undoes all if this raises.
    """
    if not postings:
        return
    by_key = {posting.key: posting for posting in postings}
    if len(by_key) != len(postings):
        raise LedgerError("one key twice in one posting")
    for posting in postings:
        _must_be_possible(posting)
    with transaction.atomic(savepoint=not are_locked), connection.cursor() as cursor:
        if not are_locked:
            cursor.execute(LOCK_WALLETS, [array(sorted(_customers_of(postings)))])
        in_order = [by_key[key] for key in sorted(by_key)]
        booked_on = now.astimezone(settings.BOOKS_TIME_ZONE).date()
        if about is not None and about < booked_on:
            booked_on = open_day(about)
            if booked_on != about:
                in_order = [replace(p, memo=f"{p.memo} ({about})".strip()[-300:]) for p in in_order]
        written = _insert(in_order, now=now, booked_on=booked_on, group=group, actor_id=actor_id)
        _move_wallets([by_key[key] for key in written], now=now)
        if len(written) < len(by_key):
            for transfer in Transfer.objects.filter(key__in=by_key.keys() - set(written)):
                _must_match(transfer, by_key[transfer.key])


def set_disputed(*, customer_id: int, amount: Decimal) -> None:
    """`amount` USD of what was paid in is disputed now, undecided or lost. The caller holds the wallet's lock."""
    Wallet.objects.filter(pk=customer_id).update(paid_in=F("paid_in") + F("disputed") - amount, disputed=amount)


def watch(*, customer_id: int, below: Decimal | None) -> None:
    """From now on a fact says when the wallet falls below so many USD (`billing/levels.py`); None: no longer."""
    Wallet.objects.filter(pk=customer_id).update(watched_below=below)


def warn_below(*, customer_id: int, line: Decimal | None) -> None:
    """From now on owners are told as the wallet falls below so many USD (`billing/warnings/low.py`); None: no longer.
    Nothing was told of that line yet. The caller holds the wallet's lock.
    """
    Wallet.objects.filter(pk=customer_id).update(low_below=line, low_since=None)


def mark_low(since: Mapping[int, datetime | None]) -> None:
    """Who was told, by customer, that the balance is low and when; None: it is up again. The wallets are locked."""
    for customer_id, at in since.items():
        Wallet.objects.filter(pk=customer_id).update(low_since=at)


def _must_be_possible(posting: Posting) -> None:
    if posting.kind not in KINDS:
        raise LedgerError(f"{posting.key}: no transfer is of the kind {posting.kind}")
    if posting.debit.currency != posting.credit.currency:
        raise LedgerError(f"{posting.key} moves {posting.debit.currency} to {posting.credit.currency}")
    try:
        # PostgreSQL would round the transfer and the wallet each by itself, and they would part.
        exact(posting.amount, currency="USD" if _is_fine(posting) else posting.debit.currency)
    except InvalidAmount as error:
        raise LedgerError(f"{posting.key}: {error}") from None
    if posting.amount <= 0:
        raise LedgerError(f"{posting.key} moves {posting.amount}")


def _is_fine(posting: Posting) -> bool:
    """Whether both accounts have 8 places, as those in USD do."""
    sides = (posting.debit, posting.credit)
    return all(isinstance(side, LedgerAccount) and chart.is_fine(side.name) for side in sides)


def _customers_of(postings: Iterable[Posting]) -> set[int]:
    accounts = (account for posting in postings for account in (posting.debit, posting.credit))
    return {account.customer_id for account in accounts if account.customer_id is not None}


def _insert(
    postings: Sequence[Posting], *, now: datetime, booked_on: date, group: str, actor_id: int | None
) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_transfer"
            ' (key, kind, debit_id, credit_id, currency, amount, memo, "group", actor_id, created_at, booked_on)'
            " SELECT k, kind, debit, credit, currency, amount, memo, %s, %s, %s, %s FROM unnest("
            "  %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::numeric[], %s::text[]"
            " ) AS p(k, kind, debit, credit, currency, amount, memo)"
            " ON CONFLICT (key) DO NOTHING RETURNING key",
            [
                group,
                actor_id,
                now,
                booked_on,
                *columns(
                    [(p.key, p.kind, p.debit.pk, p.credit.pk, p.debit.currency, p.amount, p.memo) for p in postings]
                ),
            ],
        )
        return [key for (key,) in cursor.fetchall()]


def _move_wallets(postings: Sequence[Posting], *, now: datetime) -> None:
    moves: dict[int, dict[str, Decimal]] = defaultdict(lambda: {"paid": ZERO, "bonus": ZERO})
    for posting in postings:
        for account, sign in ((posting.debit, -1), (posting.credit, 1)):
            if account.customer_id is not None:
                moves[account.customer_id][account.kind] += sign * posting.amount
    if not moves:
        return
    _note_payments(postings, now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            MOVE_WALLETS, columns([(customer_id, move["paid"], move["bonus"]) for customer_id, move in moves.items()])
        )
        [(moved, watched)] = cursor.fetchall()
    if moved != len(moves):
        raise LedgerError("a customer's account has no wallet")
    if watched:
        mark_low(levels.judge({pk: sum(moves[pk].values(), ZERO) for pk in watched}, now=now))


def _note_payments(postings: Sequence[Posting], *, now: datetime) -> None:
    """What came in and went back, and what was written off: the kinds that the allowance goes by."""
    for posting in postings:
        if posting.kind not in PAID_IN + WRITTEN_OFF:
            continue
        for account, amount in ((posting.debit, -posting.amount), (posting.credit, posting.amount)):
            if account.kind != LedgerAccount.Kind.PAID:
                continue
            wallet = Wallet.objects.filter(pk=account.customer_id)
            if posting.kind == Kind.TOPUP:
                wallet.filter(first_paid_at__date__lt=now.astimezone(UTC).date()).update(paid_again=True)
                wallet.filter(first_paid_at=None).update(first_paid_at=now)
            if posting.kind in PAID_IN:
                wallet.update(paid_in=F("paid_in") + amount)
            else:
                wallet.update(written_off=F("written_off") + amount)


def _must_match(transfer: Transfer, posting: Posting) -> None:
    first = (transfer.debit_id, transfer.credit_id, transfer.amount, transfer.kind)
    if first != (posting.debit.pk, posting.credit.pk, posting.amount, posting.kind):
        raise TransferConflict(f"{posting.key} is taken by another transfer")
