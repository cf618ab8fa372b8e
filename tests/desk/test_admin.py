"""The staff desk: everything can be looked at, the books cannot be written, prices and keys behave."""

import re
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.groups import CustomerGroup
from accounts.models import ApiKey, Customer, User
from billing.models import Hold, LedgerAccount, Transfer, Wallet
from proxy.models import Generation, Lease, Model, Price, Upstream
from tests.staffing import at_desk, in_role


@pytest.fixture
def desk(client, db):
    client.force_login(User.objects.create_superuser("staff@example.org", "a rather long one"))
    return client


def test_every_registered_list_opens_and_stands_in_the_sidebar(desk, make_request):
    make_request()
    index = desk.get("/admin/").content.decode()
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert desk.get(path).status_code == 200, path
        if (
            model._meta.app_label in ("accounts", "billing", "proxy", "webhooks")
            and model._meta.model_name != "membership"
        ):
            assert f'href="{path}"' in index, path


def test_every_object_of_the_books_and_requests_opens(desk, make_request):
    make_request()
    Lease.objects.create(host="here", started_at="2026-11-23T12:00Z", renewed_at="2026-11-23T12:00Z")
    for model in (Customer, User, ApiKey, Wallet, Transfer, Hold, LedgerAccount, Generation, Model, Upstream, Lease):
        opts = model._meta
        path = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[model.objects.first().pk])
        assert desk.get(path).status_code == 200, path


