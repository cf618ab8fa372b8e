"""What purchases are worth in USD, where nobody knew when they were posted: by the first rate there is, once."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Q

from billing import rates
from billing.books.money import ZERO
from billing.months.periods import day_of
from core.arrays import columns
from proxy.models import Currency, Generation, PurchaseBatch
from proxy.purchases import margin

FILL = (
    "WITH lacking AS (SELECT id FROM proxy_generation WHERE id = ANY(%s) AND purchase_batch = %s"
    " AND purchase_usd IS NULL AND purchase_currency <> '' ORDER BY id FOR NO KEY UPDATE)"
    " UPDATE proxy_generation g SET purchase_usd = round(g.purchase_cost::numeric(40, 28) / r.rate, 8)"
    " FROM lacking, unnest(%s::text[], %s::numeric[]) AS r(currency, rate)"
    " WHERE g.id = lacking.id AND g.purchase_currency = r.currency"
    " RETURNING g.settled_at, g.model_id, g.upstream_id, g.customer_id, g.purchase_usd"
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
    with connection.cursor() as cursor:
        cursor.execute(FILL, [batch.generations, batch.pk, *columns(list(known.items()))])
        filled = cursor.fetchall()
    without = Q(purchase_usd=None) & ~Q(purchase_currency="")
    left = Generation.objects.filter(without, pk__in=batch.generations, purchase_batch=batch.pk)
    PurchaseBatch.objects.filter(pk=batch.pk).update(lacks_rate=left.exists())
    if batch.is_counted:
        margin.add(
            margin.Row(day_of(settled), model, upstream, whose, ZERO, ZERO, worth, requests=0, is_rated_late=True)
            for settled, model, upstream, whose, worth in filled
        )
