"""What turns each figure of the staff's first page red, and what cures it; and the figures that have no tone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, User
from billing import invoices, refunds
from billing.discrepancies import queue
from billing.models import (
    AccountDay,
    AlertPost,
    AuditRun,
    ClosedDay,
    CreditTask,
    Event,
    InvoiceRequest,
    Mail,
    RefundRequest,
    Unread,
    Wallet,
)
from billing.months import journal
from billing.statements import closing
from core import panels as first_page
from payments.models import (
    MOST_FAILURES,
    Discrepancy,
    Dispute,
    ExchangeRate,
    Notification,
    RefundPart,
    Statement,
    StatementLine,
    TopUp,
)
from payments.statements import reconcile
from payments.topups import polling
from proxy.models import Generation
from webhooks.models import Delivery, Endpoint

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class World:
    """One customer who paid 20 USD by card, and nothing that is red."""

    customer: Customer
    topup: TopUp
    desk: Client
    chief: User
    settings: Any
    make_request: Callable[..., Generation]

    def refund(self) -> RefundRequest:
        return refunds.ask(customer=self.customer, amount="4.00", reason="test", now=timezone.now())

    def part(self, **fields: Any) -> RefundPart:
        given = {"key": "part_1", "amount": 4, "charge_amount": 4, "charge_currency": "USD", "topup": self.topup}
        return RefundPart.objects.create(refund=self.refund(), number=1, **(given | fields))

    def invoice(self) -> InvoiceRequest:
        asked = {"company_name": "Ada", "buyer_kind": "individual", "delivery": "email", "email": "ada@example.org"}
        return invoices.ask(customer=self.customer, amount="5.00", now=timezone.now(), **asked)

    def dispute(self, **fields: Any) -> Dispute:
        given = {"provider": "stripe", "provider_id": "du_1", "amount": Decimal(20), "currency": "USD"}
        return Dispute.objects.create(topup=self.topup, customer=self.customer, **(given | fields))

    def statement(self, day, **fields: Any) -> Statement:
        return Statement.objects.create(provider="stripe", day=day, raw=b"", sha256="", lines=0, **fields)


Case = Callable[[World], Iterator[None]]
CASES: dict[str, Case] = {}
"""By panel and figure: makes it red, yields, and cures it."""
PLAIN = {
    *(f"To do / {name}" for name in ("Refunds at the desk", "Refunds that wait for the customer")),
    "To do / Adjustments to decide",
    "Upstreams / Upstreams left alone for a while",
    *(f"To do / {name}" for name in ("Journal entries to decide", "Invoices to issue")),
    *(f"What we owe customers / {name}" for name in ("Paid balance", "Bonus", "Held", "Refunds in transit")),
    *(f"What we owe customers / {name}" for name in ("Owed by customers", "Small debts to write off")),
    *(f"Charged from paid balance / {name}" for name in ("Today", "Last 7 days", "Last 30 days")),
    "Last audit / Customers",
    *(f"Money in, 30 days / {name}" for name in ("Card", "Alipay", "WeChat Pay")),
    "Gateway / In flight",
    *(f"Gateway / {name}" for name in ("Prices to confirm", "Re-ratings to decide")),
    *(f"Requests, 24 hours / {name}" for name in ("Settled", "Charged", "Upstream cost")),
}
"""Figures that only tell, with neither of the tones."""


def red(code: str) -> Callable[[Case], Case]:
    def add(case: Case) -> Case:
        CASES[code] = case
        return case

    return add


@red("To do / Refunds overdue")
def a_refund_is_overdue(world):
    refund = world.refund()
    RefundRequest.objects.update(due_at=timezone.now() - HOUR)
    yield
    refunds.cancel(refund_id=refund.pk, now=timezone.now())


@red("To do / Refunds on the way")
def a_refund_is_on_its_way_for_too_long(world):
    refund = world.refund()
    refunds.approve(refund_id=refund.pk, amount="4.00", by=world.chief, now=timezone.now() - 73 * HOUR)
    yield
    RefundRequest.objects.update(decided_at=timezone.now())


@red("To do / Refunds due today")
def a_refund_is_due_today(world):
    refund = world.refund()
    RefundRequest.objects.update(due_at=timezone.now() + HOUR)
    yield
    refunds.cancel(refund_id=refund.pk, now=timezone.now())


@red("To do / Invoices overdue")
def an_invoice_is_overdue(world):
    invoice = world.invoice()
    InvoiceRequest.objects.update(due_at=timezone.now() - HOUR)
    yield
    invoices.cancel(request_id=invoice.pk, now=timezone.now())


@red("To do / Credit notes wanted")
def a_credit_note_is_wanted(world):
    invoice = world.invoice()
    allocation = invoice.allocations.get()
    task = {"allocation": allocation, "request": invoice, "source_id": world.topup.pk, "amount": 5, "reason": "refund"}
    CreditTask.objects.create(**task)
    yield
    CreditTask.objects.update(state="overridden", words="small", resolved_by=world.chief, resolved_at=timezone.now())


@red("To do / Facts that nobody reads")
def nobody_reads_a_fact(world):
    Unread.objects.create(event=Event.objects.create(key="x", created_at=timezone.now() - HOUR), reader="nobody")
    yield
    Unread.objects.all().delete()


@red("To do / Mail that does not leave")
def mail_does_not_leave(world):
    """No worker sends: nothing was even tried."""
    written = timezone.now() - HOUR
    row = Mail.objects.create(to="a@b.co", about="x", subject="x", body="", created_at=written, send_at=written)
    yield
    world.desk.post(reverse("admin:billing_mail_put_aside", args=[row.pk]), {"why": "no such address"})


@red("To do / Mail that left without its file")
def mail_left_without_its_file(world):
    now = timezone.now()
    Mail.objects.create(to="a@b.co", about="topup_x", subject="x", body="", sent_at=now, fileless_at=now)
    yield
    Mail.objects.update(fileless_at=now - 8 * 24 * HOUR)


@red("To do / Webhooks that wait")
def no_worker_posts_webhooks(world):
    """One to an endpoint that fails may wait: its owner mends that."""
    due = timezone.now() - HOUR
    common = {"customer": world.customer, "url": "https://hook.example/", "events": ["topup.paid"], "secret": "x"}
    for number, since in (("we_1", None), ("we_2", due)):
        endpoint = Endpoint.objects.create(number=number, failing_since=since, **common)
        Delivery.objects.create(
            endpoint=endpoint, number=number, message_id="evt_1", event="topup.paid", body="{}", send_at=due
        )
    yield
    Delivery.objects.filter(number="we_1").update(state="delivered", send_at=None)


@red("To do / Alerts that do not arrive")
def an_alert_does_not_arrive(world):
    post = AlertPost.objects.create(message_id="m", body="{}", created_at=timezone.now() - HOUR)
    yield
    AlertPost.objects.filter(pk=post.pk).update(sent_at=timezone.now())


@red("What we owe customers / Wallets below zero")
def a_wallet_is_below_zero(world):
    Wallet.objects.update(paid=-1)
    yield
    Wallet.objects.update(paid=20)


@red("Charged from paid balance / Totals stored until")
def nobody_closes_days(world):
    AccountDay.objects.all().delete()
    ClosedDay.objects.all().delete()
    yield
    journal.close_days(now=timezone.now())


@red("Last audit / When (UTC)")
def the_audit_is_old(world):
    AuditRun.objects.update(finished_at=timezone.now() - 2 * DAY)
    yield
    journal.run_audit(now=timezone.now())


@red("Last audit / Drifts")
def the_audit_finds_a_drift(world):
    Wallet.objects.update(bonus=999)
    journal.run_audit(now=timezone.now())
    yield
    Wallet.objects.update(bonus=10)
    journal.run_audit(now=timezone.now())


@red("Last audit / None yet")
def there_was_no_audit(world):
    AuditRun.objects.all().delete()
    yield
    journal.run_audit(now=timezone.now())


@red("Payments to look at / Statements missing or unmatched")
def a_statement_is_missing(world):
    TopUp.objects.update(created_at=timezone.now() - 5 * DAY)
    for day in reconcile.due_days(provider="stripe", now=timezone.now()):
        world.statement(day)  # fetched, and never matched
    yield
    Statement.objects.update(matched_at=timezone.now())


@red("Payments to look at / Days with another shop's payments")
def another_shop_takes_payments_on_the_account(world):
    world.statement(timezone.now().date(), matched_at=timezone.now(), held_back=3)
    yield
    Statement.objects.update(held_back=0)


@red("Payments to look at / Payments that do not fit")
def a_payment_does_not_fit(world):
    TopUp.objects.update(problem="paid 19 USD, ordered 20 USD")
    yield
    polling.put_aside(topup_id=world.topup.pk, now=timezone.now())


@red("Payments to look at / Payments that cannot be settled")
def a_payment_cannot_be_settled(world):
    TopUp.objects.update(failures=MOST_FAILURES)
    yield
    TopUp.objects.update(failures=0)


@red("Payments to look at / Notifications that wait")
def a_notification_waits(world):
    Notification.objects.create(provider="stripe", key="e", kind="x", body="", received_at=timezone.now() - HOUR)
    yield
    Notification.objects.update(processed_at=timezone.now(), outcome="ignored")


@red("Payments to look at / Refunds and disputes told of that do not fit")
def a_dispute_that_is_told_of_is_none_of_ours(world):
    told = {"kind": "charge.dispute.created", "reference": "du_1", "outcome": "unknown_order", "body": ""}
    for key in ("evt_1", "evt_2"):
        row = Notification.objects.create(provider="stripe", key=key, processed_at=timezone.now(), **told)
    yield
    world.desk.post(reverse("admin:payments_notification_looked_at", args=[row.pk]), {"note": "a test of Stripe's"})


@red("Payments to look at / Open disputes")
def a_dispute_is_open(world):
    world.dispute(status="under_review")
    yield
    Dispute.objects.update(status="won")


@red("Payments to look at / Evidence due within 3 days")
def evidence_is_due(world):
    """Of an inquiry, which is no open dispute yet."""
    world.dispute(status="warning_needs_response", evidence_due_at=timezone.now() + 2 * DAY)
    yield
    Dispute.objects.update(status="warning_under_review")


@red("Payments to look at / Differences with statements")
def a_statement_differs(world):
    about = {"kind": "missing_here", "key": "x", "currency": "USD"}
    row = Discrepancy.objects.create(provider="stripe", day=timezone.now().date(), **about)
    yield
    queue.explain(discrepancy_id=row.pk, note="x", by_id=world.chief.pk, now=timezone.now())


@red("Payments to look at / Parked refund parts")
def a_part_is_parked(world):
    world.part(state="parked", by_bank=True, topup=None)
    yield
    RefundPart.objects.update(state="failed")


@red("Payments to look at / Refund parts on the way")
def a_part_is_on_the_way_for_too_long(world):
    world.part(state="sending", sent_at=timezone.now() - 2 * DAY)
    yield
    RefundPart.objects.update(sent_at=timezone.now())


@red("Payments to look at / Refunds contradicted by the provider")
def a_refund_is_contradicted(world):
    world.part(state="failed", contradicted_at=timezone.now())
    yield
    RefundPart.objects.update(seen_by=world.chief)


@red("Payments to look at / Owed for refunds paid after all")
def a_refund_was_paid_after_it_had_failed(world):
    refund = world.refund()
    RefundRequest.objects.filter(pk=refund.pk).update(sent=1, paid_after_all=1, excess=1)
    yield
    RefundRequest.objects.filter(pk=refund.pk).update(excess=0)


@red("Exchange rate / CNY a USD")
def there_is_no_rate(world):
    ExchangeRate.objects.all().delete()
    yield
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test")


@red("Exchange rate / Sold at until")
def the_rate_ends_in_less_than_five_days(world):
    age = timedelta(days=world.settings.FX_RATE_MAX_AGE_DAYS) - 5 * DAY
    ExchangeRate.objects.update(created_at=timezone.now() - age - HOUR)
    yield
    ExchangeRate.objects.update(created_at=timezone.now() - age + HOUR)


@red("Exchange rate / Rates that wait for a second person")
def a_rate_waits(world):
    waiting = ExchangeRate.objects.create(rate=Decimal("1.12"), source="a slip", needs_second=True)
    yield
    ExchangeRate.objects.filter(pk=waiting.pk).update(dropped_at=timezone.now())


@red("Money in, 30 days / Orders of a day, and none paid")
def nobody_can_pay_by_a_method(world):
    opened = timezone.now() - 2 * HOUR
    money = {"amount": Decimal(5), "charge_amount": Decimal(35), "charge_currency": "CNY", "fx_rate": Decimal(7)}
    orders = [
        TopUp(customer=world.customer, number=f"t{n}", method="alipay", created_at=opened, expires_at=opened, **money)
        for n in range(10)
    ]
    TopUp.objects.bulk_create(orders)
    yield
    TopUp.objects.filter(number="t3").update(state="paid", transaction_id="2026", paid_at=timezone.now())


@red("Owed by providers / *")
def a_provider_says_that_it_owes_another_sum(world):
    statement = world.statement(timezone.now().date(), matched_at=timezone.now())
    line = {"provider": "stripe", "key": "txn", "kind": "payment", "fee": 0, "currency": "USD", "at": timezone.now()}
    StatementLine.objects.create(
        statement=statement, amount=Decimal("19.99"), transaction_id=world.topup.transaction_id, **line
    )
    journal.run_audit(now=timezone.now())
    yield
    StatementLine.objects.update(amount=20)
    journal.run_audit(now=timezone.now())


@red("First page / Panels of proxy")
def the_panels_of_an_app_fail(world):
    before = first_page._panels["proxy"]

    def fail():
        raise KeyError("x")

    first_page._panels["proxy"] = (before[0], fail, before[2])
    yield
    first_page._panels["proxy"] = before


@red("Charged from paid balance / Statements of a month closed")
def a_month_is_not_closed(world):
    Customer.objects.filter(pk=world.customer.pk).update(created_at=timezone.now() - 70 * DAY)
    yield
    closing.close_due(now=timezone.now())
