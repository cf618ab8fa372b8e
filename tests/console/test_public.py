"""What anybody may read: the landing, the prices, the FAQ, and the pages for when something is wrong."""

import re
from decimal import Decimal

import pytest
import yaml
from django.test import Client
from django.urls import path

from accounts.groups import CustomerGroup
from proxy.models import Model
from proxy.prices.loading import load_catalog


def flat(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_landing_shows_prices_as_they_are_paid_and_a_receipt_that_adds_up(client, catalog, settings):
    settings.SITE_URL = "https://chuizi.example"
    text = flat(client.get("/"))
    assert "$3.15" in text
    assert "$15.75" in text
    assert "2,000 input × $3.00 / M $0.00600000" in text
    assert "Charged $0.01417500" in text
    assert "curl https://chuizi.example/v1/chat/completions" in text
    assert 'base_url="https://chuizi.example/v1"' in client.get("/").content.decode().replace("&quot;", '"')


def test_the_landing_stands_without_a_catalog(client, db):
    assert client.get("/").status_code == 200
    assert "No model is on offer yet" in flat(client.get("/models"))


def test_prices_include_the_margin_and_every_unit(client, catalog):
    text = flat(client.get("/models"))
    assert "$0.105 " in text
    assert "over 200,000 input tokens: input $6.30, output $23.625" in text
    assert "$0.000105 per second" in text


def test_a_models_own_margin_is_in_its_price(client, catalog):
    price = {"input": "1", "output": "2", "margin": "1.5"}
    load_catalog({"models": [{"id": "openai/dear", "upstreams": ["main"], "price": price}]})
    assert "$1.50 $3.00" in flat(client.get("/models?q=dear")).replace(" – ", " ")


def test_a_groups_customers_see_their_models_at_what_they_pay(client, catalog, user, customer):
    customer.group = "partners"
    customer.save()
    CustomerGroup.objects.create(name="partners", factor=Decimal("0.5"), models=["openai/gpt-4.1-nano"])
    assert "claude-sonnet-4-6" in flat(client.get("/models"))
    client.force_login(user)
    text = flat(client.get("/models"))
    assert "$0.0525 " in text
    assert "claude-sonnet-4-6" not in text
    assert "what your account pays" in text
    assert "claude-sonnet-4-6" not in flat(client.get("/"))


@pytest.mark.parametrize(("query", "shown"), [("sonnet", 1), ("OPENAI", 2), ("long work", 1), ("openai nano", 1)])
def test_models_are_found_by_every_word(client, catalog, query, shown):
    text = client.get("/models", {"q": query}).content.decode()
    assert len(re.findall("<tr><td", text)) == shown


def test_a_search_without_a_result_repeats_it_safely(client, catalog):
    text = client.get("/models", {"q": "<script>alert(1)</script>"}).content.decode()
    assert "No model fits" in text
    assert "<script>alert" not in text


def test_the_faq_names_the_numbers_in_force(client, settings, db):
    settings.OVERRUN_LIMIT = settings.OVERRUN_LIMIT * 3
    text = flat(client.get("/help/billing"))
    assert "stays within $3.00" in text
    assert "within 3 business days" in text


@pytest.mark.parametrize("path", ["/", "/models", "/help/billing", "/accounts/login/", "/accounts/signup/", "/nothing"])
def test_pages_come_in_chinese_where_it_is_asked_for(catalog, path):
    answer = Client(headers={"Accept-Language": "zh-CN,zh;q=0.9"}).get(path)
    text = answer.content.decode()
    assert '<html lang="zh-hans">' in text
    assert "价格" in text


def test_the_language_switch_leads_back_and_stays(client, catalog):
    answer = client.post("/language", {"language": "zh-hans", "next": "/models?q=x"})
    assert answer.headers["Location"] == "/models?q=x"
    assert '<html lang="zh-hans">' in client.get("/").content.decode()
    assert client.post("/language", {"language": "en", "next": "https://evil.example/"}).headers["Location"] == "/"


@pytest.mark.parametrize("page", ["/", "/models", "/help/billing", "/accounts/login/", "/accounts/signup/", "/nothing"])
def test_no_page_has_inline_code_or_foreign_files(client, catalog, page):
    answer = client.get(page)
    text = answer.content.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]+\s(on[a-z]+|style)=", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!testserver)', text.replace("http://127.0.0.1", ""))
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)


def test_the_api_describes_itself_to_anybody(client, db):
    assert client.get("/api/docs/").status_code == 200
    paths = yaml.safe_load(client.get("/api/schema/").content)["paths"]
    assert {"/v1/credits", "/v1/transactions", "/v1/keys", "/v1/keys/{key_id}"} <= set(paths)


def _broken(request):
    raise RuntimeError("broken on purpose")


urlpatterns = [path("broken", _broken)]


@pytest.mark.urls(__name__)
def test_a_fault_of_ours_says_what_happened_to_the_money(settings):
    answer = Client(raise_request_exception=False).get("/broken")
    assert answer.status_code == 500
    assert "No money moved that the ledger does not show" in answer.content.decode()
    assert "broken on purpose" not in answer.content.decode()


def test_a_form_without_its_token_changes_nothing_and_says_so(db):
    answer = Client(enforce_csrf_checks=True).post("/language", {"language": "en"})
    assert answer.status_code == 403
    assert "This page was open for too long" in answer.content.decode()


def test_the_list_of_models_shows_each_rate_with_its_measure_and_the_service_tiers(client, catalog):
    price = {"input": "1", "output": "2", "web_search": "10", "input_audio": "4", "margin": "1.5"}
    flex = {"flex": {"input": "0.5", "tiers": [{"above": 1000, "input": "0.8"}]}}
    load_catalog({"models": [{"id": "openai/rich", "upstreams": ["main"], "price": {**price, "service_tiers": flex}}]})
    text = flat(client.get("/models?q=rich"))
    assert "per thousand web searches $15.00, audio input $6.00" in text
    assert "flex: input $0.75; over 1,000 input tokens: input $1.20" in text


def test_the_list_of_models_says_what_its_provider_gives_up_and_when(client, catalog):
    Model.objects.filter(slug="openai/gpt-4.1-nano").update(deprecated_on="2026-11-02")
    Model.objects.filter(slug="openai/whisper-1").update(deprecated_on="2026-11-02", retired_on="2027-01-31")
    text = flat(client.get("/models"))
    assert "gpt-4.1-nano Deprecated by its provider since 2026-11-02" in text
    assert "whisper-1 Retired by its provider on 2027-01-31" in text
