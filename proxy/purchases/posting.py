"""PURCHASE: post what the house owes its upstreams, after settlement and apart from it.

Whatever fails here keeps no charge and no hold. A batch is posted in the transaction that marks it, so run twice or
killed anywhere it posts once. Lock order: batches, generations, totals of days; no wallet is touched.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from billing import rates
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, post_all
from billing.books.money import ZERO, charge
from billing.months.periods import day_of
from core.clock import database_now
from proxy.models import PurchaseBatch, Upstream
from proxy.purchases import claims, margin
from proxy.purchases.costs import Prices, Purchase, Used
from proxy.purchases.rows import Batch, read, together, write
from proxy.rerating.reading import moved

log = logging.getLogger(__name__)

MOST_REQUESTS = 2_000
"""In one posting: small batches are put together."""
MOST_BATCHES = 500
LATE = timedelta(minutes=5)
"""The task runs every few seconds."""

TAKE = (
    "SELECT id, generations, attempts FROM proxy_purchasebatch WHERE posted_at IS NULL AND id > %s"
    " AND created_at <= clock_timestamp() - failures::int * failures * interval '1 minute'"
    " ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"
)
"""One that has failed is tried again, ever more rarely: after n failures 2n + 1 minutes after the last try."""


def post_all_purchases(*, now: datetime) -> int:
    """Post until nothing is left that could be, each batch tried once; return how many requests were dealt with."""
    total, last = 0, 0
    while (done := _post_after(last, now=now)) is not None:
        last, count = done
        total += count
        now = database_now()
    return total


def _post_after(last: int, *, now: datetime) -> tuple[int, int] | None:
    """Post some batches beyond `last` in one; return the last of them and how many requests and attempts they had."""
    with transaction.atomic():
        taken = _take(last)
        if not taken:
            return None
        failure = _try(taken, now=now)
    if failure is not None:
        for batch in taken:
            _post_alone(batch.pk, now=now)
    return taken[-1].pk, sum(batch.size for batch in taken)


def overdue(batches: QuerySet[PurchaseBatch]) -> QuerySet[PurchaseBatch]:
    """Those that failed, or that nobody looked at for minutes."""
    return batches.filter(Q(failures__gt=0) | Q(created_at__lt=Now() - LATE), posted_at=None)


def _take(last: int) -> list[Batch]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [last, MOST_BATCHES])
        found = [Batch(*row) for row in cursor.fetchall()]
    taken: list[Batch] = []
    count = 0
    for batch in found:
        count += batch.size
        if taken and count > MOST_REQUESTS:
            break
        taken.append(batch)
    return taken


def _post_alone(pk: int, *, now: datetime) -> None:
    """One of several that could not be posted together; of what fails, each half apart, down to the one request."""
    with transaction.atomic():
        row = (
            PurchaseBatch.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=pk, posted_at=None).first()
        )
        if row is None:
            return
        batch = Batch(row.pk, row.generations, row.attempts)
        failure = _try([batch], now=now)
        if failure is None:
            return
        if batch.size < 2:
            log.error("the purchase of %s%s could not be posted: %s", batch.generations, batch.attempts, failure)
            PurchaseBatch.objects.filter(pk=pk).update(failures=F("failures") + 1)
            return
        first, second = batch.halves()
        PurchaseBatch.objects.filter(pk=pk).update(generations=first[0], attempts=first[1])
        other = PurchaseBatch.objects.create(generations=second[0], attempts=second[1])
    for half in (pk, other.pk):
        _post_alone(half, now=now)


def _try(taken: Sequence[Batch], *, now: datetime) -> Exception | None:
    """Post locked batches as the first of them; return what was wrong, nothing being written then."""
    try:
        with transaction.atomic():
            _post(taken, now=now)
    except (OperationalError, InterfaceError):
        raise  # the database is away, whatever the batch
    except Exception as error:
        return error
    return None


def _post(taken: Sequence[Batch], *, now: datetime) -> None:
    batch = together(taken)
    used = read(batch)
    prices = Prices(used)
    purchases = [(one, prices.purchase_of(one)) for one in used]
    names = dict(Upstream.objects.filter(pk__in={one.upstream_id for one in used}).values_list("pk", "name"))
    worth = {currency: rates.newest(currency, now=now) for currency in {paid.currency for _, paid in purchases}}
    write(batch.pk, [(one, paid, _in_dollars(paid, worth[paid.currency])) for one, paid in purchases])
    owed: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for one, paid in purchases:
        if paid.is_believed:
            owed[names[one.upstream_id or 0], paid.currency] += paid.cost
    post_all([_posting(batch.pk, *whose, amount) for whose, amount in owed.items() if amount], now=now)
    PurchaseBatch.objects.filter(pk__in=[other.pk for other in taken[1:]]).delete()
    PurchaseBatch.objects.filter(pk=batch.pk).update(
        generations=batch.generations,
        attempts=batch.attempts,
        posted_at=now,
        lacks_rate=any(rate is None for rate in worth.values()),
        is_counted=True,
    )
    claims.note(purchases)
    margin.add(_margin_rows(purchases, worth))


def _margin_rows(purchases: Sequence[tuple[Used, Purchase]], worth: dict[str, Decimal | None]) -> Iterator[margin.Row]:
    """What these add to the totals of the days on which they were settled."""
    bonus = _bonus_of([one for one, _ in purchases if one.cost])
    days = {moment: day_of(moment) for moment in {one.settled_at for one, _ in purchases}}
    for one, paid in purchases:
        charged = one.cost or ZERO
        net = charged if one.corrected_cost is None else one.corrected_cost
        yield margin.Row(
            *(days[one.settled_at], one.model_id, one.upstream_id or 0, one.customer_id, charged),
            listed=paid.listed,
            purchase=_in_dollars(paid, worth[paid.currency]),
            is_believed=paid.is_believed,
            corrected=net - charged,
            bonus=min(bonus.get(one.pk, ZERO), net),
            requests=int(one.attempt is None),
        )


def _bonus_of(used: Sequence[Used]) -> dict[str, Decimal]:
    """What of these requests' charges was taken from bonus, and not given back by a re-rating, USD."""
    bonus = defaultdict(lambda: ZERO, margin.bonus_of([one.pk for one in used]))
    corrected: dict[int, list[str]] = defaultdict(list)
    for one in used:
        if one.corrected_cost is not None:
            corrected[one.model_id].append(one.pk)
    for model_id, ids in corrected.items():
        for pk, balances in moved(model_id, ids).items():
            bonus[pk] += balances["bonus"]
    return bonus


def _in_dollars(paid: Purchase, rate: Decimal | None) -> Decimal | None:
    return None if rate is None else charge(paid.cost / rate)


def _posting(batch: int, upstream: str, currency: str, amount: Decimal) -> Posting:
    return Posting(
        f"purchase:{batch}:{upstream}:{currency}",
        Kind.PURCHASE,
        house_account(chart.upstream_expense(upstream, currency)),
        house_account(chart.upstream_payable(upstream, currency)),
        amount,
    )
