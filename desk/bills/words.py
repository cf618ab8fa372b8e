"""What other pages of the desk say of upstreams' bills."""

from decimal import Decimal

from django.urls import reverse
from django.utils.html import format_html

from billing.books.money import shown
from billing.discrepancies import queue
from billing.models import Discrepancy
from proxy.bills import comparing, storing
from proxy.models import UpstreamBill


def behind(row: Discrepancy) -> str:
    """A link from a difference to the bill that tells it, "" for one that no bill tells."""
    if row.provider != comparing.SOURCE:
        return ""
    upstream, _colon, rest = row.key.partition(":")
    bills = UpstreamBill.objects.filter(
        upstream__name=upstream, format=rest.partition(":")[0], first__lte=row.day, last__gte=row.day
    )
    bill = bills.defer("raw").filter(state__in=storing.LIVE).order_by("-pk").first()
    if bill is None:
        return ""
    return format_html('<a href="{}">{}</a>', reverse("admin:proxy_upstreambill_change", args=[bill.pk]), bill)


def amount_of(amount: Decimal | None, currency: str) -> str:
    """At 4 places, for people."""
    return shown(amount.quantize(Decimal("0.0001")), currency=currency) if amount is not None else "—"


def open_by_upstream() -> dict[str, int]:
    """How many differences with bills are open, by upstream's name; of the first thousand."""
    counts: dict[str, int] = {}
    for key in queue.waiting(source=comparing.SOURCE).values_list("key", flat=True)[:1000]:
        name = key.partition(":")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts
