"""The books as finance reads them: totals of closed days, balances, the journal of a month.

System accounts cache nothing (a cached row would serialise every request), so a day that is over is summed once and
stored; the open day is summed when it is asked for.
"""

import csv
import io
import logging
import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min, Q, Sum
from django.utils import timezone

from billing.audit.run import audit
from billing.books.money import ZERO
from billing.models import AccountDay, AuditRun, ClosedDay, LedgerAccount, Transfer, Wallet
from billing.months.periods import must_keep_zone, next_month
from billing.months.writers import wait_for_writers

SETTLED = timedelta(hours=1)
"""How long after midnight a day is closed at the earliest."""
PAGE = 5_000
TOTALS = """
INSERT INTO billing_accountday (day, account_id, debits, credits, transfers)
SELECT %(day)s, account, sum(debit), sum(credit), count(*) FROM (
 SELECT debit_id AS account, amount AS debit, 0 AS credit FROM billing_transfer
  WHERE created_at >= %(start)s AND created_at < %(end)s
 UNION ALL
 SELECT credit_id, 0, amount FROM billing_transfer WHERE created_at >= %(start)s AND created_at < %(end)s
) t GROUP BY account"""
OPEN_DAYS = """
SELECT account, sum(debit), sum(credit) FROM (
 SELECT debit_id AS account, amount AS debit, 0 AS credit FROM billing_transfer WHERE created_at >= %(start)s
 UNION ALL
 SELECT credit_id, 0, amount FROM billing_transfer WHERE created_at >= %(start)s
) t WHERE account = ANY(%(accounts)s) GROUP BY account"""
log = logging.getLogger(__name__)
DANGEROUS = ("=", "+", "-", "@")
BLANK = "\ufeff\u200b\u200c\u200d\u2060"
"""Characters without a width, which `isspace` does not know."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One house account: credits less debits, in its currency."""

    account: LedgerAccount
    amount: Decimal


def start_of(day: date) -> datetime:
    """The first moment of a day in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def close_days(*, now: datetime, most: int = 400) -> int:
    """Store the totals of the days that are over, oldest first; return how many were closed. Repeats change nothing.

    Raises `ImproperlyConfigured` if the books' zone is another than that of the days closed so far.
    """
    closed = 0
    must_keep_zone()
    if _is_due(_next_open_day(), now=now) and not wait_for_writers():
        log.warning("no day is closed: somebody has been writing transfers for long")
        return closed
    for _number in range(most):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('close_days'))")
            day = _next_open_day()
            if day is None or not _is_due(day, now=now):
                return closed
            cursor.execute(TOTALS, {"day": day, "start": start_of(day), "end": start_of(day + timedelta(days=1))})
            rows = AccountDay.objects.filter(day=day).aggregate(n=Sum("transfers"))["n"] or 0
            zone = settings.BOOKS_TIME_ZONE.key
            ClosedDay.objects.create(day=day, transfers=rows // 2, zone=zone, closed_at=now)
            closed += 1
    return closed


def house_balances(names: str = "") -> list[Balance]:
    """The house's accounts whose names begin with `names`: closed days from their totals, the rest summed."""
    accounts = list(
        LedgerAccount.objects.filter(kind=LedgerAccount.Kind.SYSTEM, name__startswith=names).order_by("name")
    )
    sums = {account.pk: ZERO for account in accounts}
    closed = AccountDay.objects.filter(account__in=accounts).values_list("account_id")
    for pk, debits, credits in closed.annotate(Sum("debits"), Sum("credits")).order_by():
        sums[pk] += credits - debits
    for pk, debits, credits in _since_closed(list(sums)):
        sums[pk] += credits - debits
    return [Balance(account, sums[account.pk]) for account in accounts]


def turnover(account: str, *, days: int, now: datetime) -> list[tuple[date, Decimal, Decimal]]:
    """(day, debits, credits) of a house account on each of the last `days` days in UTC, the oldest first."""
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    found = {first + timedelta(days=n): (ZERO, ZERO) for n in range(days)}
    pk = LedgerAccount.objects.filter(name=account).values_list("pk", flat=True).first()
    for row in AccountDay.objects.filter(account_id=pk, day__gte=first):
        found[row.day] = (row.debits, row.credits)
    last = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    start = max(start_of(first), start_of(last + timedelta(days=1))) if last else start_of(first)
    for side, place in (("debit_id", 0), ("credit_id", 1)):
        sums = Transfer.objects.filter(**{side: pk}, created_at__gte=start).values_list("created_at__date")
        for day, amount in sums.annotate(Sum("amount")).order_by():
            if day in found:
                old = found[day]
                found[day] = (old[0] + amount, old[1]) if place == 0 else (old[0], old[1] + amount)
    return [(day, debits, credits) for day, (debits, credits) in found.items()]


