"""The API reference before the running whole: authorize, try paths out, read it with any eyes, on any screen."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def complaints(page) -> list[str]:
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def opened(page, name):
    operation = page.locator(f"#{name}")
    operation.locator("summary").click()
    return operation


def authorize(page, key):
    page.get_by_label("Your API key").fill(key)
    page.get_by_role("button", name="Authorize").click()


def test_paths_are_tried_out_with_a_key(page, running, complaints):
    page.goto(f"{running.url}/api/docs/")
    authorize(page, running.key)
    expect(page.locator("#who")).to_contain_text("available")

    models = opened(page, "get-v1-models")
    models.get_by_role("button", name="Send").click()
    expect(models.locator(".try [role=status]")).to_have_class("ok")
    expect(models.locator(".try [role=status]")).to_contain_text("200 after")
    expect(models.locator(".result pre")).to_contain_text('"id": "openai/gpt-4.1-nano"')

    chat = opened(page, "post-v1-chat-completions")
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".result pre")).to_contain_text('"object": "chat.completion"')
    expect(chat.locator(".result dl")).to_contain_text("gen-")
    chat.get_by_label("Stream the answer").check()
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".result pre")).to_contain_text("data: [DONE]")
    expect(chat.locator(".try [role=status]")).to_contain_text("200 after")
    assert complaints == []

    chat.get_by_role("textbox", name="Body").fill('{"model": ')
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".try [role=status]")).to_contain_text("The body is not JSON")

    page.reload()
    expect(page.locator("#who")).to_contain_text("available")
    page.get_by_role("button", name="Forget the key").click()
    page.reload()
    expect(page.get_by_label("Your API key")).to_have_value("")


def test_a_wrong_key_is_said_to_be_one_and_is_not_kept(page, running):
    page.goto(f"{running.url}/api/docs/")
    authorize(page, "ck-" + "x" * 32)
    expect(page.locator("#who")).to_contain_text("The API key is missing, unknown, expired or disabled.")
    assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nobody_is_kept_out(page, running, complaints, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{running.url}/api/docs/#post-v1-topups")
    expect(page.locator("#post-v1-topups")).to_have_attribute("open", "")
    page.evaluate(
        "document.querySelectorAll('details').forEach(one => { one.open = one.matches('.op:nth-of-type(3n)'); })"
    )
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate(TOO_WIDE) <= 0
    page.get_by_label("Find a path").fill("nothing-like-it")
    expect(page.locator(".op:visible")).to_have_count(0)
    expect(page.get_by_text("No path fits.")).to_be_visible()
    page.get_by_label("Find a path").fill("topups/quote")
    expect(page.locator(".op:visible")).to_have_count(1)
    assert complaints == []
