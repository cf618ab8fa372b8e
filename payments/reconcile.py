"""Statements against the books: each provider's day is fetched, stored, and matched line by line.

Fees and payouts post by themselves, keyed by line. Every other difference enters a queue; nothing edits the books.
Doing a day again changes nothing that was right, and closes what has been cured meanwhile.
"""

import hashlib
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, Sum

from billing.ledger import Posting, TransferConflict, house_account, post
from billing.money import ZERO
from payments.models import Discrepancy, DisputeMovement, Method, RefundPart, Statement, StatementLine, TopUp
from payments.provider_refunds import DoesNotFit, settle_refunds
from payments.providers import registry
from payments.providers.base import BillRow, ProviderError, Unreadable
from payments.providers.bills import SHANGHAI, StatementNotReady

log = logging.getLogger(__name__)

Kind, State = Discrepancy.Kind, Discrepancy.State
ZONES: dict[str, tzinfo] = {Method.STRIPE: UTC, Method.ALIPAY: SHANGHAI, Method.WECHAT: SHANGHAI}
SLACK = timedelta(hours=1)
"""A payment just before midnight may be booked here a little after it: the books' day ends that much earlier."""
MOST_DAYS = 31
"""Of a provider in one round."""
LATE_AFTER = timedelta(hours=36)
"""Providers write a day's statement until ten in the morning; a later one is somebody's to look at."""
AGAIN_AFTER = timedelta(days=1)
EMPTY_AFTER = timedelta(days=2)
"""Alipay tells a day without trades like one that is not ready; after this it was empty."""


@dataclass(slots=True)
class Result:
    """What one day's reconciliation saw and did."""

    lines: int = 0
    posted: int = 0
    open: list[Discrepancy] = field(default_factory=list)
    cured: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not fit, before it is a row."""

    kind: Discrepancy.Kind
    key: str
    currency: str
    theirs: Decimal | None = None
    ours: Decimal | None = None
    detail: str = ""


def due_days(*, provider: str, now: datetime) -> list[date]:
    """The days that are over and not matched yet, the oldest first, since the provider's first top-up."""
    first = TopUp.objects.filter(method=provider).order_by("created_at").values_list("created_at", flat=True).first()
    if first is None:
        return []
    start, today = (moment.astimezone(ZONES[provider]).date() for moment in (first, now))
    done = Statement.objects.filter(provider=provider, matched_at__isnull=False).values_list("day", flat=True)
    matched = set(done)
    days = (start + timedelta(days=number) for number in range((today - start).days))
    return [day for day in days if day not in matched]


def late_days(*, now: datetime) -> int:
    """How many days of all providers are without a matched statement for longer than providers take to write one."""
    return sum(
        start_of(provider, day) + timedelta(days=1) + LATE_AFTER < now
        for provider in Method.values
        for day in due_days(provider=provider, now=now)
    )


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
            match(provider=provider, day=day, now=now)
        except Exception:
            log.exception("the statement of %s for %s could not be matched again", provider, day)


def _open_days(*, now: datetime) -> list[tuple[str, date]]:
    """Matched days with open differences that were not looked at for a day."""
    open_days = set(Discrepancy.objects.filter(state=State.OPEN).values_list("provider", "day"))
    stale = Statement.objects.filter(matched_at__lt=now - AGAIN_AFTER, provider__in=[p for p, _day in open_days])
    return [found for found in stale.order_by("matched_at").values_list("provider", "day") if found in open_days][
        :MOST_DAYS
    ]


def reconcile(*, provider: str, day: date, now: datetime) -> Result:
    """Fetch one day and match it; raises `ProviderError`, and `LookupError` for a provider that is off."""
    rows = _fetch(provider, day, now=now)
    for row in rows:
        if row.kind == "refund" and _part_of(row, provider) is None:
            _look_for_refund(row, provider, now=now)
    return match(provider=provider, day=day, now=now)


def match(*, provider: str, day: date, now: datetime) -> Result:
    """Match a stored statement with the books; that it was matched is written with what that found."""
    with transaction.atomic():
        statement = Statement.objects.select_for_update(no_key=True).get(provider=provider, day=day)
        result = Result(lines=statement.lines)
        found = [
            Difference(Kind.UNEXPECTED, f"line {row['line']}", "", detail=row["text"]) for row in statement.unreadable
        ]
        for line in statement.rows.order_by("pk"):
            result.posted += _post(line, found, now=now)
            found += _differences(line)
        found += _missing_there(provider, day)
        _queue(result, found, provider=provider, day=day, now=now)
        statement.matched_at = now
        statement.save(update_fields=["matched_at"])
    return result


