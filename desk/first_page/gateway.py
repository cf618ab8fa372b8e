"""What the gateway shows on the staff's first page, finds by name, and tells of a customer."""

import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from functools import partial

from django.db import connection
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.books.money import CENT, shown
from core.amounts import written
from core.clock import database_now
from core.panels import Event, Figure, Found, Panel
from desk.first_page.typed import LEAST_CUT, MOST_FOUND, read
from desk.gateway import price_words
from proxy.ids import first_id_of, is_generation_id
from proxy.models import NET_COST, SWEPT_ALIVE, Generation, Lease, PriceProposal, PurchaseBatch, Rerate
from proxy.prices import catalog
from proxy.prices.below_cost import models_at_a_loss
from proxy.purchases import claims, credit
from proxy.purchases.posting import overdue

State = Generation.State
LATE = timedelta(seconds=30)
PART_OF_ID = re.compile(rf"(?:gen-)?[0-9A-Za-z]{{{LEAST_CUT},23}}")
MOST_LATEST = 100_000
"""Requests whose ids are searched by their ends."""
MOST_UPSTREAMS = 5
"""Named in one figure, those with most first."""


def panels() -> Iterable[Panel]:
    now = database_now()
    requests = reverse("admin:proxy_generation_changelist")
    metered = Generation.objects.filter(state=State.METERED).order_by("pk").values_list("metered_at", flat=True).first()
    lag = now - metered if metered else timedelta(0)
    flagged = Generation.objects.filter(is_flagged=True)[:1000].count()
    stuck = Generation.objects.filter(state=State.QUARANTINED).aggregate(count=Count("pk"), held=Sum("held"))
    unpriced = catalog.without_price()
    losing = models_at_a_loss(now=now, dollars=partial(price_words.dollars, now=now))
    proposed = PriceProposal.objects.filter(state=PriceProposal.State.PROPOSED).count()
    rerates = Rerate.objects.aggregate(
        proposed=Count("pk", filter=Q(state=Rerate.State.PROPOSED)), stuck=Count("pk", filter=~Q(problem=""))
    )
    swept_alive = Lease.objects.filter(SWEPT_ALIVE).count()
    unposted = overdue(PurchaseBatch.objects.all())[:1000].count()
    doubted = claims.recent(now=now)
    stuck_held = stuck["held"] or Decimal(0)
    yield Panel(
        _("Gateway"),
        [
            Figure(
                _("In flight"),
                str(Generation.objects.filter(state=State.HELD)[:5000].count()),
                f"{requests}?state__exact=held",
            ),
            Figure(
                _("Settlement lag"),
                f"{lag.total_seconds():.0f} s",
                f"{requests}?state__exact=metered",
                "bad" if lag > LATE else "",
            ),
            Figure(
                _("Gateways taken for dead that live"),
                str(swept_alive),
                reverse("admin:proxy_lease_changelist"),
                "bad" if swept_alive else "",
            ),
            Figure(
                _("Models without a price"),
                str(len(unpriced)),
                reverse("admin:proxy_model_changelist"),
                "bad" if unpriced else "",
            ),
            Figure(
                _("Models sold below cost"),
                str(len(losing)),
                reverse("admin:proxy_model_changelist"),
                "bad" if losing else "",
            ),
            Figure(
                _("Prices to confirm"),
                str(proposed),
                f"{reverse('admin:proxy_priceproposal_changelist')}?state__exact=proposed",
            ),
            Figure(
                _("Re-ratings to decide"),
                str(rerates["proposed"]),
                f"{reverse('admin:proxy_rerate_changelist')}?queue=proposed",
            ),
            Figure(
                _("Re-ratings that do not go on"),
                str(rerates["stuck"]),
                f"{reverse('admin:proxy_rerate_changelist')}?queue=open",
                "bad" if rerates["stuck"] else "",
            ),
            Figure(
                _("Purchases not posted"),
                str(unposted),
                f"{reverse('admin:proxy_purchasebatch_changelist')}?overdue=1",
                "bad" if unposted else "",
            ),
            Figure(
                _("Claims not believed, 30 days"),
                ", ".join(f"{name} {count}" for name, count in doubted[:MOST_UPSTREAMS]) or "0",
                reverse("admin:proxy_claim_changelist"),
                "bad" if doubted else "",
            ),
            Figure(
                _("Quarantined, and what they hold"),
                f"{stuck['count']:,}, ${stuck_held:,.4f}",
                f"{requests}?state__exact=quarantined",
                "bad" if stuck["count"] else "",
            ),
            Figure(
                _("Flagged: orphans, capped, quarantined"),
                str(flagged),
                f"{requests}?flagged=1",
                "bad" if flagged else "",
            ),
        ],
    )
    if credits := [_credit(one) for one in credit.watched()]:
        yield Panel(_("Prepaid credit at upstreams"), credits)
    sums = Generation.objects.filter(pk__gte=first_id_of(now - timedelta(hours=24)), state=State.SETTLED).aggregate(
        requests=Count("pk"), cost=Sum(NET_COST), upstream=Sum("upstream_cost")
    )
    cost, upstream = sums["cost"] or Decimal(0), sums["upstream"] or Decimal(0)
    settled = f"{requests}?state__exact=settled"
    yield Panel(
        _("Requests, 24 hours"),
        [
            Figure(_("Settled"), f"{sums['requests']:,}", settled),
            Figure(_("Charged"), written(cost, places=4), settled),
            Figure(_("Upstream cost"), written(upstream, places=4), settled),
            Figure(_("Margin"), written(cost - upstream, places=4), settled, "bad" if cost < upstream else ""),
        ],
    )


