"""A stored key goes to the host it was entered for: another host asks for it anew, whichever way it is named."""

from copy import deepcopy

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.urls import reverse

from chuizi.local import demo
from proxy.models import Upstream
from proxy.prices.loading import load_catalog
from proxy.prices.written import InvalidCatalog
from tests.conftest import NOW
from tests.made_requests import CATALOG
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
ELSEWHERE = [
    "https://evil.example/v1",
    "https://api.example.com.evil.example/v1",
    "https://api.example.com:8443/v1",
    "https://api.example.com@evil.example/v1",
    "https://xn--pi-6kc.example.com/v1",
]
THE_SAME = ["https://api.example.com/v2", "https://API.Example.COM:443/v1", "https://api.example.com./v1"]


@pytest.fixture
def save(catalog):
    """A function: an operator saves the upstream's form; what the page says."""
    upstream, desk = Upstream.objects.get(), at_desk(in_role("operator"))
    fields = {
        "name": "main",
        "protocol": "openai",
        "priority": 1,
        "currency": "USD",
        "timeout_seconds": 60,
        "total_timeout_seconds": 600,
    }

    def save(**changes) -> str:
        path = reverse("admin:proxy_upstream_change", args=[upstream.pk])
        return desk.post(path, {**fields, "is_active": "on", **changes}).content.decode()

    return save


def stored() -> tuple[str, str]:
    return Upstream.objects.values_list("base_url", "api_key").get()


def named(base_url: str, **changes: object) -> dict:
    data = deepcopy(CATALOG)
    data["upstreams"] = [{"name": "main", "protocol": "openai", "base_url": base_url, **changes}]
    return data


@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_the_form_asks_for_the_key_of_another_host(save, base_url):
    assert "enter the key for it" in save(base_url=base_url, new_api_key="")
    assert stored() == ("https://api.example.com/v1", "sk-top-secret")
    save(base_url=base_url, new_api_key="sk-of-theirs")
    assert stored() == (base_url, "sk-of-theirs")


def test_the_form_asks_for_the_key_when_the_scheme_changes(save, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    assert "enter the key for it" in save(base_url="http://api.example.com/v1")
    assert stored()[1] == "sk-top-secret"


@pytest.mark.parametrize("base_url", THE_SAME)
def test_the_form_keeps_the_key_where_only_the_path_or_the_spelling_changes(save, base_url):
    save(base_url=base_url)
    assert stored() == (base_url, "sk-top-secret")


def test_two_steps_lead_the_key_nowhere_else(save):
    """Switched off, of another name or kind: the key stays with its host."""
    save(is_active="", kind="azure", base_url="https://api.example.com/v1")
    assert Upstream.objects.filter(is_active=False, kind="azure").update(name="other") == 1
    assert "enter the key for it" in save(is_active="", base_url="https://evil.example/v1")
    assert stored()[1] == "sk-top-secret"


def test_the_form_keeps_the_name_that_accounts_and_transfers_say(save):
    save(name="other", priority=2, base_url="https://api.example.com/v1")
    assert Upstream.objects.values_list("name", "priority").get() == ("main", 2)


@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_a_catalog_with_another_host_names_the_key(catalog, base_url, monkeypatch):
    for unnamed in ({}, {"api_key": None}):
        with pytest.raises(InvalidCatalog, match="names another host"):
            load_catalog(named(base_url, **unnamed))
    assert stored() == ("https://api.example.com/v1", "sk-top-secret")
    load_catalog(named(base_url, api_key="sk-of-theirs"))
    assert stored() == (base_url, "sk-of-theirs")
    monkeypatch.setenv("THEIR_KEY", "sk-from-the-environment")
    load_catalog(named("https://third.example/v1", api_key_env="THEIR_KEY"))
    assert stored() == ("https://third.example/v1", "sk-from-the-environment")


def test_a_catalog_with_another_host_may_say_that_it_needs_no_key(catalog):
    load_catalog(named("https://evil.example/v1", api_key=""))
    assert stored() == ("https://evil.example/v1", "")
    load_catalog(named("https://third.example/v1"))
    assert stored() == ("https://third.example/v1", "")


@pytest.mark.parametrize("base_url", THE_SAME)
def test_a_catalog_that_names_no_key_keeps_the_one_of_the_same_host(catalog, base_url):
    load_catalog(named(base_url))
    assert stored() == (base_url, "sk-top-secret")


def test_the_command_says_so_and_changes_nothing(catalog, tmp_path):
    file = tmp_path / "catalog.yaml"
    file.write_text(yaml.safe_dump(named("https://evil.example/v1")), encoding="utf-8")
    with pytest.raises(CommandError, match="names another host, so name the `api_key`"):
        call_command("load_catalog", file)
    assert stored() == ("https://api.example.com/v1", "sk-top-secret")


def test_a_new_port_of_the_sandbox_takes_no_key_of_a_real_provider_there(catalog, monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:8765")
    Upstream.objects.update(name=demo.UPSTREAM)
    demo.load_demo_catalog(now=NOW)
    assert stored() == ("https://api.example.com/v1", "sk-top-secret")
    Upstream.objects.update(base_url="http://127.0.0.1:8001/upstream/v1")
    demo.load_demo_catalog(now=NOW)
    assert stored() == ("http://127.0.0.1:8765/upstream/v1", demo.KEY)


def test_the_form_takes_the_paths_that_there_are(save, catalog):
    url = stored()[0]
    assert "paths" in save(base_url=url, paths="responses, talk")
    save(base_url=url, paths="responses, chat")
    assert Upstream.objects.get().paths == ["chat", "responses"]
    save(base_url=url, paths="")
    assert Upstream.objects.get().paths == []
