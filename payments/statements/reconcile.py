"""Statements against the books: each provider's day is fetched, stored, and matched line by line.

Fees and payouts post by themselves, keyed by line: a fee when its payment is matched. On a day with another shop's
payments, fees and payouts that name no payment wait until finance says that the account is shared. Every other
difference enters a queue; nothing edits the books.
Doing a day again changes nothing that was right, and closes what has been cured meanwhile.
"""

import hashlib
import logging
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from billing.discrepancies import queue
from billing.discrepancies.queue import Difference
from payments.models import Discrepancy, Method, Statement, StatementLine, TopUp
from payments.providers import registry
from payments.providers.base import ProviderError, Unreadable
from payments.providers.sheets import StatementNotReady
from payments.statements import fetching
from payments.statements.matching import NAMING, Kind, differences, fits, is_stranger, missing_there
from payments.statements.posting import post_line

log = logging.getLogger(__name__)

ZONES: dict[str, tzinfo] = {code: spec.statement_zone for code, spec in registry.SPECS.items()}
SLACK = timedelta(hours=1)
"""A payment just before midnight may be booked here a little after it: the books' day ends that much earlier."""
MOST_NAMED = 100
"""Lines of one day that are asked about in one round."""
MOST_DAYS = 31
"""Of a provider in one round."""
AGAIN_AFTER = timedelta(days=1)
EMPTY_AFTER = timedelta(days=2)
"""A provider may tell a bill without lines like one that is not ready; after this it was empty."""
LATE_AFTER = EMPTY_AFTER + timedelta(hours=6)
"""A statement that is not there by then, nor its day known to be empty, is somebody's to look at."""


@dataclass(slots=True)
class Result:
    """What one day's reconciliation saw and did."""

    lines: int = 0
    posted: int = 0
    open: list[Discrepancy] = field(default_factory=list)
    cured: int = 0


def due_days(*, provider: str, now: datetime) -> list[date]:
    """The days that are over and neither matched since they are nor given up, the newest first, since the provider's
    first top-up.

    A provider may never give a day that is long past: it should not keep newer ones waiting.
    """
    first = TopUp.objects.filter(method=provider).order_by("created_at").values_list("created_at", flat=True).first()
    if first is None:
        return []
    start, today = (moment.astimezone(ZONES[provider]).date() for moment in (first, now))
    statements = Statement.objects.filter(provider=provider).values_list(
        "day", "fetched_at", "matched_at", "given_up_at"
    )
    done = {
        day
        for day, fetched_at, matched_at, given_up_at in statements
        if given_up_at is not None
        or (matched_at is not None and fetched_at >= start_of(provider, day) + timedelta(days=1))
    }
    days = (today - timedelta(days=number) for number in range(1, (today - start).days + 1))
    return [day for day in days if day not in done]


def late_days(*, now: datetime) -> int:
    """How many days of all providers are without a matched statement for longer than providers take to write one."""
    return sum(len(late_days_of(provider=provider, now=now)) for provider in Method.values)


def late_days_of(*, provider: str, now: datetime) -> list[date]:
    """One provider's, the newest first."""
    due = due_days(provider=provider, now=now)
    return [day for day in due if start_of(provider, day) + timedelta(days=1) + LATE_AFTER < now]


def give_up(*, provider: str, first: date, last: date, by: User, now: datetime) -> list[Statement]:
    """Finance asks no longer for the late days from `first` to `last`: their provider gives no statement of them.

    What was paid on them stays as it was booked, untold; fees and payouts of them are finance's to enter.
    """
    given_up = []
    with transaction.atomic():
        for day in late_days_of(provider=provider, now=now):
            if first <= day <= last:
                empty = {"raw": b"", "sha256": "", "lines": 0, "fetched_at": now}
                statement, _ = Statement.objects.get_or_create(provider=provider, day=day, defaults=empty)
                statement.given_up_at, statement.given_up_by = now, by
                statement.save(update_fields=["given_up_at", "given_up_by"])
                given_up.append(statement)
    return given_up


def reconcile_due(*, now: datetime) -> None:
    """Fetch and match what is due, each provider and day on its own; what has no statement yet is asked again later.

    What differs is matched again once a day: a statement of the next day, or staff, may have cured it.
    """
    for provider in registry.providers():
        for day in due_days(provider=provider, now=now)[:MOST_DAYS]:
            try:
                result = reconcile(provider=provider, day=day, now=now)
            except StatementNotReady:
                continue
            except ProviderError as error:
                log.warning("no statement of %s for %s: %s", provider, day, error)
                continue
            except Exception:
                log.exception("the statement of %s for %s could not be matched", provider, day)
                continue
            if result.open:
                log.error("%s %s: %d differences between statement and books", provider, day, len(result.open))
    for provider, day in _open_days(now=now):
        try:
            match_again(provider=provider, day=day, now=now)
        except Exception:
            log.exception("the statement of %s for %s could not be matched again", provider, day)


def _open_days(*, now: datetime) -> list[tuple[str, date]]:
    """Matched days with open differences that were not looked at for a day."""
    open_days = set(queue.waiting().values_list("provider", "day"))
    stale = Statement.objects.filter(matched_at__lt=now - AGAIN_AFTER, provider__in=[p for p, _day in open_days])
    return [found for found in stale.order_by("matched_at").values_list("provider", "day") if found in open_days][
        :MOST_DAYS
    ]