def statement_balances() -> dict[tuple[str, str], Decimal]:
    """What each provider's statements say it holds for us, by provider and currency: all their lines less fees."""
    sums = StatementLine.objects.values_list("provider", "currency").annotate(Sum("amount"), Sum("fee")).order_by()
    return {(provider, currency): amount - fee for provider, currency, amount, fee in sums}


def explain(*, discrepancy_id: int, note: str, by_id: int, now: datetime) -> bool:
    """Staff close one with a note; False if it was closed meanwhile."""
    chosen = Discrepancy.objects.filter(pk=discrepancy_id, state=State.OPEN)
    return bool(chosen.update(state=State.EXPLAINED, note=note.strip()[:500], decided_by_id=by_id, decided_at=now))


def _fetch(provider: str, day: date, *, now: datetime) -> list[BillRow]:
    """Ask for the day, store the file and its lines, replacing those of an earlier try."""
    raw, rows, unreadable = b"", list[BillRow](), list[Unreadable]()
    try:
        bill = registry.get(provider).fetch_statement(day)
        raw, rows, unreadable = bill.raw, bill.rows, bill.unreadable
    except StatementNotReady:
        if start_of(provider, day) + timedelta(days=1) + EMPTY_AFTER > now:
            raise
    facts = {
        "raw": zlib.compress(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "lines": len(rows) + len(unreadable),
        "unreadable": [{"line": row.line, "text": row.text[:300]} for row in unreadable],
        "matched_at": None,
        "fetched_at": now,
    }
    with transaction.atomic():
        statement, _ = Statement.objects.update_or_create(provider=provider, day=day, defaults=facts)
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
                transaction_id=row.transaction_id[:120],
                refund_id=row.refund_id[:120],
                number=row.number[:64],
                at=row.at,
            )
            for row in {row.key: row for row in rows}.values()
        )
    return rows


def start_of(provider: str, day: date) -> datetime:
    """The first moment of a provider's day."""
    return datetime.combine(day, time.min, tzinfo=ZONES[provider])


def _look_for_refund(row: BillRow, provider: str, *, now: datetime) -> None:
    """A refund that is not ours was begun at the provider, and its notification was lost: book it."""
    topup = TopUp.objects.filter(method=provider, transaction_id=row.transaction_id).first()
    if topup is None:
        return
    try:
        settle_refunds(topup_id=topup.pk, key=row.number or row.refund_id, now=now)
    except (ProviderError, DoesNotFit) as error:
        log.warning("refund %s of %s: %s", row.refund_id, provider, error)


def _part_of(row: BillRow | StatementLine, provider: str) -> RefundPart | None:
    parts = RefundPart.objects.filter(topup__method=provider)
    names = Q(key=row.number) if row.number else Q(pk__in=[])
    if row.refund_id:
        names |= Q(provider_id=row.refund_id)
    return parts.filter(names).first()


def _post(line: StatementLine, found: list[Difference], *, now: datetime) -> int:
    """Post a line's fee and payout; a dispute's fee was posted with the dispute."""
    clearing = house_account(f"clearing:{line.provider}:{line.currency}")
    fees, bank = house_account(f"expense:fees:{line.currency}"), house_account(f"bank:{line.currency}")
    key = f"statement:{line.provider}:{line.key}"
    moves = []
    if line.kind == "fee":
        moves.append((f"{key}:fee", "fee", fees, -line.amount))
    elif line.kind == "payout":
        moves.append((f"{key}:payout", "payout", bank, -line.amount))
    if line.fee and line.kind != "dispute":
        moves.append((f"{key}:fee", "fee", fees, line.fee))
    postings = []
    for name, kind, other, amount in moves:
        debit, credit = (other, clearing) if amount > 0 else (clearing, other)
        if amount:
            postings.append(Posting(name, kind, debit, credit, abs(amount), line.key))
    try:
        with transaction.atomic():
            post(postings, now=now, group=key)
    except TransferConflict as error:
        found.append(Difference(Kind.AMOUNT_DIFFERS, f"{line.key}:posted", line.currency, line.fee, detail=str(error)))
        return 0
    return len(postings)


