"""What payments show on the staff's first page, find by name, and tell of a customer."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.books import chart
from billing.discrepancies import queue
from billing.models import AuditRun, RefundRequest
from billing.months import journal
from core.amounts import written
from core.panels import Event, Figure, Found, Panel, bars
from desk.first_page.typed import MOST_FOUND, Typed, read
from payments import refunds
from payments.models import MOST_FAILURES, AutoTopUp, Dispute, Method, Notification, RefundPart, Statement, TopUp
from payments.statements import fetching, reconcile
from payments.topups import fx

IN_YUAN = ("ALIPAY_APP_ID", "WECHATPAY_MCHID")
"""Variables of the providers that charge in yuan."""
RATE_NOTICE = timedelta(days=5)
EVIDENCE_NOTICE = timedelta(days=3)
RED_SHARE = 1 / 3
PAYMENT_NUMBER = re.compile(r"topup_\w{4,40}|\d{12,64}")
"""An order's number, or one that a provider may have given, in a form that none has now."""
LEAST_TRIED = 10
"""Orders of one method in a day; fewer that are all abandoned say nothing."""
LATE_AFTER = timedelta(minutes=15)
"""How long a notification may wait to be processed before staff hear of it."""


def panels() -> Iterable[Panel]:
    now = timezone.now()
    yield _to_look_at()
    yield from _rate(now)
    first = (now - timedelta(days=29)).replace(hour=0, minute=0, second=0, microsecond=0)
    paid = TopUp.objects.filter(state=TopUp.State.PAID, created_at__gte=first - timedelta(days=4), paid_at__gte=first)
    rows = list(paid.values_list("method", TruncDate("paid_at")).annotate(total=Sum("amount")).order_by())
    days = [first.date() + timedelta(days=number) for number in range(30)]
    yield Panel(
        _("Money in, 30 days"),
        [
            Figure(
                str(Method(method).label),
                _usd(sum((total for name, _day, total in rows if name == method), Decimal(0))),
                f"{reverse('admin:payments_topup_changelist')}?method__exact={method}&state__exact=paid",
            )
            for method in Method.values
        ]
        + [_unpaid(now)],
        bars((day, sum((total for _name, on, total in rows if on == day), Decimal(0))) for day in days),
        _("USD a day, UTC"),
    )
    yield Panel(
        _("Owed by providers"),
        list(_owed()),
        caption=_("By the books; red where the last audit could not explain it by statements"),
    )


def _unpaid(now: datetime) -> Figure:
    """Methods by which a day's orders brought nothing: so many who tried and did not pay had no chance to."""
    orders = TopUp.objects.filter(created_at__gte=now - timedelta(days=1), created_at__lt=now - timedelta(hours=1))
    tried = orders.values_list("method").annotate(all=Count("pk"), paid=Count("pk", filter=Q(state=TopUp.State.PAID)))
    silent = [
        str(Method(method).label) for method, count, paid in tried.order_by() if count >= LEAST_TRIED and not paid
    ]
    link = f"{reverse('admin:payments_topup_changelist')}?state__exact=open"
    return Figure(_("Orders of a day, and none paid"), ", ".join(silent) or "—", link, "bad" if silent else "")


def _owed() -> Iterator[Figure]:
    """What each account at a provider holds by the books: red where the last audit could not explain it."""
    last = AuditRun.objects.order_by("-finished_at").first()
    drifts = last.first_drifts.splitlines() if last is not None else []
    for balance in journal.house_balances(chart.CLEARING):
        account = balance.account
        is_explained = not any(drift.startswith(f"{account.name} ") for drift in drifts)
        value = f"{-balance.amount:,.2f} {account.currency}"
        link = reverse("admin:billing_ledgeraccount_change", args=[account.pk])
        yield Figure(account.name.removeprefix(chart.CLEARING), value, link, "" if is_explained else "bad")


def _rate(now: datetime) -> Iterator[Panel]:
    """The exchange rate where one is needed: red five days before nothing is sold at it, and when there is none."""
    if not any(settings.PAYMENT_VARIABLES[name] for name in IN_YUAN):
        return
    rows = reverse("admin:payments_exchangerate_changelist")
    rate = fx.latest(now=now)
    if rate is None:
        yield Panel(_("Exchange rate"), [Figure(_("CNY a USD"), _("none"), rows, "bad")])
        return
    left, waiting = fx.ends_at(rate), fx.waiting().count()
    ends = f"{left:%Y-%m-%d}" if left is not None else "—"
    tone = "bad" if left is not None and left < now + RATE_NOTICE else ""
    yield Panel(
        _("Exchange rate"),
        [
            Figure(_("CNY a USD"), f"{rate.rate:.4f}", rows),
            Figure(_("Sold at until"), ends, rows, tone),
            Figure(_("Rates that wait for a second person"), str(waiting), rows, "bad" if waiting else ""),
        ],
    )