def reconcile(*, provider: str, day: date, now: datetime) -> Result:
    """Fetch one day and match it; raises `ProviderError`, and `LookupError` for a provider that is off."""
    _fetch(provider, day, now=now)
    _settle((line for line in _named(provider, day) if not fits(line)), now=now)
    return match(provider=provider, day=day, now=now)


def match_again(*, provider: str, day: date, now: datetime) -> Result:
    """Settle what the day's open differences name, and match it anew."""
    keys = queue.waiting(source=provider).filter(day=day).values_list("key", flat=True)
    _settle(_named(provider, day).filter(key__in=list(keys)), now=now)
    return match(provider=provider, day=day, now=now)


def _named(provider: str, day: date) -> QuerySet[StatementLine]:
    """A day's lines that name something which the provider can be asked about."""
    lines = StatementLine.objects.filter(statement__provider=provider, statement__day=day, kind__in=NAMING)
    return lines.order_by("pk")


def _settle(lines: Iterable[StatementLine], *, now: datetime) -> None:
    """What bears our numbers first: another shop on the same account may fill a statement with what is none of ours."""
    fetching.settle_lines(sorted(lines, key=is_stranger)[:MOST_NAMED], now=now)


def match(*, provider: str, day: date, now: datetime) -> Result:
    """Match a stored statement with the books; that it was matched is written with what that found."""
    with transaction.atomic():
        statement = Statement.objects.select_for_update(no_key=True).get(provider=provider, day=day)
        result = Result(lines=statement.lines)
        found = [
            Difference(Kind.UNEXPECTED, Unreadable(**row).key, "", detail=row["text"]) for row in statement.unreadable
        ]
        lines = list(statement.rows.order_by("pk"))
        unlike = {line.pk: list(differences(line)) for line in lines}
        missing = {pk for pk, found_of in unlike.items() if any(one.kind == Kind.MISSING_HERE for one in found_of)}
        strangers = {line.pk for line in lines if line.pk in missing and is_stranger(line)}
        is_shared = is_said_shared(provider=provider, day=day)
        held_back = len(strangers) if not is_shared else 0
        for line in lines:
            is_set_apart = is_shared and line.pk in strangers
            found += [] if is_set_apart else unlike[line.pk]
            if line.pk in missing and not is_set_apart:
                continue  # its fee is posted when it is matched
            if held_back and line.kind not in NAMING:
                held_back += 1
                continue
            posted, wrong = post_line(line, now=now, is_strangers=is_set_apart)
            result.posted += posted
            found += [wrong] if wrong is not None else []
        found += missing_there(provider, start_of(provider, day) - SLACK)
        queued = queue.put(found, source=provider, day=day, now=now)
        result.open, result.cured = queued.open, queued.cured
        statement.matched_at, statement.held_back = now, held_back
        statement.save(update_fields=["matched_at", "held_back"])
    return result


def is_said_shared(*, provider: str, day: date) -> bool:
    """Whether finance said, for this day or an earlier one, that another shop uses the account too."""
    return Statement.objects.filter(provider=provider, day__lte=day, shared_at__isnull=False).exists()


def share(*, provider: str, day: date, by_id: int, now: datetime) -> None:
    """Finance says that another shop uses the account from this day on: what is its own is booked to `others:`."""
    Statement.objects.filter(provider=provider, day=day).update(shared_at=now, shared_by_id=by_id)
    waiting = Statement.objects.filter(provider=provider, day__gte=day, held_back__gt=0)
    for waits in list(waiting.order_by("day").values_list("day", flat=True)):
        match(provider=provider, day=waits, now=now)


def _fetch(provider: str, day: date, *, now: datetime) -> None:
    """Ask for the day, store the file and its lines, replacing those of an earlier try."""
    bill, start = registry.get(provider).fetch_statement(day), start_of(provider, day)
    if bill.may_come and start + timedelta(days=1) + EMPTY_AFTER > now:
        raise StatementNotReady(f"{provider}: a bill is missing")
    rows = bill.rows
    values = {
        "raw": zlib.compress(bill.raw),
        "sha256": hashlib.sha256(bill.raw).hexdigest(),
        "lines": len(rows) + len(bill.unreadable),
        "unreadable": [asdict(replace(row, text=row.text[:300])) for row in bill.unreadable],
        "matched_at": None,
        "fetched_at": now,
    }
    with transaction.atomic():
        statement, _ = Statement.objects.update_or_create(provider=provider, day=day, defaults=values)
        StatementLine.objects.filter(
            Q(statement=statement) | Q(provider=provider, key__in=[r.key for r in rows])
        ).delete()
        StatementLine.objects.bulk_create(
            StatementLine(
                statement=statement,
                provider=provider,
                key=row.key[:160],
                kind=row.kind,
                amount=row.amount,
                fee=row.fee,
                currency=row.currency[:3],
                charge_amount=row.charge_amount,
                charge_currency=row.charge_currency[:3],
                transaction_id=row.transaction_id[:120],
                refund_id=row.refund_id[:120],
                number=row.number[:64],
                # Booked on its statement's day, whatever time it bears.
                at=row.at if start <= row.at < start + timedelta(days=1) else start,
                detail=row.detail,
            )
            for row in {row.key: row for row in rows}.values()
        )


def start_of(provider: str, day: date) -> datetime:
    """The first moment of a provider's day."""
    return datetime.combine(day, time.min, tzinfo=ZONES[provider])
