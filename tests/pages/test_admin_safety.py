"""Walks through the whole desk: what nobody may write, who may open what, and that looking is all a viewer can do."""

import re
from decimal import Decimal
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Model as Row
from django.test import RequestFactory
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.models import ApiKey, Customer, Membership, StaffAction, User, WelcomedAddress
from billing import books, holds, refunds
from billing.models import (
    AccountDay,
    AdjustmentProposal,
    Alert,
    AlertPost,
    AuditRun,
    Document,
    Hold,
    InvoiceRequest,
    InvoiceSeries,
    Mail,
)
from payments import topups
from payments.models import (
    Discrepancy,
    Dispute,
    ExchangeRate,
    FraudWarning,
    Notification,
    Statement,
    StatementLine,
    TopUp,
)
from payments.providers.base import Outcome, PaymentFact
from payments.refund_desk import ACTS
from proxy.models import Lease
from tests.staffing import ROLES, at_desk, in_role

pytestmark = pytest.mark.django_db
BOOKS = {"accounts", "billing", "payments", "proxy"}
SEEN = {"support": BOOKS, "finance": BOOKS, "operator": {"proxy"}}
"""The apps whose pages a role opens."""
ADDED_BY = {
    "support": {"billing.refundrequest", "billing.invoicerequest"},
    "finance": {
        "billing.refundrequest",
        "billing.invoicerequest",
        "billing.invoiceseries",
        "billing.adjustmentproposal",
        "payments.exchangerate",
    },
    "operator": {"proxy.upstream", "proxy.model"},
}
FORMS = {
    *("accounts.user", "accounts.customer", "accounts.apikey", "accounts.membership", "account.emailaddress"),
    *("auth.group", "mfa.authenticator", "billing.invoiceseries", "payments.exchangerate"),
    *("proxy.upstream", "proxy.model"),
}
"""What is kept by forms. All the rest of the desk is facts: to be looked at, and moved by the domain's functions."""
ASKED_FOR = {"billing.refundrequest", "billing.invoicerequest", "billing.adjustmentproposal"}
"""Facts that begin at the desk, by a domain function behind a form of its own."""
READS = {"refused", "story", "export"}
"""Buttons that only show."""