def _to_look_at() -> Panel:
    topups, inbox = reverse("admin:payments_topup_changelist"), reverse("admin:payments_notification_changelist")
    problems, stuck = TopUp.objects.not_fitting().count(), TopUp.objects.stuck().count()
    since = timezone.now() - LATE_AFTER
    waiting = Notification.objects.filter(processed_at__isnull=True, received_at__lt=since).count()
    unfit = Notification.objects.not_fitting().count()
    disputes = Dispute.objects.filter(status__in=Dispute.OPEN).count()
    evidence = Dispute.objects.filter(
        status__endswith="needs_response", evidence_due_at__lt=timezone.now() + EVIDENCE_NOTICE
    ).count()
    differences, difference_list = queue.waiting().count(), reverse("admin:payments_discrepancy_changelist")
    parked = RefundPart.objects.filter(state=RefundPart.State.PARKED).count()
    contradicted = refunds.contradicted().count()
    refund_list = reverse("admin:billing_refundrequest_changelist")
    late = reconcile.late_days(now=timezone.now())
    mixed, statements = (
        Statement.objects.filter(held_back__gt=0).count(),
        reverse("admin:payments_statement_changelist"),
    )
    rows = (
        (_("Statements missing or unmatched"), late, statements),
        (_("Days with another shop's payments"), mixed, f"{statements}?held_back__gt=0"),
        (_("Payments that do not fit"), problems, f"{topups}?problem__gt="),
        (_("Payments that cannot be settled"), stuck, f"{topups}?failures__gte={MOST_FAILURES}"),
        (_("Notifications that wait"), waiting, f"{inbox}?processed_at__isnull=1"),
        (_("Refunds and disputes told of that do not fit"), unfit, f"{inbox}?queue=unfit"),
        (_("Open disputes"), disputes, f"{reverse('admin:payments_dispute_changelist')}?queue=open"),
        (_("Differences with statements"), differences, f"{difference_list}?state__exact=open"),
        (
            _("Evidence due within 3 days"),
            evidence,
            f"{reverse('admin:payments_dispute_changelist')}?queue=open",
        ),
        (_("Refunds contradicted by the provider"), contradicted, f"{refund_list}?queue=contradicted"),
        (_("Parked refund parts"), parked, f"{refund_list}?queue=parked"),
    )
    return Panel(
        _("Payments to look at"),
        [
            *(Figure(name, str(count), link, "bad" if count else "") for name, count, link in rows),
            _on_the_way(f"{refund_list}?queue=way"),
            _owed_for_refunds(f"{refund_list}?queue=owed"),
        ],
    )


def _owed_for_refunds(link: str) -> Figure:
    """What customers owe for parts that were paid after they had failed: a receivable."""
    owed = RefundRequest.objects.filter(excess__gt=0).aggregate(sum=Sum("excess"))["sum"] or Decimal(0)
    return Figure(_("Owed for refunds paid after all"), _usd(owed), link, "bad" if owed else "")


def _on_the_way(link: str) -> Figure:
    """Red when a part is under way for a third of the time after which it is parked: a day, or two for bank cards."""
    now = timezone.now()
    count, since = refunds.on_the_way(now=now).aggregate(count=Count("pk"), since=Min("sent_at")).values()
    value = str(count)
    if since is not None and now - since >= timedelta(days=1):
        value = _("%(count)s (oldest: %(days)s d)") % {"count": count, "days": (now - since).days}
    is_late = refunds.on_the_way(now=now, longer_than=RED_SHARE).exists()
    return Figure(_("Refund parts on the way"), value, link, "bad" if is_late else "")


