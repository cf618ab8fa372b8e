"""/console/start: settings to paste, the same as in docs/agents.md."""

import html
from pathlib import Path

import pytest
from django.utils.translation import override

from console.start.agents import AGENTS
from console.start.sdks import SDKS
from console.start.written import markdown
from proxy.prices.loading import load_catalog

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"


@pytest.fixture
def page(browser_client):
    return lambda slug="": html.unescape(browser_client.get(f"/console/start?with={slug}").content.decode())


@pytest.mark.parametrize("guide", [*AGENTS, *SDKS], ids=lambda guide: guide.slug)
def test_each_guide_has_the_readers_address_key_and_models(page, catalog, key, settings, guide):
    settings.SITE_URL = "https://gateway.example"
    text = page(guide.slug)
    shown = text[text.index('id="guide"') :]
    assert f'<h2 id="guide-name">{guide.name}</h2>' in text
    assert "https://gateway.example" in shown
    assert f"{key.key.prefix}..." in shown, "what a header may hold, so that who pastes it as it is reads why not"
    assert key.text not in text
    assert "{{" not in shown
    assert shown.count("data-copy=") == len(guide.blocks)


def test_models_that_are_not_on_offer_are_not_named(page, catalog):
    price = {"input": "1"}
    load_catalog({"models": [{"id": "openai/a-first-one", "upstreams": ["main"], "price": price}]})
    assert "openai/gpt-5.4" not in page("openai")
    assert "openai/a-first-one" not in page("openai"), "it does not write"
    assert "openai/gpt-4.1-nano" in page("openai")


def test_without_a_key_one_is_to_be_made_first(page, catalog):
    assert "You need a key first" in page()
    assert "Claude Code" in page("nothing-like-this")


def test_docs_say_what_the_page_says():
    with override("en"):
        written = {"agents": markdown(AGENTS), "sdks": markdown(SDKS)}
    for name, text in written.items():
        begun = PAGE.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")[2]
        assert begun.partition(f"<!-- end of {name} -->")[0] == text, name
