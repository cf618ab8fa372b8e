"""What the demo's business does: it pays by every method, asks for a refund and an invoice, and disputes a payment.

Each step looks first whether it is done, so that a run that was cut short goes on where it stopped.
"""

import json
import os
import random
import urllib.request
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, User
from accounts.people import signup
from billing import invoices, refunds
from billing.models import InvoiceRequest, RefundRequest
from billing.months import journal
from chuizi.local.demo import PAST_MODELS, past_request
from payments.disputes import cases
from payments.models import Dispute, Statement, TopUp
from payments.providers import registry
from payments.statements import reconcile
from payments.topups import opening, orders
from proxy.models import Generation, Model

CARD = next(code for code, spec in registry.SPECS.items() if spec.is_card)
YUAN, MORE_YUAN = (code for code, spec in registry.SPECS.items() if not spec.is_card)
PEOPLE = (
    ("orchard@chuizi.example", "Orchard Labs", CARD, "100.00", "en"),
    ("studio@chuizi.example", "林间工作室", YUAN, "50.00", "zh-hans"),
    ("bikes@chuizi.example", "Bright Bikes", MORE_YUAN, "20.00", "en"),
    ("kite@chuizi.example", "Kite Records", CARD, "40.00", "en"),
)
"""Address, name, method and USD paid, language. They have no password: staff look at them, and nobody logs in."""
REFUNDED, INVOICED, DISPUTED = "bikes@chuizi.example", "orchard@chuizi.example", "kite@chuizi.example"
REQUESTS = 8
STRANGER: dict[str, Any] = {"kind": "其它", "amount": -1234, "note": "平台服务费"}
"""A row of a fund flow that the books cannot explain, in fen."""
BUYER: dict[str, Any] = {
    "company_name": "Orchard Labs Inc.",
    "buyer_kind": "company",
    "country": "US",
    "billing_address": "1 Orchard Street, Springfield",
    "delivery": "email",
    "email": "accounts@orchard.example",
}


def is_demo() -> bool:
    """Whether every provider is the sandbox's."""
    sandbox = _sandbox()
    return all(settings.PAYMENT_VARIABLES[spec.address].startswith(sandbox) for spec in registry.SPECS.values())


def make(*, now: datetime) -> None:
    """All of it, as far as it is missing."""
    owners = {email: _owner(email, name, language, now=now) for email, name, _method, _usd, language in PEOPLE}
    for email, _name, method, amount, _language in PEOPLE:
        _pay(owners[email], method=method, amount=amount, now=now)
        _use(owners[email], now=now)
    _ask_for_a_refund(owners[REFUNDED], now=now)
    _ask_for_an_invoice(owners[INVOICED], now=now)
    _dispute(owners[DISPUTED], now=now)
    _differ(now=now)
    journal.run_audit(now=now)


def _owner(email: str, name: str, language: str, *, now: datetime) -> Customer:
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, None, name=name, language=language)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    customer = signup.confirm(user=user, address="", now=now)
    if customer.name != name:
        Customer.objects.filter(pk=customer.pk).update(name=name)
        customer.name = name
    return customer


def _pay(customer: Customer, *, method: str, amount: str, now: datetime) -> None:
    """Order, pay as the payer would, and settle as the notification does."""
    if TopUp.objects.filter(customer=customer, state=TopUp.State.PAID).exists():
        return
    topup = opening.open_topup(customer=customer, amount=amount, method=method, now=now)
    _control(f"/orders/{method}/{topup.reference or topup.number}/pay")
    orders.settle_topup(topup_id=topup.pk, now=now)


def _use(customer: Customer, *, now: datetime) -> None:
    """A few requests of the last hour."""
    if Generation.objects.filter(customer=customer).exists():
        return
    key = ApiKey.objects.filter(customer=customer).first()
    if key is None:
        key = issuing.issue(customer=customer, name="Demo", now=now).key
    chance = random.Random(customer.pk)  # noqa: S311 - a demo, the same each time
    models = list(Model.objects.filter(slug__in=PAST_MODELS).order_by("slug").prefetch_related("prices"))
    for number in range(REQUESTS if models else 0):
        past_request(chance.choice(models), customer, key, now - timedelta(minutes=50 - 5 * number), chance)


def _ask_for_a_refund(customer: Customer, *, now: datetime) -> None:
    if not RefundRequest.objects.filter(customer=customer).exists():
        refunds.ask(customer=customer, amount="12.00", reason="We ended the project it was for.", now=now)


def _ask_for_an_invoice(customer: Customer, *, now: datetime) -> None:
    if not InvoiceRequest.objects.filter(customer=customer).exists():
        invoices.ask(customer=customer, amount="60.00", now=now, **BUYER)


def _dispute(customer: Customer, *, now: datetime) -> None:
    topup = TopUp.objects.filter(customer=customer, state=TopUp.State.PAID).first()
    if topup is None or Dispute.objects.filter(topup=topup).exists():
        return
    for step in ("open", "withdraw"):
        told = _control(f"/orders/{topup.method}/{topup.reference or topup.number}/dispute", step=step)
    cases.settle_dispute(provider=topup.method, dispute_id=str(told["id"]), now=now)


def _differ(*, now: datetime) -> None:
    """Today's statement of the sandbox's, with a row that the books cannot explain."""
    if Statement.objects.exists():
        return
    _control(f"/movements/{YUAN}", **STRANGER)
    _control("/settings", bills_at_once=True)
    try:
        day = now.astimezone(reconcile.ZONES[YUAN]).date()
        reconcile.reconcile(provider=YUAN, day=day, now=now)
    finally:
        _control("/settings", bills_at_once=False)


def _sandbox() -> str:
    return os.environ.get("SANDBOX_URL", "http://127.0.0.1:8001")


def _control(path: str, **body: Any) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - http to this machine
        f"{_sandbox()}/control{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found