@pytest.fixture
def rows(make_request, customer: Customer, user: User, key, now) -> dict[type[Row], Row]:
    """One of everything that the desk shows."""
    make_request(state="held")
    make_request()
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="stripe",
        amount=Decimal(20),
        charge_amount=Decimal(20),
        charge_currency="USD",
        expires_at=now,
    )
    fact = PaymentFact(Outcome.OK, topup.number, "pi_1", Decimal(20), "USD", is_ours=True)
    topups.credit(topup_id=topup.pk, fact=fact, now=now)
    refund = refunds.ask(customer=customer, amount="4.00", reason="test", now=now)
    holds.place(customer_id=customer.pk, key="dispute:1", kind=Hold.Kind.DISPUTE, amount=Decimal(1), now=now)
    statement = Statement.objects.create(provider="stripe", day=now.date(), raw=b"x", sha256="0" * 64, lines=1)
    money = {"amount": Decimal(1), "currency": "USD"}
    dispute = Dispute.objects.create(
        provider="stripe", provider_id="dp_1", topup=topup, customer=customer, status="lost", **money
    )
    FraudWarning.objects.create(provider="stripe", provider_id="issfr_1", topup=topup, customer=customer)
    Notification.objects.create(provider="stripe", key="evt_1", kind="payment", body="{}")
    StatementLine.objects.create(
        statement=statement, provider="stripe", key="txn_1", kind="payment", fee=0, at=now, **money
    )
    Discrepancy.objects.create(provider="stripe", day=now.date(), kind="missing_here", key="txn_1", currency="USD")
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test")
    Lease.objects.create(host="here", started_at=now, renewed_at=now)
    books.run_audit(now=now)
    AccountDay.objects.create(day=now.date(), account=topup_account(customer), debits=0, credits=20, transfers=1)
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    AdjustmentProposal.objects.create(
        customer=customer, kind="bonus_up", amount=Decimal(1), reason="x", proposed_by=chief
    )
    StaffAction.objects.create(user=chief, action="change", object_type="x", object_id="1", object_text="x")
    WelcomedAddress.objects.create(address_hash="0" * 64)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    TOTP.activate(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    in_role("support")
    series = InvoiceSeries.objects.create(prefix="CZ-", seller_name_en="Chuizi", seller_address_en="1 Road")
    invoice = InvoiceRequest.objects.create(
        customer=customer, number="inv_1", company_name="Ada Ltd", due_at=now, state="issued", **money
    )
    Document.objects.create(
        customer=customer,
        request=invoice,
        kind="invoice",
        number="CZ-1",
        series=series,
        sequence=1,
        currency="USD",
        gross=1,
        net=1,
        tax=0,
    )
    Alert.objects.create(code="Panel / Figure", value="1")
    AlertPost.objects.create(message_id="msg_1", body="{}")
    Mail.objects.filter(about=refund.number).update(sent_at=timezone.now())
    assert dispute.pk
    assert AuditRun.objects.exists()
    assert Membership.objects.exists()
    assert ApiKey.objects.exists()
    first = {model: model._default_manager.order_by("pk").first() for model in admin.site._registry}
    missing = [model._meta.label for model, row in first.items() if row is None]
    assert not missing, "the walk would pass these by"
    return {model: row for model, row in first.items() if row is not None}


def topup_account(customer: Customer) -> Any:
    return customer.ledger_accounts.get(kind="paid")


def page(model: type[Row], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def table(model: type[Row]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


def test_facts_are_never_added_changed_or_deleted_by_forms_not_even_by_a_superuser(rows):
    desk = at_desk(User.objects.get(email="chief@example.org"))
    facts = [model for model in rows if model._meta.label_lower not in FORMS]
    for name in (
        "transfer",
        "hold",
        "wallet",
        "notification",
        "document",
        "staffaction",
        "statementline",
        "generation",
    ):
        assert name in {model._meta.model_name for model in facts}
    for model in facts:
        row, before = rows[model], table(model)
        fields = {field.name: "7" for field in model._meta.fields} | {"_save": "Save", "post": "yes"}
        if model._meta.label_lower not in ASKED_FOR:
            assert desk.post(page(model, "add"), fields).status_code == 403, model
            assert desk.post(page(model, "change", row.pk), fields).status_code == 403, model
        else:
            desk.post(page(model, "add"), fields)
            desk.post(page(model, "change", row.pk), fields)
        assert desk.post(page(model, "delete", row.pk), fields).status_code == 403, model
        for action in ("delete_selected", "delete"):
            desk.post(page(model, "changelist"), {"action": action, "_selected_action": [row.pk], "post": "yes"})
        assert table(model) == before, model


def test_no_list_can_delete_what_is_ticked(rows):
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(email="chief@example.org")
    for model, model_admin in admin.site._registry.items():
        assert "delete_selected" not in model_admin.get_actions(request), model


def test_a_price_is_never_changed_by_the_form_of_its_model(rows):
    from proxy.models import Model, Price

    before = table(Price)
    row = Model.objects.order_by("pk")[0]
    desk = at_desk(User.objects.get(email="chief@example.org"))
    inline = {"prices-TOTAL_FORMS": "1", "prices-INITIAL_FORMS": "1", "prices-0-id": str(row.prices.get().pk)}
    inline |= {"prices-0-margin": "9", "prices-0-DELETE": "on"}
    routes = {"routes-TOTAL_FORMS": "0", "routes-INITIAL_FORMS": "0"}
    answer = desk.post(page(Model, "change", row.pk), {"slug": row.slug, "is_active": "on", **routes, **inline})
    assert answer.status_code == 302
    assert table(Price) == before


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_others(rows, role):
    desk = at_desk(User.objects.get(email="support@staff.example.org") if role == "support" else in_role(role))
    index = desk.get("/admin/").content.decode()
    for model, row in rows.items():
        label = model._meta.label_lower
        seen = 200 if model._meta.app_label in SEEN[role] else 403
        assert desk.get(page(model, "changelist")).status_code == seen, label
        assert desk.get(page(model, "change", row.pk)).status_code == seen, label
        assert desk.get(page(model, "history", row.pk)).status_code == seen, label
        added = 200 if label in ADDED_BY[role] else 403
        assert desk.get(page(model, "add")).status_code == added, label
        assert desk.get(page(model, "delete", row.pk)).status_code == 403, label
        assert (f'href="{page(model, "changelist")}"' in index) <= (seen == 200), label


def test_staff_without_a_role_open_nothing(rows):
    desk = at_desk(User.objects.create_user("new@example.org", "a rather long one", is_staff=True))
    for model, row in rows.items():
        for path in (page(model, "changelist"), page(model, "change", row.pk), page(model, "add")):
            assert desk.get(path).status_code == 403, path


def buttons(model: type[Row], row: Row) -> list[tuple[str, str]]:
    """Every page of this model's own beside Django's: the name of the button and its path."""
    found = []
    prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
    for pattern in admin.site._registry[model].get_urls():
        name = str(getattr(pattern, "name", "") or "")
        verb = name.removeprefix(prefix)
        if verb in ("changelist", "add", "change", "delete", "history", "") or name == "auth_user_password_change":
            continue
        for args in ([], [row.pk], *([row.pk, act] for act in ACTS)):
            try:
                found.append((verb, reverse(f"admin:{name}", args=args)))
            except NoReverseMatch:
                continue
    return found


def test_a_viewer_can_run_no_action_and_press_no_button(rows):
    viewer = User.objects.create_user("viewer@example.org", "a rather long one", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    desk = at_desk(viewer)
    request = RequestFactory().get("/admin/")
    request.user = viewer
    before = {model: table(model) for model in rows if model not in (User, StaffAction)}
    pressed = set()
    for model, row in rows.items():
        assert desk.get(page(model, "changelist")).status_code == 200, model
        assert not admin.site._registry[model].get_actions(request), model
        for verb, path in buttons(model, row):
            if verb in READS or "file" in verb or "download" in verb:
                continue
            pressed.add(verb)
            for answer in (desk.get(path), desk.post(path, {"amount": "1", "reason": "x", "words": "x", "why": "x"})):
                assert answer.status_code in (403, 404, 405), (path, answer.status_code)
    assert {"suspend", "lift_suspension", "approve", "act", "propose_write_off", "new_price", "explain"} <= pressed
    assert before == {model: table(model) for model in before}
    assert not StaffAction.objects.exclude(object_type="x").exists()


def test_the_sidebar_of_a_role_names_only_what_it_opens(rows):
    desk = at_desk(in_role("operator"))
    links = set(re.findall(r'href="(/admin/[a-z]+/[a-z]+/)"', desk.get("/admin/").content.decode()))
    assert links
    for link in links:
        assert desk.get(link).status_code == 200, link


def test_groups_are_made_by_the_migrations_and_name_each_right_once(db):
    in_role("finance")
    rights = {
        name: {f"{p.content_type.app_label}.{p.codename}" for p in Group.objects.get(name=name).permissions.all()}
        for name in ROLES
    }
    writing = {name: {right for right in held if ".view_" not in right} for name, held in rights.items()}
    assert writing["operator"] == {"proxy.manage_upstreams"}
    assert "billing.approve_large_refunds" not in writing["support"]
    assert "billing.post_adjustments" not in writing["support"]
    assert writing["finance"] > writing["support"]
    assert not any("delete" in right for held in writing.values() for right in held)
    assert "proxy.view_generation" in rights["operator"]
    assert "billing.view_transfer" not in rights["operator"]
