"""What an upstream was asked in a bill's days, attempts included, in pages of ids: newer ones are larger."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from billing import rates
from proxy.ids import first_id_of
from proxy.models import Upstream, UpstreamBill

PAGE = 20_000
LONGEST = timedelta(hours=3)
"""No request lasts longer (`upstream_total_timeout_within_two_hours`)."""

_SOLD = """
 coalesce(r.upstream_model, m.slug) AS upstream_model,
 lower(coalesce(nullif({t}.service_tier, ''), g.asked_tier)) AS tier, {t}.upstream_request_id AS request_id,
 CASE WHEN {t}.purchase_cost IS NULL THEN 0 WHEN {t}.purchase_currency = %(currency)s THEN {t}.purchase_cost
  ELSE coalesce({t}.purchase_usd, 0) * %(rate)s END AS cost,
 {t}.input_tokens, {t}.cached_tokens, {t}.cache_write_tokens, {t}.cache_write_1h_tokens, {t}.output_tokens,
 {t}.input_tokens + {t}.output_tokens AS tokens"""
_ROUTE = """
 JOIN proxy_model m ON m.id = {t}.model_id
 LEFT JOIN proxy_route r ON r.model_id = {t}.model_id AND r.upstream_id = {t}.upstream_id"""
ASKED = f"""
SELECT g.id, NULL::bigint AS attempt, g.created_at, g.metered_at AS ended_at,{_SOLD.format(t="g")},
 (g.usage_source <> 'none')::int AS requests
FROM proxy_generation g{_ROUTE.format(t="g")}
WHERE g.id > %(after)s AND g.id <= %(upto)s AND g.upstream_id = ANY(%(upstreams)s) AND g.metered_at IS NOT NULL
 AND (g.state <> 'released'
  OR NOT EXISTS (SELECT FROM proxy_attempt l WHERE l.generation_id = g.id AND l.outcome = 'late'))
UNION ALL
SELECT a.generation_id, a.id, g.created_at, a.ended_at,{_SOLD.format(t="a")}, a.is_known::int
FROM proxy_attempt a JOIN proxy_generation g ON g.id = a.generation_id{_ROUTE.format(t="a")}
WHERE a.generation_id > %(after)s AND a.generation_id <= %(upto)s AND a.upstream_id = ANY(%(upstreams)s)
"""
"""The requests that were charged, and the attempts beside them; usage that came late is an attempt alone."""
UP_TO = (
    "SELECT max(id) FROM (SELECT id FROM proxy_generation WHERE id > %(after)s AND id < %(before)s"
    " ORDER BY id LIMIT %(page)s) p"
)


class NoRate(LookupError):
    """There is no exchange rate for the bill's currency."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose requests are compared with a bill: those of all upstreams of its account, in the bill's currency."""

    upstreams: list[int]
    currency: str
    rate: Decimal
    zone: str
    first: date
    last: date

    def pages(self, query: str, parameters: Mapping[str, Any], *, days: int = 0) -> Iterator[Any]:
        """The rows that `query`, which holds `{asked}`, has of each page; with requests of `days` more on both sides.

        Requests that were under way when the first day began are among them.
        """
        zone, more = ZoneInfo(self.zone), timedelta(days=days)
        begin = datetime.combine(self.first, time.min, tzinfo=zone) - LONGEST - more
        end = datetime.combine(self.last + timedelta(days=1), time.min, tzinfo=zone) + more
        values = {
            **parameters,
            "currency": self.currency,
            "rate": self.rate,
            "upstreams": self.upstreams,
            "zone": self.zone,
            "before": first_id_of(end),
            "page": PAGE,
        }
        after: str | None = first_id_of(begin)
        text = query.replace("{asked}", ASKED)
        while True:
            with connection.cursor() as cursor:
                cursor.execute(UP_TO, {**values, "after": after})
                [upto] = cursor.fetchone()
                if upto is None:
                    return
                cursor.execute(text, {**values, "after": after, "upto": upto})
                rows = cursor.fetchall() if cursor.description else []
            yield from rows
            after = upto


def asked_of(bill: UpstreamBill, *, now: datetime) -> Asked:
    """Raises `NoRate` where what is paid in dollars cannot be told in the bill's currency."""
    rate = rates.newest(bill.currency, now=now)
    if rate is None:
        raise NoRate(f"there is no exchange rate for {bill.currency}")
    return Asked(upstreams_of(bill.upstream), bill.currency, rate, bill.zone, bill.first, bill.last)


def upstreams_of(upstream: Upstream) -> list[int]:
    """The ids of those that share the upstream's account, which one bill is of."""
    if not upstream.account:
        return [upstream.pk]
    return list(Upstream.objects.filter(account=upstream.account).order_by("pk").values_list("pk", flat=True))
