"""Walks through the whole desk: what nobody may write, and who may open and do what."""

import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Model as Row
from django.test import Client, RequestFactory
from django.urls import URLPattern, reverse
from django.utils import timezone

from accounts.groups import CustomerGroup
from accounts.models import ApiKey, Customer, Membership, StaffAction, User, WelcomedAddress
from billing import refunds
from billing.books import holds
from billing.books.ledger import house_account
from billing.models import (
    AccountDay,
    AdjustmentProposal,
    Alert,
    AlertPost,
    AuditRun,
    Document,
    Event,
    Hold,
    InvoiceRequest,
    InvoiceSeries,
    JournalEntry,
    MonthLock,
    Unread,
)
from billing.months import journal
from desk.customers.tabs import TABS
from desk.invoices import acts as invoice_acts
from desk.refunds import acts as refund_acts
from payments.models import (
    Discrepancy,
    Dispute,
    ExchangeRate,
    FraudWarning,
    Notification,
    Statement,
    StatementLine,
)
from proxy.models import Model, Upstream
from tests.desk.customers_rows import of_customers
from tests.desk.gateway_rows import of_the_gateway
from tests.outbox import mails
from tests.payments.fake_refunds import paid_in
from tests.staffing import ROLES, at_desk, in_role

pytestmark = pytest.mark.django_db
BOOKS = {"accounts", "billing", "payments", "proxy", "webhooks"}
SEEN = {"support": BOOKS, "finance": BOOKS, "operator": {"proxy"}}
"""The apps whose pages a role opens."""
HIDDEN = {"proxy.marginday": {"support"}}
"""Pages of such an app that some roles do not open."""
FORMS = {
    *("accounts.user", "accounts.customer", "accounts.apikey", "accounts.membership", "account.emailaddress"),
    *("auth.group", "mfa.authenticator", "billing.invoiceseries", "payments.exchangerate"),
    *("proxy.upstream", "proxy.model", "accounts.customergroup"),
}
"""What is kept by forms. All the rest of the desk is facts: to be looked at, and moved by the domain's functions."""
ASKED_FOR = {
    *("billing.refundrequest", "billing.invoicerequest"),
    *("billing.adjustmentproposal", "billing.journalentry", "proxy.rerate", "billing.codebatch"),
}
"""Facts that begin at the desk, by a domain function behind a form of its own."""
SHARED = {"billing_refundrequest_act": refund_acts.ACTS, "billing_invoicerequest_act": invoice_acts.ACTS}
SHARED |= {"accounts_customer_tab": TABS}
"""The acts of an address that they share."""
OF_DJANGO = {
    *("index", "app_list", "search", "autocomplete", "jsi18n", "view_on_site", None),
    *("login", "logout", "password_change", "password_change_done"),
}
"""Pages of the desk that are no model's."""
FILLED = {"amount": "1", "reason": "x", "words": "x", "why": "x", "note": "x", "post": "yes"}
NOBODY: tuple[str, ...] = ()
FINANCE, OPERATOR = ("finance",), ("operator",)
HANDLING = ("support", *FINANCE)
LOOKING = ("viewer", *HANDLING)
MAY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("accounts_customer_story", "billing_document_file", "billing_document_download"),
            *(f"accounts_customer_tab {name}" for name in TABS),
            *("billing_monthlock_trial_balance", "billing_transfer_export", "payments_notification_refused"),
        ),
        LOOKING,
    ),
    **dict.fromkeys(
        (
            *("accounts_customer_change", "accounts_customer_suspend", "accounts_customer_lift_suspension"),
            *("accounts_apikey_change", "accounts_apikey disable", "accounts_apikey enable"),
            *("billing_mail_send_again", "billing_mail_put_aside"),
            *("payments_dispute_fetch", "payments_dispute_look"),
            "billing_refundrequest_add",
            *(f"billing_refundrequest_act {act}" for act in ("approve", "propose", "deny", "ask", "look")),
            *("billing_invoicerequest_add", "billing_invoicerequest_preview"),
            *("billing_invoicerequest_export_fapiao", "billing_invoicerequest_import_fapiao"),
            *(f"billing_invoicerequest_act {act}" for act in ("issue", "record", "deny", "post")),
        ),
        HANDLING,
    ),
    **dict.fromkeys(
        (
            *(f"billing_refundrequest_act {act}" for act in ("park", "record-transfer", "record-there", "seen")),
            *(f"billing_refundrequest_act {act}" for act in ("withdraw-transfer", "give-back", "collect", "bear")),
            *(f"billing_invoicerequest_act {act}" for act in ("credit", "override", "reissue")),
            *("billing_invoiceseries_add", "billing_invoiceseries_change"),
            *(f"billing_adjustmentproposal_{act}" for act in ("add", "give_back", "approve", "refuse")),
            *(f"billing_codebatch_{act}" for act in ("add", "approve", "refuse", "make_codes", "stop")),
            *(f"billing_journalentry_{act}" for act in ("add", "approve", "refuse")),
            *("billing_monthlock_lock", "billing_wallet_write_off", "proxy_model_new_price", "proxy_model_new_cost"),
            *("payments_dispute_propose_write_off", "payments_dispute_confirm_write_off"),
            *(f"payments_exchangerate_{act}" for act in ("add", "confirm", "drop")),
            *(f"payments_topup_{act}" for act in ("fetch", "margins", "look", "put_aside")),
            *("payments_notification_looked_at", "payments_notification process_again"),
            *("payments_statement_give_up", "payments_statement_share"),
            *("payments_discrepancy_explain", "payments_discrepancy_resolve"),
            *(f"proxy_priceproposal_{act}" for act in ("approve", "refuse")),
            *(f"proxy_rerate_{act}" for act in ("add", "version", "approve", "refuse")),
            *("accounts_customergroup_add", "accounts_customergroup_change"),
            *(f"proxy_generation_{act}" for act in ("try_again", "release", "looked_at")),
            *("proxy_upstreambill_bring", "proxy_upstreambill_again"),
        ),
        FINANCE,
    ),
    "proxy_rerate_file": (*LOOKING, *OPERATOR),
    **dict.fromkeys(("proxy_upstream_add", "proxy_upstream_change", "proxy_upstream_try_it"), OPERATOR),
    **dict.fromkeys(("proxy_model_add", "proxy_model_change"), OPERATOR),
    **dict.fromkeys(
        (
            *("accounts_user_add", "accounts_user_change", "auth_user_password_change"),
            *("auth_group_add", "auth_group_change", "auth_group_delete"),
            *(f"account_emailaddress{act}" for act in ("_add", "_change", "_delete", " make_verified")),
            *("accounts_membership_add", "accounts_membership_change", "accounts_membership_delete"),
            "mfa_authenticator_delete",
        ),
        NOBODY,
    ),
}
"""Who does what at the desk beside a superuser, who does all of this; what does not stand here, nobody does."""


