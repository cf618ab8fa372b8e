"""Pages in headless Chromium, against Django's own test server; every word of its console counts as a failure."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.flows.conftest import browser  # noqa: F401 - a fixture

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(autouse=True, scope="module")
def _playwrights_loop_is_not_ours() -> Iterator[None]:
    """Playwright runs an event loop in this thread, which Django takes for a reason to refuse its database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said: content policy violations, script errors, missing files."""
    return []


@pytest.fixture
def context(browser: Browser, complaints: list[str]) -> Iterator[BrowserContext]:  # noqa: F811
    context = browser.new_context(viewport=PHONE, locale="en-US")
    context.set_default_timeout(15_000)

    def listen(page: Page) -> None:
        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"{page.url}: {message.text}")

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))

    context.on("page", listen)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
