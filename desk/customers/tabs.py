"""What a customer's page has beside the account itself: the latest of everything that is the customer's, a tab each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ApiKey, Customer
from billing.books.money import shown
from billing.models import InvoiceRequest, Mail, RefundRequest, Transfer, Wallet
from core.amounts import written
from payments.models import TopUp
from proxy.models import Generation

MOST = 50
"""Rows of a tab; the whole list is a link away."""
GOOD, BAD, WAITS, PLAIN = "good", "bad", "waits", "plain"
TONES = {
    **dict.fromkeys(("paid", "done", "issued", "settled", "active", "sent", "external"), GOOD),
    **dict.fromkeys(("failed", "returned", "disputed", "quarantined", "unsent"), BAD),
    **dict.fromkeys(("open", "requested", "held", "approved", "sending", "partly_done", "partly_refunded"), WAITS),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """`text` or a moment in UTC; numbers stand right, a state has the tone of its tag."""

    text: str = ""
    at: datetime | None = None
    link: str = ""
    is_number: bool = False
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[tuple[str, bool], ...]
    """Titles, and whether numbers stand below."""
    rows: list[tuple[Cell, ...]]
    more: str = ""
    """Where all of them are."""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tab:
    title: Any
    right: str
    """Who may see it, but for those who see the object's own page anyhow."""
    table: Callable[[Customer], Table]


def number(text: str) -> Cell:
    return Cell(text, is_number=True)


def state(code: str, text: str) -> Cell:
    return Cell(text, tone=TONES.get(code, PLAIN))


def _link(model: str, pk: Any) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


def _list(model: str, customer: Customer) -> str:
    return reverse(f"admin:{model}_changelist", query={"customer__id__exact": customer.pk})


def money(customer: Customer) -> Table:
    wallet = Wallet.objects.get(customer=customer)
    own = (wallet.paid_account_id, wallet.bonus_account_id)
    found: dict[int, Transfer] = {}
    for account in own:
        for side in ("debit_id", "credit_id"):
            found |= {row.pk: row for row in Transfer.objects.filter(**{side: account}).order_by("-pk")[:MOST]}
    rows = sorted(found.values(), key=lambda row: -row.pk)[:MOST]
    return Table(
        ((_("When (UTC)"), False), (_("Kind"), False), (_("Of"), False), (_("Memo"), False), (_("USD"), True)),
        [
            (
                Cell(at=row.created_at, link=_link("billing_transfer", row.pk)),
                Cell(row.kind),
                Cell(_("bonus") if wallet.bonus_account_id in (row.debit_id, row.credit_id) else _("paid")),
                Cell(row.memo),
                number(_signed(row, own)),
            )
            for row in rows
        ],
        _link("billing_wallet", wallet.pk),
        (
            (_("Available"), written(wallet.available, places=4)),
            (_("Paid"), written(wallet.paid, places=4)),
            (_("Bonus"), written(wallet.bonus, places=4)),
            (_("Held"), written(wallet.held, places=4)),
            (_("Paid in, and not taken back"), written(wallet.paid_in, places=2)),
        ),
    )


def _signed(row: Transfer, own: tuple[int, int]) -> str:
    is_in = row.credit_id in own
    return f"{'+' if is_in else '-'}{written(row.amount, places=6)}"


def topups(customer: Customer) -> Table:
    rows = TopUp.objects.filter(customer=customer).order_by("-pk")[:MOST]
    return Table(
        (
            *((_("Ordered (UTC)"), False), (_("Method"), False), (_("Number"), False), (_("USD"), True)),
            *((_("Charged"), True), (_("State"), False)),
        ),
        [
            (
                Cell(at=row.created_at),
                Cell(row.get_method_display()),
                Cell(row.number, link=_link("payments_topup", row.pk)),
                number(written(row.amount, places=2)),
                number(shown(row.charge_amount, currency=row.charge_currency)),
                state(row.shown_state, _topup_state(row)),
            )
            for row in rows
        ],
        _list("payments_topup", customer),
    )


def _topup_state(topup: TopUp) -> str:
    beside = {"disputed": _("disputed"), "refunded": _("refunded"), "partly_refunded": _("partly refunded")}
    return beside.get(topup.shown_state, topup.get_state_display())