def search(text: str) -> Iterable[Found]:
    """A top-up by our number, the provider's, or its amount and day; a refund's part, a dispute."""
    typed = read(text)
    for topup in topups_like(typed).select_related("customer").order_by("-pk")[:MOST_FOUND]:
        charged = f" ({topup.charge_amount} {topup.charge_currency})" if topup.charge_currency != "USD" else ""
        yield Found(
            _("Top-up"),
            f"{topup.get_method_display()} {topup.number}",
            reverse("admin:payments_topup_change", args=[topup.pk]),
            customer=topup.customer.name,
            amount=f"{_usd(topup.amount)}{charged}",
            state=topup.get_state_display(),
            at=topup.paid_at or topup.created_at,
        )
    if typed.day is not None or (typed.text != typed.joined and typed.amount is not None):
        return
    parts = RefundPart.objects.filter(typed.names("key", "provider_id")).select_related("refund__customer")
    for part in parts.order_by("-pk")[:MOST_FOUND]:
        yield Found(
            _("Refund"),
            f"{part} {part.provider_id}",
            reverse("admin:billing_refundrequest_change", args=[part.refund_id]),
            customer=part.refund.customer.name,
            amount=_usd(part.amount),
            state=part.get_state_display(),
            at=part.sent_at,
        )
    disputes = Dispute.objects.filter(typed.names("provider_id", "payment_id")).select_related("customer")
    for dispute in disputes.order_by("-pk")[:MOST_FOUND]:
        yield Found(
            _("Dispute"),
            dispute.provider_id,
            reverse("admin:payments_dispute_change", args=[dispute.pk]),
            customer=dispute.customer.name if dispute.customer else "",
            amount=f"{dispute.amount} {dispute.currency}",
            state=dispute.status.replace("_", " "),
            at=dispute.opened_at,
        )


def topups_like(typed: Typed) -> QuerySet[TopUp]:
    """Those that have a number like what was typed, or were paid that amount on that day."""
    if typed.amount is not None:
        which = Q(amount=typed.amount) | Q(charge_amount=typed.amount)
        which &= typed.is_on("created_at", "paid_at")
        if typed.day is None:
            which |= typed.names("number", "transaction_id")
    elif typed.day is not None:
        which = typed.is_on("created_at", "paid_at")
    else:
        which = typed.names("number", "transaction_id")
    return TopUp.objects.filter(which)


def offers(text: str) -> Iterable[Found]:
    """To ask the provider about a payment that nobody here knows."""
    number = read(text).joined
    if fetching.provider_of(number) or PAYMENT_NUMBER.fullmatch(number):
        link = reverse("admin:payments_topup_fetch", query={"number": number})
        yield Found(
            _("Payment"), _("Unknown here: ask the provider about %(number)s") % {"number": number}, link, is_offer=True
        )


def story(customer_id: int) -> Iterable[Event]:
    """Top-ups as they were opened and paid, parts of refunds, disputes."""
    for topup in TopUp.objects.filter(customer_id=customer_id).order_by("-pk")[:100]:
        link = reverse("admin:payments_topup_change", args=[topup.pk])
        words = f"{topup.get_method_display()} {topup.number}"
        yield Event(topup.created_at, _("Top-up opened"), words, _usd(topup.amount), link)
        if topup.paid_at:
            paid = f"{words}: {topup.charge_amount} {topup.charge_currency}, {topup.transaction_id}"
            yield Event(topup.paid_at, _("Top-up paid"), paid, f"+{_usd(topup.amount)}", link)
    for agreed in AutoTopUp.objects.filter(customer_id=customer_id).select_related("card").order_by("-pk")[:50]:
        link = reverse("admin:payments_autotopup_change", args=[agreed.pk])
        yield Event(agreed.agreed_at, _("Automatic top-up agreed to"), str(agreed.card), _usd(agreed.amount), link)
        if agreed.off_at is not None:
            yield Event(agreed.off_at, _("Automatic top-up off"), agreed.get_off_reason_display(), "", link)
    parts = RefundPart.objects.filter(refund__customer_id=customer_id).select_related("refund", "topup")
    for part in parts.order_by("-pk")[:50]:
        link = reverse("admin:billing_refundrequest_change", args=[part.refund_id])
        for at, kind in ((part.sent_at, _("Refund sent")), (part.done_at, _("Refund arrived"))):
            if at is not None:
                yield Event(at, kind, f"{part} {part.provider_id}", _usd(part.amount), link)
        if part.failed_at is not None:
            yield Event(part.failed_at, _("Refund failed"), f"{part}: {part.detail}", _usd(part.amount), link)
    for dispute in Dispute.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        link = reverse("admin:payments_dispute_change", args=[dispute.pk])
        words = f"{dispute.provider_id}: {dispute.reason}, {dispute.status}"
        yield Event(dispute.opened_at, _("Dispute"), words, f"{dispute.amount} {dispute.currency}", link)


def _usd(amount: Decimal) -> str:
    return written(amount, places=2)
