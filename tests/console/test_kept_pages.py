"""What anybody may read costs little: made once, and still everybody's own where it must be."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from django.test import Client

from api.reference import document
from console import public_pages
from proxy.prices import pricelist
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog

PRICE = {"input": "77.77", "output": "88.88"}


@pytest.fixture(autouse=True)
def loaded(db, upstream, settings) -> None:
    settings.KEEP_PAGES = True
    load_catalog(catalog(upstream))
    public_pages.kept.clear()
    yield
    public_pages.kept.clear()


def token_of(answer) -> str:
    return re.search(r'csrfmiddlewaretoken" value="([^"]+)"', answer.content.decode())[1]


@pytest.mark.parametrize("path", ["/", "/models"])
def test_the_second_reader_is_served_from_memory_with_a_token_of_their_own(path, monkeypatch):
    first = Client().get(path)
    monkeypatch.setattr(pricelist, "offers", None)  # nobody reads the prices again
    reader = Client(enforce_csrf_checks=True)
    second = reader.get(path)
    assert second.status_code == 200
    assert token_of(first) != token_of(second)
    assert second.content.replace(token_of(second).encode(), b"") == first.content.replace(
        token_of(first).encode(), b""
    )
    form = {"language": "zh-hans", "next": path, "csrfmiddlewaretoken": token_of(second)}
    assert reader.post("/language", form).status_code == 302
    assert "Cookie" in second["Vary"]


@pytest.mark.parametrize("path", ["/", "/models"])
def test_what_an_address_or_a_cookie_says_beside_makes_no_page_anew(path, monkeypatch):
    Client().get(f"{path}?utm=first")
    assert not public_pages.kept, "it might say what the first reader asked"
    Client().get(path)
    monkeypatch.setattr(pricelist, "offers", None)  # nobody reads the prices again
    client = Client()
    client.cookies["_ga"] = "GA1.1.1"
    answer = client.get(f"{path}?utm=second&q2=x")
    assert (answer.status_code, b"utm" in answer.content) == (200, False)


def test_a_changed_price_is_shown_at_once(upstream):
    Client().get("/models")
    load_catalog(catalog(upstream, price=PRICE))
    assert "$81.6585" in Client().get("/models").content.decode()


def test_each_language_and_each_person_has_a_page_of_their_own(browser_client):
    assert "Log in" in Client().get("/").content.decode()
    chinese = Client(headers={"Accept-Language": "zh-CN"})
    assert '<html lang="zh-hans">' in chinese.get("/").content.decode()
    assert '<html lang="zh-hans">' in chinese.get("/").content.decode()
    assert '<html lang="en">' in Client().get("/").content.decode()
    assert "ada@example.org" in browser_client.get("/").content.decode()
    assert "ada@example.org" not in Client().get("/").content.decode()


@pytest.mark.parametrize("cookie", ["messages", "sessionid"])
def test_a_page_that_may_tell_something_to_one_reader_is_kept_for_nobody(cookie):
    client = Client()
    client.cookies[cookie] = "x" * 40
    assert client.get("/").status_code == 200
    assert not public_pages.kept
    Client().get("/")
    assert public_pages.kept


def test_a_search_is_its_own(upstream):
    Client().get("/models")
    assert "No model fits" in Client().get("/models?q=nothing-like-it").content.decode()
    assert "No model fits" not in Client().get("/models").content.decode()


def test_any_number_of_first_callers_get_the_schema(transactional_db, monkeypatch):
    monkeypatch.setattr(document, "_made", {})

    def read(number: int) -> tuple[int, bytes]:
        answer = Client(raise_request_exception=False).get("/api/schema/", headers={"Accept-Language": "zh-CN"})
        return answer.status_code, answer.content

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(read, range(20)))
    [(status, text)] = found
    assert status == 200
    assert "/v1/credits" in yaml.safe_load(text)["paths"]


@pytest.mark.parametrize("query", ["?version=%0a", "?lang=xx", "?format=nonsense", "?format=json", "?version=2"])
def test_what_is_asked_of_the_schema_changes_nothing_but_its_form(query):
    answer = Client(raise_request_exception=False).get(f"/api/schema/{query}")
    assert answer.status_code in (200, 404)
    if answer.status_code == 200:
        assert yaml.safe_load(answer.content)["info"]["version"] == "1"
