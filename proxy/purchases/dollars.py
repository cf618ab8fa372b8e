"""What purchases are worth in USD, where nobody knew when they were posted: by the first rate there is, once."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from billing import rates
from billing.books.money import ZERO
from billing.months.periods import day_of
from core.arrays import columns
from proxy.models import Attempt, Currency, Generation, PurchaseBatch
from proxy.purchases import margin

_LACKING = (
    "WITH lacking AS (SELECT id FROM {table} WHERE id = ANY(%s) AND purchase_batch = %s"
    " AND purchase_usd IS NULL AND purchase_currency <> '' ORDER BY id FOR NO KEY UPDATE) "
)
_SETS = (
    " SET purchase_usd = round(t.purchase_cost::numeric(40, 28) / r.rate, 8)"
    " FROM lacking, unnest(%s::text[], %s::numeric[]) AS r(currency, rate)"
    " WHERE t.id = lacking.id AND t.purchase_currency = r.currency "
    "RETURNING t.purchase_usd, t.model_id, t.upstream_id, "
)
FILL = _LACKING.format(table="proxy_generation") + f"UPDATE proxy_generation t{_SETS} t.customer_id, t.settled_at"
FILL_ATTEMPTS = (
    _LACKING.format(table="proxy_attempt")
    + f"UPDATE proxy_attempt t{_SETS}"
    + "(SELECT customer_id FROM proxy_generation WHERE id = t.generation_id), t.ended_at"
)


def fill_in(*, now: datetime) -> int:
    """Give posted requests their cost in USD where it is missing and a rate is known; return how many batches that
    dealt with. What has a figure keeps it, and the books, which are in the upstream's currency, stay as they are.
    """
    lacking = PurchaseBatch.objects.filter(lacks_rate=True).exclude(posted_at=None)
    if not lacking.exists():
        return 0
    found = {currency.value: rates.newest(currency.value, now=now) for currency in Currency}
    known = {currency: rate for currency, rate in found.items() if rate is not None}
    done, last = 0, 0
    while known.keys() != {Currency.USD.value}:
        with transaction.atomic():
            batch = lacking.filter(pk__gt=last).order_by("pk").select_for_update(no_key=True, skip_locked=True).first()
            if batch is None:
                break
            _fill(batch, known)
            done, last = done + 1, batch.pk
    return done


def _fill(batch: PurchaseBatch, known: Mapping[str, Decimal]) -> None:
    filled: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for query, ids in ((FILL, batch.generations), (FILL_ATTEMPTS, batch.attempts)):
            cursor.execute(query, [ids, batch.pk, *columns(list(known.items()))])
            filled += cursor.fetchall()
    without = Q(purchase_usd=None, purchase_batch=batch.pk) & ~Q(purchase_currency="")
    left = Generation.objects.filter(without, pk__in=batch.generations)
    left_of_attempts = Attempt.objects.filter(without, pk__in=batch.attempts)
    PurchaseBatch.objects.filter(pk=batch.pk).update(lacks_rate=left.exists() or left_of_attempts.exists())
    if batch.is_counted:
        margin.add(
            margin.Row(day_of(settled), model, upstream, whose, ZERO, ZERO, worth, requests=0, is_rated_late=True)
            for worth, model, upstream, whose, settled in filled
        )
