"""What the books show on the staff's first page, find by name, and tell of a customer."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Customer
from billing.books import chart
from billing.books.small_debts import small_debts
from billing.models import (
    AdjustmentProposal,
    AlertPost,
    AuditRun,
    ClosedDay,
    CreditTask,
    Document,
    Hold,
    InvoiceRequest,
    JournalEntry,
    LedgerAccount,
    Mail,
    MonthStatement,
    RefundRequest,
    Transfer,
    Unread,
    Wallet,
)
from billing.months import journal
from core.amounts import written
from core.panels import Event, Figure, Found, Panel, bars
from desk.first_page.typed import MOST_FOUND, Typed, read
from webhooks.models import Delivery

State = RefundRequest.State
LONG_ON_THE_WAY = timedelta(days=3)
"""After its approval a refund has arrived or is back at the desk by then, but for one to a bank card."""


def panels() -> Iterable[Panel]:
    now = timezone.now()
    pages = _account_pages(chart.USAGE, chart.IN_TRANSIT)
    yield _due()
    yield _liability(pages)
    usage = journal.turnover(chart.USAGE, days=30, now=now)
    by_day = [(day, credits - debits) for day, debits, credits in usage]
    charges = pages[chart.USAGE]
    yield Panel(
        _("Charged from paid balance"),
        [
            Figure(_("Today"), _usd(by_day[-1][1]), charges),
            Figure(_("Last 7 days"), _usd(sum((amount for _d, amount in by_day[-7:]), Decimal(0))), charges),
            Figure(_("Last 30 days"), _usd(sum((amount for _d, amount in by_day), Decimal(0))), charges),
            _stored_until(now),
            _statements(now),
        ],
        bars(by_day),
        _("A bar a day, 30 days, UTC"),
    )
    yield _audit()


def _stored_until(now: datetime) -> Figure:
    """The last day whose totals stand: red when the day before yesterday is not among them."""
    last = ClosedDay.objects.order_by("-day").values_list("day", flat=True).first()
    due = now.astimezone(UTC).date() - timedelta(days=2)
    waiting = Transfer.objects.filter(created_at__lt=journal.start_of(due + timedelta(days=1))).exists()
    is_late = waiting and (last is None or last < due)
    link = reverse("admin:billing_accountday_changelist")
    return Figure(_("Totals stored until"), str(last or "—"), link, "bad" if is_late else "")


def _statements(now: datetime) -> Figure:
    """How far the last month is closed that has ended in UTC. Red if not all is closed of the last one that ended two
    days ago, or earlier.
    """
    due, ended = (_first_of_month(now - timedelta(days=days)) for days in (2, 0))
    done, known = _closed_before(due)
    tone = "bad" if done < known else ""
    if due != ended:
        done, known = _closed_before(ended)
    month = _first_of_month(journal.start_of(ended) - timedelta(days=1))
    link = f"{reverse('admin:billing_monthstatement_changelist')}?month={month}"
    return Figure(_("Statements of a month closed"), f"{done:,} / {known:,}", link, tone)


def _first_of_month(moment: datetime) -> date:
    return moment.astimezone(UTC).date().replace(day=1)


def _closed_before(after: date) -> tuple[int, int]:
    """Of how many accounts the month before `after` is closed, and how many there are but for those whose first month
    it may be in some zone.
    """
    month = (after - timedelta(days=1)).replace(day=1)
    closed = MonthStatement.objects.filter(customer=OuterRef("pk"), month=month)
    known, done = (
        Customer.objects.filter(created_at__lt=journal.start_of(after) - timedelta(days=1))
        .aggregate(known=Count("pk"), done=Count("pk", filter=Exists(closed)))
        .values()
    )
    return done, known


def _due() -> Panel:
    queue = reverse("admin:billing_refundrequest_changelist")
    now = timezone.now()
    is_at_desk, is_on_the_way = RefundRequest.FOR_STAFF, Q(state__in=(State.APPROVED, State.SENDING))
    asked = RefundRequest.objects.filter(Q(state__in=RefundRequest.AT_DESK) | is_on_the_way).aggregate(
        unanswered=Count("pk", filter=RefundRequest.NEEDS_ANSWER),
        at_desk=Count("pk", filter=is_at_desk),
        overdue=Count("pk", filter=is_at_desk & Q(due_at__lt=now)),
        today=Count("pk", filter=is_at_desk & Q(due_at__gte=now, due_at__lt=now + timedelta(days=1))),
        on_the_way=Count("pk", filter=is_on_the_way),
        late=Count("pk", filter=is_on_the_way & Q(decided_at__lt=now - LONG_ON_THE_WAY)),
    )
    overdue, today = asked["overdue"], asked["today"]
    proposed = AdjustmentProposal.objects.filter(state="proposed").count()
    invoices = reverse("admin:billing_invoicerequest_changelist")
    to_issue, late = (
        InvoiceRequest.objects.filter(state=InvoiceRequest.State.REQUESTED)
        .aggregate(all=Count("pk"), late=Count("pk", filter=Q(due_at__lt=now)))
        .values()
    )
    wanted = CreditTask.objects.filter(state=CreditTask.State.OPEN).count()
    unsent, unposted = Mail.objects.hanging(now=now).count(), AlertPost.objects.hanging(now=now).count()
    fileless = Mail.objects.without_file(now=now).count()
    unread, unheard = Unread.objects.hanging(now=now).count(), Delivery.objects.standing_still(now=now).count()
    entries = JournalEntry.objects.filter(state=JournalEntry.State.PROPOSED).count()
    return Panel(
        _("To do"),
        [
            Figure(_("Refunds at the desk"), str(asked["at_desk"]), queue),
            Figure(_("Refunds overdue"), str(overdue), f"{queue}?queue=overdue", "bad" if overdue else ""),
            Figure(_("Refunds due today"), str(today), queue, "bad" if today else ""),
            Figure(_("Refunds that wait for the customer"), str(asked["unanswered"]), f"{queue}?queue=asked"),
            Figure(
                _("Refunds on the way"),
                str(asked["on_the_way"]),
                f"{queue}?queue=way",
                "bad" if asked["late"] else "",
            ),
            Figure(
                _("Adjustments to decide"),
                str(proposed),
                f"{reverse('admin:billing_adjustmentproposal_changelist')}?queue=proposed",
            ),
            Figure(
                _("Journal entries to decide"),
                str(entries),
                f"{reverse('admin:billing_journalentry_changelist')}?state__exact=proposed",
            ),
            Figure(_("Invoices to issue"), str(to_issue), invoices),
            Figure(_("Invoices overdue"), str(late), f"{invoices}?queue=overdue", "bad" if late else ""),
            Figure(_("Credit notes wanted"), str(wanted), f"{invoices}?queue=credit", "bad" if wanted else ""),
            Figure(
                _("Facts that nobody reads"),
                str(unread),
                f"{reverse('admin:billing_unread_changelist')}?queue=hanging",
                "bad" if unread else "",
            ),
            Figure(
                _("Mail that does not leave"),
                str(unsent),
                f"{reverse('admin:billing_mail_changelist')}?queue=hanging",
                "bad" if unsent else "",
            ),
            Figure(
                _("Mail that left without its file"),
                str(fileless),
                f"{reverse('admin:billing_mail_changelist')}?queue=fileless",
                "bad" if fileless else "",
            ),
            Figure(
                _("Webhooks that wait"),
                str(unheard),
                f"{reverse('admin:webhooks_delivery_changelist')}?queue=standing",
                "bad" if unheard else "",
            ),
            Figure(
                _("Alerts that do not arrive"),
                str(unposted),
                f"{reverse('admin:billing_alertpost_changelist')}?sent_at__isnull=1",
                "bad" if unposted else "",
            ),
        ],
    )


def _liability(pages: dict[str, str]) -> Panel:
    owed, wallets = journal.liability(), reverse("admin:billing_wallet_changelist")
    transit = {b.account.name: b.amount for b in journal.house_balances("refunds:")}
    negative = Wallet.objects.filter(paid__lt=0).count()
    return Panel(
        _("What we owe customers"),
        [
            Figure(_("Paid balance"), _usd(owed["paid"]), wallets),
            Figure(_("Bonus"), _usd(owed["bonus"]), wallets),
            Figure(_("Held"), _usd(owed["held"]), f"{reverse('admin:billing_hold_changelist')}?state__exact=open"),
            Figure(
                _("Refunds in transit"),
                _usd(transit.get(chart.IN_TRANSIT, Decimal(0))),
                pages[chart.IN_TRANSIT],
            ),
            Figure(_("Wallets below zero"), str(negative), f"{wallets}?paid__lt=0", "bad" if negative else ""),
            Figure(_("Owed by customers"), _usd(owed["receivable"]), f"{wallets}?paid__lt=0"),
            Figure(
                _("Small debts to write off"),
                str(small_debts(now=timezone.now()).count()),
                f"{wallets}?queue=small",
            ),
        ],
    )


def _account_pages(*names: str) -> dict[str, str]:
    """The page of each account of the house; their list before its first transfer."""
    found = dict(LedgerAccount.objects.filter(name__in=names).values_list("name", "pk"))
    pages = {name: reverse("admin:billing_ledgeraccount_change", args=[pk]) for name, pk in found.items()}
    return dict.fromkeys(names, reverse("admin:billing_ledgeraccount_changelist")) | pages


def _audit() -> Panel:
    last, runs = AuditRun.objects.order_by("-finished_at").first(), reverse("admin:billing_auditrun_changelist")
    if last is None:
        return Panel(_("Last audit"), [Figure(_("None yet"), "—", runs, "bad")])
    is_old = last.finished_at < timezone.now() - timedelta(hours=36)
    return Panel(
        _("Last audit"),
        [
            Figure(_("When (UTC)"), f"{last.finished_at:%Y-%m-%d %H:%M}", runs, "bad" if is_old else ""),
            Figure(_("Customers"), f"{last.customers:,}", reverse("admin:accounts_customer_changelist")),
            Figure(
                _("Drifts"),
                str(last.drifts),
                reverse("admin:billing_auditrun_change", args=[last.pk]),
                "bad" if last.drifts else "good",
            ),
        ],
    )


def search(text: str) -> Iterable[Found]:
    """A refund, an invoice's request or a document by its number, or by amount and day; a transfer or a hold by its
    key.
    """
    typed = read(text)
    for invoice in invoices_like(typed).select_related("customer").order_by("-pk")[:MOST_FOUND]:
        yield Found(
            _("Invoice"),
            f"{invoice.number}, {invoice.company_name}",
            reverse("admin:billing_invoicerequest_change", args=[invoice.pk]),
            customer=invoice.customer.name,
            amount=f"{invoice.amount} {invoice.currency}",
            state=invoice.get_state_display(),
            at=invoice.created_at,
        )
    for refund in refunds_like(typed).select_related("customer").order_by("-pk")[:MOST_FOUND]:
        yield Found(
            _("Refund"),
            refund.number,
            reverse("admin:billing_refundrequest_change", args=[refund.pk]),
            customer=refund.customer.name,
            amount=_usd(refund.amount),
            state=refund.get_state_display(),
            at=refund.created_at,
        )
    for transfer in Transfer.objects.filter(key=text)[:1]:
        yield Found(_("Transfer"), transfer.key, reverse("admin:billing_transfer_change", args=[transfer.pk]))
    if text.startswith(("refund:", "dispute:")):
        for hold in Hold.objects.filter(pk=text):
            yield Found(_("Hold"), hold.key, reverse("admin:billing_hold_change", args=[hold.pk]))


def invoices_like(typed: Typed) -> QuerySet[InvoiceRequest]:
    """Those whose number, or a document's of theirs, is like what was typed, or of that amount, asked on that day."""
    if typed.amount is not None or typed.day is not None:
        of_amount = Q(amount=typed.amount) if typed.amount is not None else Q()
        return InvoiceRequest.objects.filter(of_amount & typed.is_on("created_at"))
    documents = Document.objects.filter(typed.names("number")).values("request_id")
    return InvoiceRequest.objects.filter(typed.names("number") | Q(pk__in=documents))


