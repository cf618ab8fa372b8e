"""The weekly summary: what an account paid in and used in its week, by mail on its Monday at 08:00."""

import logging
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from accounts.limits.periods import start_of, zone_of
from accounts.models import Customer
from accounts.people.customers import language_of
from billing.books.kinds import Kind
from billing.books.money import ZERO, api_amount
from billing.levels import level_of
from billing.models import AlertSettings, Transfer, Wallet
from billing.outbox import events
from billing.outbox.kinds import Fact

log = logging.getLogger(__name__)

HOUR = time(8)
WEEK = timedelta(days=7)
EARLIEST_ZONE = timedelta(hours=14)
USED = (Kind.USAGE, Kind.USAGE_BONUS, Kind.REVERSAL, Kind.RERATE, Kind.RERATE_UP)


def last_due(customer: Customer, *, now: datetime) -> date:
    """The last Monday at whose 08:00, in the account's zone, a summary was due."""
    here = now.astimezone(zone_of(customer.time_zone))
    monday = here.date() - timedelta(days=here.weekday())
    return monday if here.date() > monday or here.time() >= HOUR else monday - WEEK


def send_due(*, now: datetime, limit: int = 200) -> int:
    """Tell the weeks that are over; return how many. One that fails keeps no other."""
    furthest = (now + EARLIEST_ZONE).date()
    monday = furthest - timedelta(days=furthest.weekday())
    due = AlertSettings.objects.filter(weekly_summary=True, summarized_on__lt=monday)
    told = 0
    for pk in due.order_by("summarized_on", "pk").values_list("pk", flat=True)[:limit]:
        try:
            told += _tell(pk, now=now)
        except Exception:
            log.exception("the week of customer %s could not be told", pk)
    return told


def _tell(customer_id: int, *, now: datetime) -> bool:
    with transaction.atomic():
        rows = AlertSettings.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        row = rows.filter(pk=customer_id, weekly_summary=True).select_related("customer").first()
        if row is None:
            return False
        monday = last_due(row.customer, now=now)
        if row.summarized_on is not None and monday <= row.summarized_on:
            return False
        events.record(
            Fact.WEEK_SUMMARY,
            key=f"summary:{customer_id}:{monday}",
            subject=f"week of {monday - WEEK}",
            data=summary(row.customer, monday=monday),
            now=now,
            customer_id=customer_id,
        )
        AlertSettings.objects.filter(pk=customer_id).update(summarized_on=monday)
    return True


def summary(customer: Customer, *, monday: date) -> dict[str, str]:
    """The week before a Monday, by the account's days: where clocks change it has an hour more or less."""
    zone = zone_of(customer.time_zone)
    begin, end = start_of(monday - WEEK, zone=zone), start_of(monday, zone=zone)
    wallet = Wallet.objects.get(pk=customer.pk)
    accounts = (wallet.paid_account_id, wallet.bonus_account_id)
    during = Transfer.objects.filter(created_at__gte=begin, created_at__lt=end)

    def total(*kinds: Kind, into: bool) -> Decimal:
        side = {"credit__in" if into else "debit__in": accounts}
        return during.filter(kind__in=kinds, **side).aggregate(sum=Sum("amount"))["sum"] or ZERO

    return {
        "from": str(monday - WEEK),
        "to": str(monday - timedelta(days=1)),
        "used": api_amount(total(*USED, into=False) - total(*USED, into=True)),
        "paid_in": api_amount(total(Kind.TOPUP, into=True)),
        "granted": api_amount(total(Kind.GRANT, into=True)),
        "refunded": api_amount(total(Kind.REFUND, into=False)),
        "level": api_amount(level_of(wallet)),
        "locale": language_of(customer),
    }