@pytest.fixture
def rows(make_request, make_budget, customer: Customer, user: User, key, now) -> dict[type[Row], Row]:
    """One of everything that the desk shows."""
    make_request(state="held")
    make_request()
    topup = paid_in(customer, "stripe")
    refund = refunds.ask(customer=customer, amount="4.00", reason="test", now=now)
    holds.place(customer_id=customer.pk, key="dispute:1", kind=Hold.Kind.DISPUTE, amount=Decimal(1), now=now)
    make_budget("1")
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
    CustomerGroup.objects.create(name="partners")
    journal.run_audit(now=now)
    AccountDay.objects.create(day=now.date(), account=topup_account(customer), debits=0, credits=20, transfers=1)
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    AdjustmentProposal.objects.create(
        customer=customer, kind="bonus_up", amount=Decimal(1), reason="x", proposed_by=chief
    )
    JournalEntry.objects.create(
        debit=house_account("bank:USD"),
        credit=house_account("clearing:stripe:USD"),
        about=now.date(),
        reference="PO-1",
        reason="x",
        proposed_by=chief,
        **money,
    )
    of_the_gateway(customer, chief, now=now)
    MonthLock.objects.create(month=now.date().replace(day=1), locked_by=chief)
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
    of_customers(customer, user, now=now)
    Alert.objects.create(code="Panel / Figure", value="1")
    AlertPost.objects.create(message_id="msg_1", body="{}")
    mails().filter(about=refund.number).update(sent_at=timezone.now())
    Unread.objects.create(event=Event.objects.create(key="x", kind="alert.test", subject="x"), reader="mail")
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
    kinds = {model._meta.model_name for model in facts}
    assert {"transfer", "hold", "wallet", "notification", "document", "staffaction", "statementline"} <= kinds
    assert "generation" in kinds
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
    from proxy.models import Price

    before = table(Price)
    row = Model.objects.order_by("pk")[0]
    desk = at_desk(User.objects.get(email="chief@example.org"))
    inline = {"purchase_prices-TOTAL_FORMS": "0", "purchase_prices-INITIAL_FORMS": "0"}
    inline |= {"prices-TOTAL_FORMS": "1", "prices-INITIAL_FORMS": "1", "prices-0-id": str(row.prices.get().pk)}
    inline |= {"prices-0-margin": "9", "prices-0-DELETE": "on"}
    routes = {"routes-TOTAL_FORMS": "0", "routes-INITIAL_FORMS": "0"}
    answer = desk.post(page(Model, "change", row.pk), {"slug": row.slug, "max_tool_calls": 0, **routes, **inline})
    assert answer.status_code == 302
    assert table(Price) == before


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_others(rows, role):
    desk = at_desk(User.objects.get(email="support@staff.example.org") if role == "support" else in_role(role))
    index = desk.get("/admin/").content.decode()
    for model, row in rows.items():
        label = model._meta.label_lower
        is_hidden = role in HIDDEN.get(label, ())
        seen = 200 if model._meta.app_label in SEEN[role] and not is_hidden else 403
        assert desk.get(page(model, "changelist")).status_code == seen, label
        assert desk.get(page(model, "change", row.pk)).status_code == seen, label
        assert desk.get(page(model, "history", row.pk)).status_code == seen, label
        assert (f'href="{page(model, "changelist")}"' in index) <= (seen == 200), label