def moved(names: str, *, first: date, last: date) -> list[Balance]:
    """What the house's accounts whose names begin with `names` saw on these days in UTC, both included; those that saw
    nothing are left out.
    """
    accounts = LedgerAccount.objects.filter(kind=LedgerAccount.Kind.SYSTEM, name__startswith=names).order_by("name")
    found = {account.pk: account for account in accounts}
    sums: dict[int, Decimal] = {}
    closed = AccountDay.objects.filter(account__in=found, day__gte=first, day__lte=last).values_list("account_id")
    for pk, debits, credits in closed.annotate(Sum("debits"), Sum("credits")).order_by():
        sums[pk] = credits - debits
    closed_to = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    start = start_of(max(first, closed_to + timedelta(days=1)) if closed_to else first)
    for side, sign in (("debit_id", -1), ("credit_id", 1)):
        rows = Transfer.objects.filter(created_at__gte=start, created_at__lt=start_of(last + timedelta(days=1)))
        for pk, amount in rows.filter(**{f"{side}__in": found}).values_list(side).annotate(Sum("amount")).order_by():
            sums[pk] = sums.get(pk, ZERO) + sign * amount
    return [Balance(found[pk], amount) for pk, amount in sorted(sums.items(), key=lambda one: found[one[0]].name)]


def liability() -> dict[str, Decimal]:
    """What the house owes its customers, USD: the sums of all wallets; `receivable` is what some owe it.

    `paid` counts wallets above zero alone: one customer's debt pays no other.
    """
    sums = Wallet.objects.aggregate(
        owed=Sum("paid", filter=Q(paid__gt=0)),
        owing=Sum("paid", filter=Q(paid__lt=0)),
        bonuses=Sum("bonus"),
        holds=Sum("held"),
    )
    owed, owing, bonus, held = (sums[name] or ZERO for name in ("owed", "owing", "bonuses", "holds"))
    return {"paid": owed, "receivable": -owing, "bonus": bonus, "held": held}


def run_audit(*, now: datetime) -> AuditRun:
    """Audit everything and keep the result for the desk."""
    report = audit()
    return AuditRun.objects.create(
        started_at=now,
        finished_at=timezone.now(),
        customers=report.customers,
        drifts=len(report.drifts),
        first_drifts="\n".join(report.drifts[:20]),
    )


def journal(*, year: int, month: int) -> Iterator[str]:
    """A month's transfers as CSV for the accountant, by the day they are booked on, in the books' zone.

    Pages go by id, so no snapshot grows old.
    """
    first = date(year, month, 1)
    names = ["id", "time (UTC)", "booked on", "kind", "key", "group", "debit", "credit", "currency", "amount", "note"]
    yield csv_line([*names])
    booked = Transfer.objects.filter(booked_on__gte=first, booked_on__lt=next_month(first))
    ends = booked.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return
    last = ends["first"] - 1
    rows = booked.filter(pk__lte=ends["last"]).select_related("debit", "credit").order_by("pk")
    while page := list(rows.filter(pk__gt=last)[:PAGE]):
        for row in page:
            stamp = row.created_at.astimezone(UTC).isoformat(timespec="seconds")
            values = [row.kind, row.key, row.group, row.debit.name, row.credit.name]
            yield csv_line([row.pk, stamp, str(row.booked_on), *values, row.currency, row.amount, row.memo])
        last = page[-1].pk


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, whatever blanks or wide signs (＝) it begins with."""
    begin = text.lstrip().lstrip(BLANK + string.whitespace)
    is_formula = unicodedata.normalize("NFKC", begin[:1]).startswith(DANGEROUS)
    return f"'{text}" if is_formula or text.startswith(("\t", "\r", "\n")) else text


def csv_line(cells: list[object]) -> str:
    """A line of CSV without formulas in it; an amount, which may begin with its sign, in plain digits."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(cell: object) -> object:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return harmless(cell) if isinstance(cell, str) else cell


def _is_due(day: date | None, *, now: datetime) -> bool:
    return day is not None and start_of(day + timedelta(days=1)) + SETTLED <= now


def _next_open_day() -> date | None:
    last = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    if last is not None:
        return last + timedelta(days=1)
    first = Transfer.objects.order_by("pk").values_list("created_at", flat=True).first()
    return first.astimezone(UTC).date() if first is not None else None


def _since_closed(accounts: list[int]) -> list[tuple[int, Decimal, Decimal]]:
    last = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    start = start_of(last + timedelta(days=1)) if last else start_of(date(2000, 1, 1))
    with connection.cursor() as cursor:
        cursor.execute(OPEN_DAYS, {"start": start, "accounts": accounts})
        return list(cursor.fetchall())
