"""What upstreams say that requests used, and that cannot be: kept apart, as it is in no cost.

A request is listed once, in the transaction that posts its batch.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from billing.months.journal import csv_line
from proxy.models import Attempt, Claim, Generation
from proxy.prices.usage import Usage
from proxy.purchases.costs import Purchase, Used, usage_of

COUNTS = (
    *("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    *("reasoning_tokens", "units"),
)
RECENT = timedelta(days=30)
MOST_COUNTED = 1_000


def note(purchases: Iterable[tuple[Used, Purchase]]) -> None:
    """List those of these that cannot be believed."""
    doubted = [(one, paid) for one, paid in purchases if paid.doubt or one.has_gap]
    if not doubted:
        return
    requests = Generation.objects.in_bulk([one.pk for one, _ in doubted if one.attempt is None])
    attempts = Attempt.objects.in_bulk([one.attempt for one, _ in doubted if one.attempt is not None])
    Claim.objects.bulk_create(
        _claim(one, paid, requests[one.pk] if one.attempt is None else attempts[one.attempt]) for one, paid in doubted
    )


def _claim(one: Used, paid: Purchase, row: Generation | Attempt) -> Claim:
    if paid.doubt or isinstance(row, Attempt):
        claimed = _counts(usage_of(one))
    else:
        claimed = {"input_tokens": row.native_input_tokens, "output_tokens": row.native_output_tokens}
    return Claim(
        generation_id=one.pk,
        attempt=one.attempt,
        model_id=one.model_id,
        upstream_id=one.upstream_id or 0,
        ended_at=one.settled_at,
        why=paid.doubt or Claim.Why.GAP,
        claimed=claimed,
        stated_cost=row.stated_cost,
        posted_cost=paid.cost if paid.is_believed else None,
    )


def _counts(usage: Usage) -> dict[str, Any]:
    counts = {name: getattr(usage, name) for name in COUNTS} | dict(usage.more or {})
    return {name: count if isinstance(count, int) else f"{count:f}" for name, count in counts.items() if count}


def recent(*, now: datetime) -> list[tuple[str, int]]:
    """How many of the last 30 days each upstream has, most first; counted no further than a thousand."""
    latest = Claim.objects.filter(ended_at__gt=now - RECENT).order_by("-ended_at")
    return Counter(latest.values_list("upstream__name", flat=True)[:MOST_COUNTED]).most_common()


def in_order(claimed: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a claim says, the usual counts first."""
    return [(name, claimed[name]) for name in (*COUNTS, *sorted(claimed.keys() - set(COUNTS))) if name in claimed]


def csv(claims: Iterable[Claim]) -> Iterator[str]:
    """Lines of CSV; the claims come with their model and upstream. Costs in USD, but for what was posted."""
    yield csv_line(["request", "attempt", "ended_at", "upstream", "model", "why", "claimed", "stated_cost", "posted"])
    for one in claims:
        claimed = " ".join(f"{name}={count}" for name, count in in_order(one.claimed))
        yield csv_line(
            [
                *(one.generation_id, one.attempt or "", one.ended_at.isoformat(), one.upstream.name, one.model.slug),
                *(one.why, claimed, "" if one.stated_cost is None else one.stated_cost),
                "" if one.posted_cost is None else one.posted_cost,
            ]
        )
