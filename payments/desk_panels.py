"""What payments show on the staff's first page, find by name, and tell of a customer."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q, Sum
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import books
from chuizi import desk
from payments import fx, reconcile
from payments.models import Discrepancy, Dispute, Method, Notification, RefundPart, TopUp

IN_YUAN = ("ALIPAY_APP_ID", "WECHATPAY_MCHID")
"""Variables of the providers that charge in yuan."""
RATE_NOTICE = timedelta(days=5)
EVIDENCE_NOTICE = timedelta(days=3)
PATIENCE = timedelta(minutes=15)
"""How long a notification may wait to be processed before staff hear of it."""


def panels() -> Iterable[desk.Panel]:
    now = timezone.now()
    yield _to_look_at()
    yield from _rate(now)
    first = (now - timedelta(days=29)).replace(hour=0, minute=0, second=0, microsecond=0)
    paid = TopUp.objects.filter(state=TopUp.State.PAID, created_at__gte=first - timedelta(days=4), paid_at__gte=first)
    rows = list(paid.values_list("method", TruncDate("paid_at")).annotate(total=Sum("amount")).order_by())
    days = [first.date() + timedelta(days=number) for number in range(30)]
    yield desk.Panel(
        _("Money in, 30 days"),
        [
            desk.Figure(
                str(Method(method).label),
                _usd(sum((total for name, _day, total in rows if name == method), Decimal(0))),
                f"{reverse('admin:payments_topup_changelist')}?method__exact={method}&state__exact=paid",
            )
            for method in Method.values
        ],
        desk.bars((day, sum((total for _name, on, total in rows if on == day), Decimal(0))) for day in days),
        _("USD a day, UTC"),
    )
    yield desk.Panel(
        _("Owed by providers"), list(_owed()), caption=_("By the books; by the statements so far where they differ")
    )


def _owed() -> Iterator[desk.Figure]:
    stated = reconcile.statement_balances()
    for balance in books.house_balances("clearing:"):
        name, currency = balance.account.name.removeprefix("clearing:"), balance.account.currency
        theirs = stated.get((name.removesuffix(f":{currency}"), currency))
        fits = theirs is None or theirs == -balance.amount
        value = f"{-balance.amount:,.2f} {currency}"
        if not fits:
            value += " " + _("(statements: %(amount)s)") % {"amount": f"{theirs:,.2f}"}
        link = reverse("admin:billing_ledgeraccount_change", args=[balance.account.pk])
        yield desk.Figure(name, value, link, "" if fits else "bad")


def _rate(now: datetime) -> Iterator[desk.Panel]:
    """The exchange rate where one is needed: red five days before nothing is sold at it, and when there is none."""
    if not any(settings.PAYMENT_VARIABLES[name] for name in IN_YUAN):
        return
    rows = reverse("admin:payments_exchangerate_changelist")
    rate = fx.latest(now=now)
    if rate is None:
        yield desk.Panel(_("Exchange rate"), [desk.Figure(_("CNY a USD"), _("none"), rows, "bad")])
        return
    left, waiting = fx.ends_at(rate), fx.waiting().count()
    ends = f"{left:%Y-%m-%d}" if left is not None else "—"
    tone = "bad" if left is not None and left < now + RATE_NOTICE else ""
    yield desk.Panel(
        _("Exchange rate"),
        [
            desk.Figure(_("CNY a USD"), f"{rate.rate:.4f}", rows),
            desk.Figure(_("Sold at until"), ends, rows, tone),
            desk.Figure(_("Rates that wait for a second person"), str(waiting), rows, "bad" if waiting else ""),
        ],
    )


def _to_look_at() -> desk.Panel:
    topups, inbox = reverse("admin:payments_topup_changelist"), reverse("admin:payments_notification_changelist")
    problems = TopUp.objects.exclude(problem="").filter(next_poll_at__isnull=False).count()
    waiting = Notification.objects.filter(processed_at__isnull=True, received_at__lt=timezone.now() - PATIENCE).count()
    disputes = Dispute.objects.filter(status__in=Dispute.OPEN).count()
    evidence = Dispute.objects.filter(
        status__in=("needs_response", "appeal_needs_response"), evidence_due_at__lt=timezone.now() + EVIDENCE_NOTICE
    ).count()
    differences, queue = (
        Discrepancy.objects.filter(state="open").count(),
        reverse("admin:payments_discrepancy_changelist"),
    )
    parked = RefundPart.objects.filter(state=RefundPart.State.PARKED).count()
    late = reconcile.late_days(now=timezone.now())
    rows = (
        (_("Statements missing or unmatched"), late, reverse("admin:payments_statement_changelist")),
        (_("Payments that do not fit"), problems, f"{topups}?problem__gt=&next_poll_at__isnull=0"),
        (_("Notifications that wait"), waiting, f"{inbox}?processed_at__isnull=1"),
        (_("Open disputes"), disputes, f"{reverse('admin:payments_dispute_changelist')}?queue=open"),
        (_("Differences with statements"), differences, f"{queue}?state__exact=open"),
        (
            _("Evidence due within 3 days"),
            evidence,
            f"{reverse('admin:payments_dispute_changelist')}?queue=open",
        ),
        (_("Parked refund parts"), parked, f"{reverse('admin:billing_refundrequest_changelist')}?queue=parked"),
    )
    return desk.Panel(
        _("Payments to look at"),
        [desk.Figure(name, str(count), link, "bad" if count else "") for name, count, link in rows],
    )


def search(text: str) -> Iterable[desk.Found]:
    """A top-up by our number, or by the provider's; a refund's part, a dispute."""
    for topup in TopUp.objects.named(text)[:5]:
        yield desk.Found(_("Top-up"), topup.number, reverse("admin:payments_topup_change", args=[topup.pk]))
    for part in RefundPart.objects.filter(Q(key=text) | Q(provider_id=text)).exclude(provider_id="", key="")[:5]:
        link = reverse("admin:billing_refundrequest_change", args=[part.refund_id])
        yield desk.Found(_("Refund"), str(part), link)
    for dispute in Dispute.objects.filter(provider_id=text, provider__in=Method.values)[:5]:
        yield desk.Found(_("Dispute"), dispute.provider_id, reverse("admin:payments_dispute_change", args=[dispute.pk]))


def story(customer_id: int) -> Iterable[desk.Event]:
    """Top-ups as they were opened and paid, parts of refunds, disputes."""
    for topup in TopUp.objects.filter(customer_id=customer_id).order_by("-pk")[:100]:
        link = reverse("admin:payments_topup_change", args=[topup.pk])
        words = f"{topup.get_method_display()} {topup.number}"
        yield desk.Event(topup.created_at, _("Top-up opened"), words, _usd(topup.amount), link)
        if topup.paid_at:
            paid = f"{words}: {topup.charge_amount} {topup.charge_currency}, {topup.transaction_id}"
            yield desk.Event(topup.paid_at, _("Top-up paid"), paid, f"+{_usd(topup.amount)}", link)
    parts = RefundPart.objects.filter(refund__customer_id=customer_id).select_related("refund", "topup")
    for part in parts.order_by("-pk")[:50]:
        link = reverse("admin:billing_refundrequest_change", args=[part.refund_id])
        for at, kind in ((part.sent_at, _("Refund sent")), (part.done_at, _("Refund arrived"))):
            if at is not None:
                yield desk.Event(at, kind, f"{part} {part.provider_id}", _usd(part.amount), link)
        if part.failed_at is not None:
            yield desk.Event(part.failed_at, _("Refund failed"), f"{part}: {part.detail}", _usd(part.amount), link)
    for dispute in Dispute.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        link = reverse("admin:payments_dispute_change", args=[dispute.pk])
        words = f"{dispute.provider_id}: {dispute.reason}, {dispute.status}"
        yield desk.Event(dispute.opened_at, _("Dispute"), words, f"{dispute.amount} {dispute.currency}", link)


def _usd(amount: Decimal) -> str:
    return f"${amount:,.2f}"