def refunds_like(typed: Typed) -> QuerySet[RefundRequest]:
    """Those whose number, or the mail's they came by, is like what was typed, or of that amount, asked on that day."""
    if typed.amount is not None or typed.day is not None:
        of_amount = Q(amount=typed.amount) if typed.amount is not None else Q()
        return RefundRequest.objects.filter(of_amount & typed.is_on("created_at"))
    return RefundRequest.objects.filter(typed.names("number") | Q(reference=typed.text))


def story(customer_id: int) -> Iterable[Event]:
    """Refund and invoice requests, documents, mail, and the movements of the balance that are no single request's."""
    for refund in RefundRequest.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        link = reverse("admin:billing_refundrequest_change", args=[refund.pk])
        yield Event(refund.created_at, _("Refund"), f"{refund.number}: {refund.reason}", _usd(refund.amount), link)
        if refund.decided_at:
            words = f"{refund.get_state_display()}. {refund.decision}".strip()
            yield Event(refund.decided_at, _("Refund"), f"{refund.number}: {words}", link=link)
        if refund.asked_back_at:
            words = f"{refund.question} → {refund.answer or _('no answer yet')}"
            yield Event(refund.asked_back_at, _("Asked back"), f"{refund.number}: {words}", link=link)
        if refund.finished_at and refund.finished_at != refund.decided_at:
            words = f"{refund.number}: {refund.get_state_display()}"
            yield Event(refund.finished_at, _("Refund"), words, _usd(refund.returned), link)
    for invoice in InvoiceRequest.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        link = reverse("admin:billing_invoicerequest_change", args=[invoice.pk])
        amount = f"{invoice.amount} {invoice.currency}"
        words = f"{invoice.number}: {invoice.company_name}, {invoice.get_state_display()}"
        yield Event(invoice.created_at, _("Invoice asked"), words, amount, link)
        if invoice.state == InvoiceRequest.State.CANCELLED:
            words = f"{invoice.number}: {invoice.get_state_display()}"
            yield Event(invoice.changed_at, _("Invoice"), words, amount, link)
        if invoice.posted_at:
            words = f"{invoice.number}: {invoice.carrier} {invoice.tracking}"
            yield Event(invoice.posted_at, _("Invoice posted"), words, link=link)
    for document in Document.objects.filter(customer_id=customer_id).defer("content").order_by("-pk")[:50]:
        link = reverse("admin:billing_document_change", args=[document.pk])
        amount = f"{document.gross} {document.currency}"
        yield Event(document.issued_at, document.get_kind_display(), document.number, amount, link)
    for mail in Mail.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        unsent = "" if mail.sent_at else f" ({_('not sent')})"
        yield Event(mail.sent_at or mail.created_at, _("Mail"), f"{mail.to}: {mail.subject}{unsent}")
    wallet = Wallet.objects.filter(pk=customer_id).first()
    if wallet is None:
        return
    # What comes in alone: what goes out is requests, and refunds and disputes tell of themselves.
    for account in (wallet.paid_account_id, wallet.bonus_account_id):
        for row in Transfer.objects.filter(credit_id=account).order_by("-pk")[:50]:
            link = reverse("admin:billing_transfer_change", args=[row.pk])
            yield Event(row.created_at, _("Balance"), f"{row.kind} {row.memo}", f"+{_usd(row.amount)}", link)


def _usd(amount: Decimal) -> str:
    return written(amount, places=2)
