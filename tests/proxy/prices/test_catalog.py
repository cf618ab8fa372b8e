"""Catalogs: loaded whole or not at all, prices versioned."""

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from proxy.models import Model, Price, Route, Upstream
from proxy.prices import catalog, loading
from proxy.prices.loading import load_catalog
from proxy.prices.written import InvalidCatalog

pytestmark = pytest.mark.django_db
UPSTREAM = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1", "api_key": "sk-upstream"}
MODEL = {
    "id": "openai/gpt-4.1-nano",
    "upstreams": ["main"],
    "upstream_model": "gpt-4.1-nano",
    "max_output_tokens": 32768,
    "price": {"billing": "per_token", "input": "0.10", "output": "0.40", "cache_read": "0.025"},
}


def with_model(**changes) -> dict:
    return {"upstreams": [UPSTREAM], "models": [{**MODEL, **changes}]}


def test_the_contracts_example_loads_from_a_file_and_loading_it_again_changes_nothing(tmp_path, capsys):
    file = tmp_path / "catalog.yaml"
    file.write_text(
        """
upstreams:
  - name: main
    protocol: openai            # openai | anthropic | gemini
    base_url: http://127.0.0.1:9001/v1
    api_key: sk-upstream
    priority: 1
    timeout_seconds: 120
    total_timeout_seconds: 3600
models:
  - id: openai/gpt-4.1-nano
    upstreams: [main]
    upstream_model: gpt-4.1-nano
    max_output_tokens: 32768
    price: {billing: per_token, input: "0.10", output: "0.40", cache_read: "0.025"}
  - id: openai/gpt-image-1
    upstreams: [main]
    price: {billing: per_request, request: "0.04"}
  - id: openai/whisper-1
    upstreams: [main]
    price: {billing: per_second, second: "0.0001"}
""",
        encoding="utf-8",
    )
    call_command("load_catalog", file)
    version = catalog.read_version()
    call_command("load_catalog", file)
    assert capsys.readouterr().out.splitlines()[-1].endswith("0 new prices")
    assert (Model.objects.count(), Price.objects.count(), Route.objects.count()) == (3, 3, 3)
    assert catalog.read_version() >= version
    assert catalog.load().find("gpt-image-1").price.rates == {"request": Decimal("0.04")}


def test_an_upstreams_key_is_encrypted_in_the_database():
    load_catalog(with_model())
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_key FROM proxy_upstream")
        assert "sk-upstream" not in cursor.fetchone()[0]
    assert Upstream.objects.get().api_key == "sk-upstream"


def test_a_key_may_come_from_the_environment(monkeypatch):
    without = {name: value for name, value in UPSTREAM.items() if name != "api_key"}
    data = {"upstreams": [{**without, "api_key_env": "SOME_PROVIDERS_KEY"}]}
    with pytest.raises(InvalidCatalog, match="SOME_PROVIDERS_KEY"):
        load_catalog(data)
    monkeypatch.setenv("SOME_PROVIDERS_KEY", "sk-env")
    load_catalog(data)
    assert Upstream.objects.get().api_key == "sk-env"


def test_a_changed_price_is_a_new_version_and_the_old_one_stays():
    load_catalog(with_model())
    load_catalog(with_model(price={**MODEL["price"], "input": "0.20"}))
    assert [(p.version, p.rates["input"]) for p in Price.objects.order_by("version")] == [(1, "0.10"), (2, "0.20")]
    assert catalog.load().find("openai/gpt-4.1-nano").price.rates["input"] == Decimal("0.20")
    with pytest.raises(DatabaseError), transaction.atomic():
        Price.objects.update(margin=2)


def test_a_margin_of_the_models_own_overrides_the_setting(settings):
    settings.PRICE_MARGIN = Decimal("1.05")
    load_catalog(with_model(price={**MODEL["price"], "margin": "1.20"}))
    assert catalog.load().find("gpt-4.1-nano").price.margin == Decimal("1.20")


def test_a_bare_name_is_an_alias_only_where_it_is_unambiguous():
    load_catalog({"upstreams": [UPSTREAM], "models": [MODEL, {**MODEL, "id": "other/gpt-4.1-nano"}]})
    found = catalog.load()
    assert found.find("gpt-4.1-nano") is None
    assert found.find("other/gpt-4.1-nano").slug == "other/gpt-4.1-nano"


def test_upstreams_are_tried_by_priority():
    second = {**UPSTREAM, "name": "first-choice", "priority": 0}
    load_catalog({"upstreams": [UPSTREAM, second], "models": [{**MODEL, "upstreams": ["main", "first-choice"]}]})
    names = [d.upstream for d in catalog.load().find("gpt-4.1-nano").destinations]
    assert names == ["first-choice", "main"]


def test_an_upstream_and_a_route_have_settings_of_their_own():
    azure = {**UPSTREAM, "name": "azure-eu", "kind": "azure", "account": "contoso", "bills_abandoned": False}
    azure["paths"] = ["embeddings", "chat"]
    azure |= {"max_concurrency": 40, "priority": 1}
    named = {"name": "azure-eu", "upstream_model": "our-nano", "limit_field": "max_tokens", "ask_usage": False}
    load_catalog({"upstreams": [UPSTREAM, azure], "models": [{**MODEL, "upstreams": ["main", named]}]})
    first, second = catalog.load().find("gpt-4.1-nano").destinations
    assert (first.kind, first.account, first.bills_abandoned) == ("openai", "main", True)
    assert [(one.has("chat"), one.has("responses")) for one in (first, second)] == [(True, True), (True, False)]
    assert (first.upstream_model, first.limit_field, first.ask_usage) == ("gpt-4.1-nano", "", True)
    assert (second.kind, second.account, second.bills_abandoned) == ("azure", "contoso", False)
    assert (second.upstream_model, second.limit_field, second.ask_usage) == ("our-nano", "max_tokens", False)
    assert (first.max_concurrency, second.max_concurrency, second.priority) == (None, 40, 1)