def _credit(one: credit.Credit) -> Figure:
    """Red below what the upstream's page says."""
    link = reverse("admin:billing_ledgeraccount_changelist")
    if one.account_id is not None:
        link = reverse("admin:billing_ledgeraccount_change", args=[one.account_id])
    return Figure(
        one.upstream, shown(one.amount.quantize(CENT), currency=one.currency), link, "bad" if one.is_low else ""
    )


def search(text: str) -> Iterable[Found]:
    """A request by its id, whole, by its beginning, or, among the latest, by its end."""
    name = read(text).joined
    rows = Generation.objects.none()
    if is_generation_id(name):
        rows = Generation.objects.filter(pk=name)
    elif PART_OF_ID.fullmatch(name):
        start = name if name.startswith("gen-") else f"gen-{name}"
        rows = Generation.objects.filter(pk__startswith=start)
        if not name.startswith("gen-"):
            rows = Generation.objects.filter(Q(pk__startswith=start) | Q(pk__in=_ending(name)))
    for one in rows.select_related("customer", "model").order_by("-pk")[:MOST_FOUND]:
        yield Found(
            _("Request"),
            f"{one.pk}, {one.model.slug}",
            reverse("admin:proxy_generation_change", args=[one.pk]),
            customer=one.customer.name,
            amount=written(one.cost if one.cost is not None else one.held, places=6),
            state=one.get_state_display(),
            at=one.created_at,
        )


def _ending(name: str) -> list[str]:
    """Ids of the latest requests that end so: their index alone is read, from its end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM (SELECT id FROM proxy_generation ORDER BY id DESC LIMIT %s) latest"
            " WHERE right(id, %s) = %s ORDER BY id DESC LIMIT %s",
            [MOST_LATEST, len(name), name, MOST_FOUND],
        )
        return [pk for (pk,) in cursor.fetchall()]


def story(customer_id: int) -> Iterable[Event]:
    """The latest requests; all of them stand in their own list."""
    latest = Generation.objects.filter(customer_id=customer_id).select_related("model").order_by("-pk")[:30]
    for generation in latest:
        link = reverse("admin:proxy_generation_change", args=[generation.pk])
        words = f"{generation.model.slug}: {generation.get_state_display()}"
        cost = written(generation.cost, places=6) if generation.cost is not None else ""
        yield Event(generation.created_at, _("Request"), words, cost, link)