def test_staff_without_a_role_open_nothing(rows):
    desk = at_desk(User.objects.create_user("new@example.org", "a rather long one", is_staff=True))
    for model, row in rows.items():
        for path in (page(model, "changelist"), page(model, "change", row.pk)):
            assert desk.get(path).status_code == 403, path


def acts(rows: dict[type[Row], Row]) -> Iterator[tuple[str, str]]:
    """(name, path) of what is written or done by a page of the desk: its forms, and every page beside Django's."""
    for model, row in rows.items():
        label = model._meta.label_lower
        kept = {"add", "change", "delete"} if label in FORMS else {"add"} if label in ASKED_FOR else set()
        for pattern in admin.site._registry[model].get_urls():
            name = pattern.name or ""
            verb = name.removeprefix(label.replace(".", "_") + "_")
            if not name or verb in {"changelist", "history", "add", "change", "delete"} - kept:
                continue
            given = set(pattern.pattern.converters)
            assert given <= {"object_id", "id", "name"}, f"what does {name} ask for?"
            for act in SHARED[name] if "name" in given else [""]:
                args = [str(row.pk)] * bool(given & {"object_id", "id"}) + [act] * bool(act)
                yield f"{name} {act}".strip(), reverse(f"admin:{name}", args=args)


def lets_in(desk: Client, path: str, form: dict[str, str]) -> bool:
    """Whether this person may, be it that an empty form is refused; what is done then is undone."""
    before = transaction.savepoint()
    answer = desk.post(path, form)
    if answer.status_code == 405:
        answer = desk.get(path)
    if answer.status_code != 403 and not answer.headers.get("Location", "").startswith(reverse("admin:login")):
        transaction.savepoint_rollback(before)
        return True
    transaction.savepoint_commit(before)
    return False


def offered(person: User) -> set[tuple[type[Row], str]]:
    """The actions of the lists that this person may run on what is ticked."""
    request = RequestFactory().get("/admin/")
    request.user = person
    return {(model, name) for model, one in admin.site._registry.items() for name in one.get_actions(request)}


def test_every_act_of_the_desk_is_for_the_roles_that_have_its_right(rows, settings, caplog):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    caplog.set_level("CRITICAL", "django.request")
    Upstream.objects.update(base_url="https://127.0.0.1:9/v1")
    chief = User.objects.get(email="chief@example.org")
    staff = {role: in_role(role, f"{role}@acts.example.org") for role in ROLES} | {"superuser": chief}
    for role in ("viewer", "no role"):
        staff[role] = User.objects.create_user(f"{role[:2]}@example.org", "a rather long one", is_staff=True)
    staff["viewer"].user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    staff["left"] = in_role("finance", "left@example.org")
    staff["left"].is_staff = False
    staff["left"].save()
    assert {one.name for one in admin.site.get_urls() if isinstance(one, URLPattern)} == OF_DJANGO
    assert not any(one.actions_submit_line for one in admin.site._registry.values()), "is pressed with its form"
    walked, expected = list(acts(rows)), {act: {*roles, "superuser"} for act, roles in MAY.items()}
    desks = {role: at_desk(person) for role, person in staff.items()}
    before = {model: table(model) for model in rows}
    may: dict[str, set[str]] = defaultdict(set)
    for role, desk in desks.items():
        for act, path in walked:
            if lets_in(desk, path, {} if role in expected.get(act, ()) else FILLED):
                may[act].add(role)
        own = offered(staff[role]) if staff[role].is_staff else set()
        for model, action in offered(chief):
            if (model, action) in own:
                may[f"{model._meta.label_lower.replace('.', '_')} {action}"].add(role)
            else:
                desk.post(page(model, "changelist"), {"action": action, "_selected_action": [rows[model].pk]})
        for model in rows:
            assert table(model) == before[model], (role, model)
    assert may == expected


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
    assert writing["operator"] == {"proxy.manage_upstreams", "proxy.see_margin"}
    assert "proxy.see_margin" not in writing["support"]
    assert "billing.approve_large_refunds" not in writing["support"]
    assert "billing.post_adjustments" not in writing["support"]
    assert writing["finance"] > writing["support"]
    assert not any("delete" in right for held in writing.values() for right in held)
    assert "proxy.view_generation" in rights["operator"]
    assert "billing.view_transfer" not in rights["operator"]
