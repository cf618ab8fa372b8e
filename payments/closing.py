"""What payments have open in a month that finance is about to lock."""

from collections.abc import Iterable
from datetime import date

from django.utils import timezone
from django.utils.translation import gettext as _

from billing.discrepancies import queue
from billing.months.closing import Open
from billing.months.periods import start_of_day
from payments.models import Method, RefundPart, TopUp
from payments.statements import reconcile


def of_payments(after: date) -> Iterable[Open]:
    """Statements and differences of days before `after`, and money that was under way before it."""
    moment = start_of_day(after)
    days = [day for method in Method.values for day in reconcile.due_days(provider=method, now=timezone.now())]
    late = sum(day < after for day in days)
    yield Open(_("Statements missing or unmatched"), late, "payments.statement")
    differences = queue.waiting().filter(day__lt=after).count()
    yield Open(_("Differences with statements"), differences, "payments.discrepancy", "state__exact=open")
    fitting = TopUp.objects.not_fitting().filter(created_at__lt=moment).count()
    yield Open(_("Payments that do not fit"), fitting, "payments.topup", "problem__gt=")
    sent = RefundPart.objects.filter(sent_at__lt=moment)
    on_the_way = sent.filter(state=RefundPart.State.SENDING).count()
    yield Open(_("Refund parts on the way"), on_the_way, "billing.refundrequest", "queue=way")
    parked = sent.filter(state=RefundPart.State.PARKED).count()
    yield Open(_("Parked refund parts"), parked, "billing.refundrequest", "queue=parked")
