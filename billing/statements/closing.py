"""Closing the months of accounts: an hour after its end a month is summed, kept, and told of. Each once.

Customers come in pages, each in a transaction of its own: whoever is killed leaves closed what was closed, and the next
run goes on with the rest.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.discrepancies import queue, sources
from billing.models import Discrepancy, MonthStatement
from billing.outbox import events
from billing.outbox.kinds import Fact
from billing.statements.figures import Figures, Span, body, figures, next_span

log = logging.getLogger(__name__)

SETTLED = timedelta(hours=1)
"""How long after its end a month is closed: what was begun before it is committed or given up by then."""
SHORTEST = timedelta(days=27)
"""No month is shorter, whatever the zone was changed to."""
PAGE = 500
SOURCE = "months"
NOT_ALONE = "SELECT pg_advisory_xact_lock(hashtext('close_month'), %s)"
"""One closes an account's months at a time."""


@dataclass(slots=True)
class Progress:
    """How many months were closed, and how many do not add up."""

    closed: int = 0
    refused: int = 0


def close_due(*, now: datetime) -> Progress:
    """Close all that is due, the oldest month of each account first."""
    progress = Progress()
    for customer in _maybe_due(now):
        while True:
            try:
                outcome = close_next(customer_id=customer, now=now)
            except Exception:
                log.exception("a month of customer %s was not closed", customer)
                outcome = False
            if outcome is None:
                break
            if not outcome:
                progress.refused += 1
                break
            progress.closed += 1
    return progress


def close_next(*, customer_id: int, now: datetime) -> bool | None:
    """Close an account's oldest open month; None where none is due, False where it does not add up."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(NOT_ALONE, [customer_id])
        customer = Customer.objects.get(pk=customer_id)
        last = MonthStatement.objects.filter(customer=customer).order_by("-month").first()
        span = next_span(customer, last)
        if span.closes_at + SETTLED > now:
            return None
        found = figures(span, customer_id=customer_id)
        expected = found if last is not None else _from_nothing(found)
        _tell_desk(span, expected, customer_id=customer_id, now=now)
        if expected.difference:
            log.error("statement %s of customer %s does not add up", f"{span.month:%Y-%m}", customer_id)
            return False
        _keep(span, found, customer=customer, now=now)
    return True


def _from_nothing(found: Figures) -> Figures:
    """An account begins with nothing."""
    return Figures(found.opening * 0, found.lines, found.fees, found.closing)


def _keep(span: Span, found: Figures, *, customer: Customer, now: datetime) -> None:
    said = body(span, found, state="closed")
    statement = MonthStatement.objects.create(
        customer=customer,
        month=span.month,
        zone=span.zone,
        opens_at=span.opens_at,
        closes_at=span.closes_at,
        opening=found.opening,
        closing=found.closing,
        body=said,
        sha256=digest(said),
        closed_at=now,
    )
    events.record(
        Fact.STATEMENT_CLOSED,
        key=f"statement:{customer.pk}:{said['month']}:closed",
        subject=said["month"],
        data={},
        now=now,
        customer_id=customer.pk,
        about=statement,
    )


def digest(said: object) -> str:
    """The SHA-256 of a statement, its names in order."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _tell_desk(span: Span, found: Figures, *, customer_id: int, now: datetime) -> None:
    """What does not add up waits among the differences; what does any more is cured."""
    key = f"customer:{customer_id}:{span.month:%Y-%m}"
    day = span.closes_at.date()
    differences = []
    if found.difference:
        detail = f"{found.difference:f} USD more by opening and lines than by the wallet"
        differences = [
            queue.Difference(
                kind=Discrepancy.Kind.AMOUNT_DIFFERS,
                key=key,
                currency="USD",
                theirs=found.closing,
                ours=found.closing + found.difference,
                detail=detail,
            )
        ]
    queue.put(differences, source=SOURCE, day=day, now=now, about=key)


def _maybe_due(now: datetime) -> Iterator[int]:
    """Accounts whose last closed month is old enough for another one, page by page."""
    last = MonthStatement.objects.filter(customer=OuterRef("pk")).order_by("-month").values("closes_at")[:1]
    upto, seen = now - SETTLED - SHORTEST, 0
    while True:
        rows = Customer.objects.filter(pk__gt=seen).order_by("pk").annotate(closed_to=Subquery(last))
        page = list(rows.values_list("pk", "closed_to")[:PAGE])
        if not page:
            return
        yield from (pk for pk, closed_to in page if closed_to is None or closed_to < upto)
        seen = page[-1][0]


def connect() -> None:
    """Name the source of differences that statements are."""
    sources.register(sources.Source(SOURCE, _("Customers' statements"), account=lambda _discrepancy: ""))
