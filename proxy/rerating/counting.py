"""The difference that a re-rating makes, found page by page before anybody decides, and kept by customer."""

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F

from billing.books.money import ZERO
from core import states
from core.arrays import columns
from core.records import value
from proxy.models import Rerate, RerateShare
from proxy.rerating.charges import Verdict, Versions, judge
from proxy.rerating.reading import page_of
from proxy.rerating.rows import locked, save

ADD = (
    "INSERT INTO proxy_rerateshare AS s"
    " (rerate_id, customer_id, requests, charged, back, up, posted, given_back, taken)"
    " SELECT %s, customer, requests, charged, back, up, 0, 0, 0"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[])"
    " AS d(customer, requests, charged, back, up) ON CONFLICT (rerate_id, customer_id) DO UPDATE SET"
    " requests = s.requests + EXCLUDED.requests, charged = s.charged + EXCLUDED.charged,"
    " back = s.back + EXCLUDED.back, up = s.up + EXCLUDED.up"
)


@value
class Sum:
    requests: int
    charged: Decimal
    back: Decimal
    up: Decimal


def count(rerate_id: int, *, now: datetime) -> bool:
    """Count the next page; False where another worker is at it, or it is counted."""
    with transaction.atomic():
        rerate = locked(rerate_id, Rerate.State.COUNTING)
        if rerate is None:
            return False
        page = page_of(rerate, is_locked=False)
        if page is None:
            found = RerateShare.objects.filter(rerate=rerate).exists()
            states.move_all(
                Rerate.objects.filter(pk=rerate.pk),
                to=Rerate.State.PROPOSED if found else Rerate.State.NOTHING,
                cursor=rerate.first_id,
                problem="",
            )
            return True
        versions = Versions([rerate.price_id, *(request.used.price_id for request in page.requests)])
        verdicts = Counter[Verdict]()
        sums: dict[int, Sum] = defaultdict(lambda: Sum(0, ZERO, ZERO, ZERO))
        for request in page.requests:
            verdict, correction = judge(request, versions, price_id=rerate.price_id, upwards=rerate.upwards)
            verdicts[verdict] += 1
            if correction is not None:
                customer_id, old = request.used.customer_id, sums[request.used.customer_id]
                sums[customer_id] = Sum(
                    old.requests + 1,
                    old.charged + correction.before,
                    old.back + correction.back,
                    old.up + correction.up,
                )
        if sums:
            rows = [(pk, one.requests, one.charged, one.back, one.up) for pk, one in sums.items()]
            with connection.cursor() as cursor:
                cursor.execute(ADD, [rerate.pk, *columns(rows)])
        save(
            rerate,
            cursor=page.last,
            seen=F("seen") + len(page.requests),
            dearer=F("dearer") + verdicts[Verdict.DEARER],
            unclear=F("unclear") + verdicts[Verdict.UNCLEAR],
        )
    return True