def refunds(customer: Customer) -> Table:
    rows = RefundRequest.objects.filter(customer=customer).order_by("-pk")[:MOST]
    return Table(
        (
            *((_("Asked (UTC)"), False), (_("Number"), False), (_("Reason"), False)),
            *((_("USD"), True), (_("Arrived"), True), (_("State"), False)),
        ),
        [
            (
                Cell(at=row.created_at),
                Cell(row.number, link=_link("billing_refundrequest", row.pk)),
                Cell(row.reason),
                number(written(row.amount, places=2)),
                number(written(row.returned, places=2)),
                state(row.state, _("needs the customer's answer") if row.needs_answer else row.get_state_display()),
            )
            for row in rows
        ],
        f"{_list('billing_refundrequest', customer)}&queue=all",
    )


def invoices(customer: Customer) -> Table:
    rows = InvoiceRequest.objects.filter(customer=customer).order_by("-pk")[:MOST]
    return Table(
        (
            *((_("Asked (UTC)"), False), (_("Number"), False), (_("Buyer"), False)),
            *((_("Amount"), True), (_("State"), False)),
        ),
        [
            (
                Cell(at=row.created_at),
                Cell(row.number, link=_link("billing_invoicerequest", row.pk)),
                Cell(row.company_name),
                number(shown(row.amount, currency=row.currency)),
                state(row.state, row.get_state_display()),
            )
            for row in rows
        ],
        f"{_list('billing_invoicerequest', customer)}&queue=all",
    )


def keys(customer: Customer) -> Table:
    rows = ApiKey.objects.filter(customer=customer).select_related("meter").order_by("-pk")[:MOST]
    return Table(
        (
            *((_("Made (UTC)"), False), (_("Begins with"), False), (_("Name"), False)),
            *((_("Last used (UTC)"), False), (_("State"), False)),
        ),
        [
            (
                Cell(at=row.created_at),
                Cell(f"{row.prefix}…", link=_link("accounts_apikey", row.pk)),
                Cell(row.name),
                Cell(at=row.meter.last_used_at),
                _state_of(row),
            )
            for row in rows
        ],
        _list("accounts_apikey", customer),
    )


def _state_of(key: ApiKey) -> Cell:
    if key.deleted_at is not None:
        return state("deleted", _("deleted"))
    return state("active", _("active")) if key.is_active else state("off", _("switched off"))


def requests(customer: Customer) -> Table:
    rows = Generation.objects.filter(customer=customer).select_related("model").order_by("-pk")[:MOST]
    return Table(
        (
            *((_("When (UTC)"), False), (_("Id"), False), (_("Model"), False), (_("Tokens in"), True)),
            *((_("Tokens out"), True), (_("USD"), True), (_("State"), False)),
        ),
        [
            (
                Cell(at=row.created_at),
                Cell(row.pk, link=_link("proxy_generation", row.pk)),
                Cell(row.model.slug),
                number(f"{row.input_tokens:,}"),
                number(f"{row.output_tokens:,}"),
                number(written(row.cost if row.cost is not None else row.held, places=6)),
                state(row.state, row.get_state_display()),
            )
            for row in rows
        ],
    )


def mail(customer: Customer) -> Table:
    rows = Mail.objects.filter(customer=customer).order_by("-pk")[:MOST]
    return Table(
        ((_("When (UTC)"), False), (_("To"), False), (_("Subject"), False), (_("State"), False)),
        [
            (
                Cell(at=row.sent_at or row.created_at),
                Cell(row.to),
                Cell(row.subject, link=_link("billing_mail", row.pk)),
                state("sent", _("sent")) if row.sent_at else state("unsent", _("not sent")),
            )
            for row in rows
        ],
    )


TABS = {
    "money": Tab(gettext_lazy("Money"), "billing.view_transfer", money),
    "top-ups": Tab(gettext_lazy("Top-ups"), "payments.view_topup", topups),
    "refunds": Tab(gettext_lazy("Refunds"), "billing.view_refundrequest", refunds),
    "invoices": Tab(gettext_lazy("Invoices"), "billing.view_invoicerequest", invoices),
    "keys": Tab(gettext_lazy("Keys"), "accounts.view_apikey", keys),
    "requests": Tab(gettext_lazy("Requests"), "proxy.view_generation", requests),
    "mail": Tab(gettext_lazy("Mail"), "billing.view_mail", mail),
}


def links(request: HttpRequest, customer: Customer, *, chosen: str) -> Iterable[tuple[str, str, bool]]:
    """Address, title and whether it is open, of each tab that this person may see."""
    page = reverse("admin:accounts_customer_change", args=[customer.pk])
    yield page, _("Account"), chosen == ""
    for slug, tab in TABS.items():
        if request.user.has_perm(tab.right):
            link = reverse("admin:accounts_customer_tab", args=[customer.pk, slug])
            yield link, str(tab.title), chosen == slug
    yield reverse("admin:accounts_customer_story", args=[customer.pk]), _("Story"), chosen == "story"