def _differences(line: StatementLine) -> Iterator[Difference]:
    if line.kind == "payment":
        topup = TopUp.objects.filter(method=line.provider, transaction_id=line.transaction_id).first()
        ours = (topup.charge_amount, topup.charge_currency) if topup is not None else None
        yield from _compare(line, ours, f"{line.number} {line.transaction_id}")
    elif line.kind == "refund":
        part = _part_of(line, line.provider)
        ours = None
        # What two of finance paid by bank should not be here.
        if part is not None and part.state in (part.State.DONE, part.State.FAILED) and part.confirmed_by_id is None:
            ours = (-(part.charge_amount or ZERO), part.charge_currency)
        yield from _compare(line, ours, f"{line.number} {line.refund_id}")
    elif line.kind == "dispute":
        movement = DisputeMovement.objects.filter(dispute__provider=line.provider, provider_id=line.key).first()
        ours = (movement.amount, movement.currency) if movement is not None else None
        yield from _compare(line, ours, "dispute")
    elif line.kind == "refund_failure":
        part = _part_of(line, line.provider)
        failed = part is not None and part.state == RefundPart.State.FAILED
        ours = (part.charge_amount or ZERO, part.charge_currency) if part is not None and failed else None
        yield from _compare(line, ours, "refund that came back")
    elif line.kind == "other":
        yield Difference(Kind.UNEXPECTED, line.key, line.currency, line.amount, detail=line.transaction_id)


def _compare(line: StatementLine, ours: tuple[Decimal, str] | None, detail: str) -> Iterator[Difference]:
    if ours is None:
        yield Difference(Kind.MISSING_HERE, line.key, line.currency, line.amount, detail=detail)
    elif ours != (line.amount, line.currency):
        words = f"{detail}, ours in {ours[1]}" if ours[1] != line.currency else detail
        yield Difference(Kind.AMOUNT_DIFFERS, line.key, line.currency, line.amount, ours[0], words)


def _missing_there(provider: str, day: date) -> Iterator[Difference]:
    """What we booked on that day and no statement so far tells."""
    start = start_of(provider, day) - SLACK
    end = start + timedelta(days=1)
    lines = StatementLine.objects.filter(provider=provider)
    paid = TopUp.objects.filter(method=provider, state=TopUp.State.PAID, paid_at__gte=start, paid_at__lt=end)
    told = set(
        lines.filter(kind="payment", transaction_id__in=paid.values("transaction_id")).values_list(
            "transaction_id", flat=True
        )
    )
    for topup in paid.order_by("pk"):
        if topup.transaction_id not in told:
            yield Difference(
                Kind.MISSING_THERE,
                topup.number,
                topup.charge_currency,
                ours=topup.charge_amount,
                detail=topup.transaction_id,
            )
    parts = RefundPart.objects.filter(
        topup__method=provider,
        state=RefundPart.State.DONE,
        confirmed_by__isnull=True,
        done_at__gte=start,
        done_at__lt=end,
    ).exclude(charge_amount=0)
    for part in parts.order_by("pk"):
        names = Q(number=part.key)
        if part.provider_id:
            names |= Q(refund_id=part.provider_id)
        if not lines.filter(names).exists():
            amount = -(part.charge_amount or ZERO)
            yield Difference(Kind.MISSING_THERE, part.key, part.charge_currency, ours=amount, detail=part.provider_id)


def _queue(result: Result, found: list[Difference], *, provider: str, day: date, now: datetime) -> None:
    """Write what is new, leave what staff have explained, close what is cured."""
    there = {(row.kind, row.key): row for row in Discrepancy.objects.filter(provider=provider, day=day)}
    for difference in found:
        facts = {
            "theirs": difference.theirs,
            "ours": difference.ours,
            "currency": difference.currency[:3],
            "detail": difference.detail[:300],
        }
        row = there.pop((difference.kind, difference.key), None)
        if row is None:
            row = Discrepancy.objects.create(
                provider=provider, day=day, kind=difference.kind, key=difference.key, found_at=now, **facts
            )
        elif row.state == State.CURED or (row.theirs, row.ours) != (difference.theirs, difference.ours):
            Discrepancy.objects.filter(pk=row.pk).update(state=State.OPEN, found_at=now, **facts)
            row.refresh_from_db()
        if row.state == State.OPEN:
            result.open.append(row)
    cured = [row.pk for row in there.values() if row.state == State.OPEN]
    result.cured = Discrepancy.objects.filter(pk__in=cured).update(state=State.CURED, decided_at=now)
