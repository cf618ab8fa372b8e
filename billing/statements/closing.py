"""Closing the months of accounts: an hour after its end a month is summed, kept, and told of. Each once.

Customers come in pages, each in a transaction of its own: whoever is killed leaves closed what was closed, and the next
run goes on with the rest. Whoever writes a transfer as a run begins is waited for; one written later and dated into a
closed month has the database's time instead, by a trigger under the lock that closes (`transfer_open_day`).
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Max, OuterRef, Subquery
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.books.money import ZERO
from billing.discrepancies import queue, sources
from billing.models import Discrepancy, MonthStatement, Transfer
from billing.months.writers import wait_for_writers
from billing.outbox import events
from billing.outbox.kinds import Fact
from billing.statements.figures import Figures, Span, body, figures, next_span
from billing.statements.usage import used_in

log = logging.getLogger(__name__)

SETTLED = timedelta(hours=1)
"""How long after its end a month is closed at the earliest."""
SHORTEST = timedelta(days=27)
"""No month is shorter, whatever the zone was changed to."""
PAGE = TOLD_EVERY = 500
SOURCE = "months"
NOT_ALONE = "SELECT pg_advisory_xact_lock(hashtext('close_month'), %s)"
"""One closes an account's months at a time."""


@dataclass(slots=True)
class Progress:
    """How many months were closed, and how many do not add up; whether some wait for one who writes transfers."""

    closed: int = 0
    refused: int = 0
    waits: bool = False


def close_due(*, now: datetime) -> Progress:
    """Close all that is due, the oldest month of each account first. Call it outside any transaction."""
    progress = Progress()
    run: _Run | None = None
    for customer in _maybe_due(now):
        if run is None:
            run = _Run(known_to=_last_id(), told=_told(), now=now)
            if not wait_for_writers():
                log.warning("no month is closed: somebody has been writing transfers for long")
                progress.waits = True
                break
        try:
            _close_months(customer, run, progress)
        except Exception:
            log.exception("a month of customer %s was not closed", customer)
            progress.refused += 1
    return progress


@dataclass(frozen=True, slots=True)
class _Run:
    """Up to the id `known_to` all transfers are committed, or never will be; `told` are the desk's open differences."""

    known_to: int
    told: frozenset[str]
    now: datetime


def _close_months(customer_id: int, run: _Run, progress: Progress) -> None:
    """Close an account's months, the oldest first, each in a transaction of its own, until one is not due or does not
    add up.
    """
    is_due = True
    while is_due:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(NOT_ALONE, [customer_id])
            customer = Customer.objects.get(pk=customer_id)
            last = MonthStatement.objects.filter(customer=customer).defer("body").order_by("-month").first()
            span = next_span(customer, last)
            if not _is_due(span, now=run.now):
                return
            found = figures(span, customer_id=customer_id)
            expected = found if last is not None else replace(found, opening=ZERO)  # an account begins with nothing
            _tell_desk(span, expected, customer_id=customer_id, run=run)
            if not expected.difference:
                kept = _keep(span, found, customer=customer, run=run)
        if expected.difference:
            log.error("statement %s of customer %s does not add up", f"{span.month:%Y-%m}", customer_id)
            progress.refused += 1
            return
        progress.closed += 1
        if progress.closed % TOLD_EVERY == 0:
            log.info("%s statements are closed", progress.closed)
        is_due = _is_due(next_span(customer, kept), now=run.now)


def _is_due(span: Span, *, now: datetime) -> bool:
    return span.closes_at + SETTLED <= now


def _last_id() -> int:
    """The highest that can be read: whoever writes a lower one has begun already."""
    return Transfer.objects.aggregate(last=Max("pk"))["last"] or 0


def _told() -> frozenset[str]:
    """The keys of what does not add up yet."""
    return frozenset(queue.waiting(source=SOURCE).values_list("key", flat=True))


def _keep(span: Span, found: Figures, *, customer: Customer, run: _Run) -> MonthStatement:
    said = body(span, found, used_in(span.month, customer_id=customer.pk), state="closed")
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
        moves_from=min(found.next_id, run.known_to + 1),
        closed_at=run.now,
    )
    events.record(
        Fact.STATEMENT_CLOSED,
        key=f"statement:{customer.pk}:{said['month']}:closed",
        subject=said["month"],
        data={},
        now=run.now,
        customer_id=customer.pk,
        about=statement,
    )
    return statement


def digest(said: object) -> str:
    """The SHA-256 of a statement, its names in order."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _tell_desk(span: Span, found: Figures, *, customer_id: int, run: _Run) -> None:
    """What does not add up waits among the differences; what does any more is cured."""
    key = f"customer:{customer_id}:{span.month:%Y-%m}"
    if not found.difference and key not in run.told:
        return
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
    queue.put(differences, source=SOURCE, day=day, now=run.now, about=key)


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