@pytest.mark.parametrize("model", [LedgerAccount, Transfer, Wallet, Hold, Generation, Lease])
def test_the_books_can_only_be_looked_at(desk, make_request, model):
    make_request()
    Lease.objects.create(host="here", started_at="2026-11-23T12:00Z", renewed_at="2026-11-23T12:00Z")
    base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    pk = model.objects.first().pk
    assert desk.get(reverse(f"{base}_add")).status_code == 403
    assert desk.post(reverse(f"{base}_change", args=[pk]), {}).status_code == 403
    assert desk.post(reverse(f"{base}_delete", args=[pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=pk).exists()


def test_requests_are_found_by_id_and_by_email_without_counting_them_all(desk, make_request, user):
    wanted, other = make_request(), make_request()
    path = reverse("admin:proxy_generation_changelist")
    text = desk.get(path, {"q": wanted.pk}).content.decode()
    assert wanted.pk in text
    assert other.pk not in text
    with CaptureQueriesContext(
        connection,
    ) as queries:
        text = desk.get(path, {"q": "Ada@example.org"}).content.decode()
    assert wanted.pk in text
    assert other.pk in text
    counts = [q["sql"] for q in queries if "COUNT" in q["sql"] and "proxy_generation" in q["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)
    assert desk.get(path, {"q": "\0"}).status_code == 200
    assert wanted.pk not in desk.get(path, {"q": "nobody@example.org"}).content.decode()


def test_suspending_needs_a_reason_and_stops_spending(desk, customer, key, client):
    path = reverse("admin:accounts_customer_suspend", args=[customer.pk])
    desk.post(path, {"reason": ""})
    customer.refresh_from_db()
    assert not customer.is_suspended
    desk.post(path, {"reason": "A chargeback is open."})
    customer.refresh_from_db()
    assert customer.suspended_reason == "A chargeback is open."
    assert customer.meter.suspended, "the gateway reads the meter"
    assert LogEntry.objects.get().change_message == "Suspended: A chargeback is open."
    desk.post(reverse("admin:accounts_customer_lift_suspension", args=[customer.pk]))
    customer.refresh_from_db()
    assert not customer.is_suspended


def test_looking_at_the_form_suspends_nobody(desk, customer):
    desk.get(reverse("admin:accounts_customer_suspend", args=[customer.pk]))
    desk.get(reverse("admin:accounts_customer_lift_suspension", args=[customer.pk]))
    customer.refresh_from_db()
    assert not customer.is_suspended
    assert not LogEntry.objects.exists()


def test_a_keys_hash_is_never_shown_and_a_key_can_be_disabled(desk, key):
    page = desk.get(reverse("admin:accounts_apikey_change", args=[key.key.pk])).content.decode()
    assert key.key.prefix in page
    assert key.key.sha256 not in page
    desk.post(reverse("admin:accounts_apikey_changelist"), {"action": "disable", "_selected_action": [key.key.pk]})
    key.key.refresh_from_db()
    assert not key.key.is_active


def test_an_upstreams_key_is_written_and_never_shown(desk, catalog):
    upstream = Upstream.objects.get()
    path = reverse("admin:proxy_upstream_change", args=[upstream.pk])
    assert "sk-top-secret" not in desk.get(path).content.decode()
    fields = {
        "name": "main",
        "protocol": "openai",
        "base_url": "https://api.example.com/v1",
        "priority": 2,
        "currency": "USD",
        "timeout_seconds": 60,
        "total_timeout_seconds": 600,
        "is_active": "on",
    }
    desk.post(path, {**fields, "new_api_key": ""})
    upstream.refresh_from_db()
    assert (upstream.priority, upstream.api_key) == (2, "sk-top-secret"), "an empty field keeps the key"
    desk.post(path, {**fields, "new_api_key": "sk-new"})
    upstream.refresh_from_db()
    assert upstream.api_key == "sk-new"
    page = desk.post(path, {**fields, "base_url": "http://10.0.0.1/v1"}).content.decode()
    assert "must be https" in page


def test_a_new_price_is_a_new_version_and_the_old_one_stays(desk, catalog):
    model = Model.objects.get(slug="openai/gpt-4.1-nano")
    path = reverse("admin:proxy_model_new_price", args=[model.pk])
    assert 'value="0.10"' in desk.get(path).content.decode()
    fields = {"billing": "per_token", "input": "0.2", "output": "0.8", "tiers": "[]", "margin": "1.05"}
    desk.post(path, fields)
    first, second = model.prices.order_by("version")
    assert (first.rates["input"], second.rates, second.margin) == (
        "0.10",
        {"input": "0.2", "output": "0.8"},
        Decimal("1.0500"),
    )
    assert second.created_by.email == "staff@example.org"
    desk.post(path, fields)
    assert model.prices.count() == 2, "the same price again is no new version"


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "-1"},
        {"input": "NaN"},
        {"margin": "0.9"},
        {"margin": ""},
        {"tiers": "{"},
        {"tiers": "5"},
        {"tiers": '[{"above": "x"}]'},
        {"second": "1"},
        {"input": "", "output": ""},
    ],
    ids=str,
)
def test_a_price_that_cannot_be_meant_is_refused(desk, catalog, fields):
    model = Model.objects.get(slug="openai/gpt-4.1-nano")
    before = Price.objects.count()
    given = {"billing": "per_token", "input": "0.2", "output": "0.8", "tiers": "[]", "margin": "1.05", **fields}
    answer = desk.post(reverse("admin:proxy_model_new_price", args=[model.pk]), given)
    assert answer.status_code == 200
    assert Price.objects.count() == before


def test_staff_without_a_right_do_not_see_its_subject(client, catalog):
    client.force_login(User.objects.create_user("new@example.org", "a rather long one", is_staff=True))
    text = client.get("/admin/").content.decode()
    assert not re.search(r'href="/admin/(billing|proxy|accounts)/', text)
    model = Model.objects.first()
    assert client.post(reverse("admin:proxy_model_new_price", args=[model.pk])).status_code == 403


def test_a_new_user_can_be_made(desk):
    path = reverse("admin:accounts_user_add")
    desk.post(path, {"email": "New@Example.org", "name": "New", "password": "a rather long one"})
    assert User.objects.get(email="new@example.org").check_password("a rather long one")


def test_an_upstreams_kind_must_fit_a_protocol_that_is_spoken(desk, catalog, monkeypatch):
    monkeypatch.setattr("proxy.prices.loading.SPOKEN", frozenset({"openai", "anthropic"}))
    upstream = Upstream.objects.get()
    path = reverse("admin:proxy_upstream_change", args=[upstream.pk])
    fields = {"name": "main", "base_url": "https://api.example.com/v1", "priority": 1, "timeout_seconds": 60}
    fields |= {"total_timeout_seconds": 600, "is_active": "on", "currency": "USD"}
    page = desk.post(path, {**fields, "protocol": "gemini"}).content.decode()
    assert "this version does not speak the protocol gemini" in page
    page = desk.post(path, {**fields, "protocol": "openai", "kind": "anthropic"}).content.decode()
    assert "speaks the protocol anthropic, not openai" in page
    desk.post(path, {**fields, "protocol": "openai", "kind": "azure", "account": "contoso"})
    upstream.refresh_from_db()
    assert (upstream.kind, upstream.account, upstream.bills_abandoned) == ("azure", "contoso", False)


def test_the_price_form_asks_for_the_rates_of_the_models_kind_alone(desk, catalog):
    model = Model.objects.get(slug="openai/gpt-4.1-nano")
    path = reverse("admin:proxy_model_new_price", args=[model.pk])
    text = desk.get(path).content.decode()
    assert 'name="cache_read"' in text
    assert 'name="second"' not in text
    assert "10,000 tokens in and 1,000 out cost $" in text
    before = model.prices.count()
    fields = {"input": "0.2", "output": "0.8", "margin": "1.05"}
    other = desk.post(path, {**fields, "kind": "sound", "shown": "text"}).content.decode()
    assert 'name="second"' in other
    assert model.prices.count() == before, "another kind shows its rates and sets nothing"
    desk.post(path, {**fields, "kind": "sound", "shown": "sound", "second": "0.0001"})
    assert model.prices.latest("version").rates["second"] == "0.0001"


def test_a_price_with_variants_and_a_date_is_written_at_the_desk(desk, catalog):
    model = Model.objects.get(slug="openai/gpt-4.1-nano")
    path = reverse("admin:proxy_model_new_price", args=[model.pk])
    fields = {"input": "0.2", "output": "0.8", "margin": "1.05", "applies_from": "2099-01-01"}
    flex = '[{"when": {"service_tier": "flex"}, "input": "0.1"}]'
    answer = desk.post(path, {**fields, "variants": flex, "fallback": '["input_audio"]'}, follow=True)
    assert "holds from 2099-01-01 00:00 UTC on" in answer.content.decode()
    made = model.prices.latest("version")
    assert made.more == {
        "variants": [{"when": {"service_tier": "flex"}, "rates": {"input": "0.1"}}],
        "fallback": ["input_audio"],
    }
    bad = desk.post(path, {**fields, "variants": '[{"when": {"colour": "red"}, "input": "1"}]'}).content.decode()
    assert "variants[0].when.colour" in bad


def test_finance_keeps_the_groups_of_customers(catalog):
    desk = at_desk(in_role("finance"))
    path = reverse("admin:accounts_customergroup_add")
    fields = {"name": "partners", "factor": "0.9", "models": "openai/gpt-4.1-nano", "rpm_limit": "90"}
    assert desk.post(path, {**fields, "factor": "0"}).status_code == 200
    assert desk.post(path, {**fields, "models": "not a model"}).status_code == 200
    assert not CustomerGroup.objects.exists()
    assert desk.post(path, fields).status_code == 302
    group = CustomerGroup.objects.get()
    assert (group.factor, group.models, group.rpm_limit) == (Decimal("0.9"), ["openai/gpt-4.1-nano"], 90)
    change = reverse("admin:accounts_customergroup_change", args=[group.pk])
    assert desk.post(change, {**fields, "name": "others", "factor": "0.8"}).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.factor) == ("partners", Decimal("0.8"))
    assert at_desk(in_role("support")).post(change, fields).status_code == 403