def test_a_price_that_does_not_tell_of_cache_writes_is_warned_of_where_callers_mark_them():
    told = with_model()
    told["upstreams"] = [{**UPSTREAM, "protocol": "anthropic"}]
    assert "`cache_write`, so a write to a cache costs plain input: openai/gpt-4.1-nano" in load_catalog(told)
    told["models"] = [{**MODEL, "price": {**MODEL["price"], "cache_write": "9"}}]
    assert "cache_write" not in load_catalog(told)
    assert "cache_write" not in load_catalog(with_model())


def test_an_upstream_whose_protocol_is_not_spoken_here_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(loading, "SPOKEN", frozenset({"openai"}))
    with pytest.raises(InvalidCatalog, match="'main': this version does not speak the protocol gemini"):
        load_catalog({"upstreams": [{**UPSTREAM, "protocol": "gemini"}]})


def test_one_that_another_version_stored_gets_no_requests():
    load_catalog(with_model())
    Upstream.objects.update(protocol="smtp")
    assert catalog.load().find("gpt-4.1-nano").destinations == ()


BAD = [
    ([], "upstreams"),
    ({"upstreams": [{**UPSTREAM, "protocol": "smtp"}]}, "protocol"),
    ({"upstreams": [{**UPSTREAM, "base_url": "ftp://x/"}]}, "base_url"),
    ({"upstreams": [{**UPSTREAM, "paths": ["talk"]}]}, "paths"),
    ({"upstreams": [{**UPSTREAM, "paths": []}]}, "paths"),
    ({"upstreams": [{**UPSTREAM, "base_url": "https://x/?key=1"}]}, "base_url"),
    ({"upstreams": [{**UPSTREAM, "timeout_seconds": 0}]}, "timeouts"),
    ({"upstreams": [{**UPSTREAM, "total_timeout_seconds": 90_000}]}, "timeouts"),
    ({"upstreams": [{**UPSTREAM, "apikey": "typo"}]}, "apikey"),
    ({"upstreams": [{**UPSTREAM, "kind": "bedrock"}]}, "kind"),
    ({"upstreams": [{**UPSTREAM, "kind": ["openai"]}]}, "kind"),
    ({"upstreams": [{**UPSTREAM, "protocol": ["openai"]}]}, "protocol"),
    ({"upstreams": [{**UPSTREAM, "kind": "anthropic"}]}, "speaks the protocol anthropic"),
    ({"upstreams": [{**UPSTREAM, "account": "two words"}]}, "account"),
    ({"upstreams": [{**UPSTREAM, "account": None}]}, "account"),
    ({"upstreams": [{**UPSTREAM, "max_concurrency": 0}]}, "max_concurrency"),
    ({"upstreams": [{**UPSTREAM, "max_concurrency": True}]}, "max_concurrency"),
    ({"upstreams": [{**UPSTREAM, "max_concurrency": "40"}]}, "max_concurrency"),
    ({"upstreams": [{**UPSTREAM, "bills_abandoned": "no"}]}, "bills_abandoned"),
    (with_model(upstreams=[["main"]]), "names, or mappings"),
    (with_model(upstreams=[{"upstream_model": "m"}]), "names, or mappings"),
    (with_model(upstreams=["main", {"name": "main"}]), "twice"),
    (with_model(upstreams=[{"name": "main", "colour": "red"}]), "colour"),
    (with_model(upstreams=[{"name": "main", "limit_field": "max_words"}]), "limit_field"),
    (with_model(upstreams=[{"name": "main", "ask_usage": 1}]), "ask_usage"),
    (with_model(id="no-provider"), "provider/model"),
    (with_model(upstreams=["nowhere"]), "nowhere"),
    (with_model(upstreams=[]), "at least one"),
    (with_model(max_output_tokens=-5), "max_output_tokens"),
    (with_model(price=None), "price"),
    (with_model(price={"billing": "per_token", "request": "1"}), "request"),
    (with_model(price={"billing": "per_mood", "input": "1"}), "billing"),
    (with_model(price={"input": "cheap"}), "cheap"),
    (with_model(price={"input": "-1"}), "-1"),
    (with_model(price={"input": "NaN"}), "NaN"),
    (with_model(price={"input": "1", "margin": "0.9"}), "0.9"),
]


@pytest.mark.parametrize(("data", "named"), BAD)
def test_a_bad_catalog_names_what_is_wrong_and_changes_nothing(data, named):
    with pytest.raises(InvalidCatalog, match=named), transaction.atomic():
        load_catalog(data)
    assert Model.objects.count() == Upstream.objects.count() == 0


def test_a_missing_or_broken_file_is_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("load_catalog", tmp_path / "nothing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(CommandError, match="not valid YAML"):
        call_command("load_catalog", broken)


@pytest.mark.parametrize("url", ["http://api.example.com/v1", "https://127.0.0.1/v1", "https://10.0.0.8/v1"])
def test_an_upstream_must_be_https_and_public_unless_the_operator_says_otherwise(settings, url):
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    with pytest.raises(InvalidCatalog, match="ALLOW_PRIVATE_UPSTREAMS"):
        load_catalog({"upstreams": [{**UPSTREAM, "base_url": url}]})
