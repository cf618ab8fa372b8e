"""The drift between what upstreams bill and our prices, on the staff's first page, where there is any."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from core.clock import database_now
from core.panels import Figure, Panel
from desk.bills.words import amount_of, open_by_upstream
from proxy.models import UpstreamBill

State = UpstreamBill.State
LATE = timedelta(minutes=15)
MOST_UPSTREAMS = 20


def panels() -> Iterable[Panel]:
    if figures := [*_drifts(), *_late()]:
        yield Panel(_("What upstreams bill"), figures)


def _drifts() -> Iterator[Figure]:
    """The newest bill of each upstream that has differences; red while some of the upstream's are open."""
    waiting = open_by_upstream()
    compared = UpstreamBill.objects.filter(state=State.COMPARED).defer("raw").select_related("upstream")
    newest = compared.order_by("upstream", "-last", "-pk").distinct("upstream")
    for bill in newest[:MOST_UPSTREAMS]:
        count = waiting.get(bill.upstream.name, 0)
        if not (count or bill.differences):
            continue
        label = _("%(upstream)s to %(day)s") % {"upstream": bill.upstream, "day": bill.last}
        value = amount_of(bill.drift, bill.currency)
        if count:
            value = _("%(drift)s, open: %(count)s") % {"drift": value, "count": count}
        link = reverse("admin:proxy_upstreambill_change", args=[bill.pk])
        yield Figure(label, value, link, "bad" if count else "")


def _late() -> Iterator[Figure]:
    """Files that should have been read by now."""
    late: QuerySet[UpstreamBill] = UpstreamBill.objects.filter(
        state__in=(State.WAITING, State.READ), added_at__lt=database_now() - LATE
    )
    if count := late.exclude(state=State.WAITING, raw=None)[:100].count():
        yield Figure(_("Bills that wait to be read"), str(count), reverse("admin:proxy_upstreambill_changelist"), "bad")
