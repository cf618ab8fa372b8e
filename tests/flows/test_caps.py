"""A cap set on a key's page stops its calls, and what is told of it reaches the customer's own machine, signed."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook

from tests.flows.conftest import log_in
from tests.running import Running
from tests.webhooks_receiver import Receiver, Taken, receiving

CAP = "0.004"
ASKED = {
    "model": "claude-sonnet-4-6",
    "messages": [{"role": "user", "content": "What is a ledger?"}],
    "max_tokens": 150,
}


def make_key(page: Page, running: Running, *, name: str) -> str:
    """A key with a cap a day: made on one page, capped on its own. Its text."""
    page.goto(f"{running.url}/console/keys")
    page.locator("input[name=name]").fill(name)
    page.get_by_role("button", name="Create key").click()
    text = page.locator("[data-key]").text_content() or ""
    page.goto(f"{running.url}/console/keys")
    page.get_by_role("link", name=name).first.click()
    page.locator("input[name=daily_limit]").fill(CAP)
    page.locator("section[aria-labelledby=edit]").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. It counts from the next request on.")).to_be_visible()
    return text


def call_until_refused(running: Running, text: str) -> dict[str, Any]:
    """The refusal, after one answer at least."""
    answered = 0
    with running.client(text) as client:
        for _ in range(20):
            answer: httpx.Response = client.post("/v1/chat/completions", json=ASKED)
            if answer.status_code != 200:
                assert answered, answer.text
                assert answer.status_code == 403, answer.text
                return answer.json()["error"]
            answered += 1
    raise AssertionError("never refused")


def test_a_cap_set_on_a_keys_page_stops_its_calls_and_the_bar_says_how_far_it_is(page, running):
    log_in(page, running)
    error = call_until_refused(running, make_key(page, running, name="capped"))
    assert error["code"] == "daily_limit_exceeded"
    words = r"This key may spend \$0\.00400000 a day: \$0\.00\d+ is charged and \$0\.00\d+ is held; this request needs"
    assert re.match(words + r" \$0\.00\d+\. It resets at \d{4}-\d\d-\d\dT\d\d:\d\d:00Z", error["message"]), error
    page.reload()
    bar = page.locator(".cap", has_text="today")
    expect(bar).to_have_text(re.compile(r"today\s+\$0\.00\d\d of \$0\.0040?.* · resets \d\d:\d\d"))
    assert 30 < float(bar.locator("rect").get_attribute("width") or 0) <= 100


def test_a_refusal_reaches_an_endpoint_made_on_its_page_and_is_sent_again_by_a_click(page, running):
    with receiving() as receiver:
        log_in(page, running)
        page.goto(f"{running.url}/console/settings")
        page.get_by_label("At 50, 80 and 100 % of the caps").check()
        page.locator("section[aria-labelledby=alerts]").get_by_role("button", name="Save").click()
        page.goto(f"{running.url}/console/webhooks")
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_role("button", name="Add endpoint").click()
        secret = re.search(r"whsec_\S+", page.locator("main").inner_text())[0]
        call_until_refused(running, make_key(page, running, name="told of"))
        told = wait_for(receiver, lambda body: body["type"] == "budget.reached")
        body = Webhook(secret).verify(told.body, told.headers)
        assert (body["data"]["of"], body["data"]["name"], body["data"]["period"]) == ("key", "told of", "day")
        page.goto(f"{running.url}/console/webhooks")
        page.get_by_role("link", name=receiver.url).first.click()
        delivery = page.locator("details.delivery", has_text=told.headers["webhook-id"])
        is_shown(page, lambda: delivery.get_by_text("delivered").count())
        delivery.locator("summary").click()
        expect(delivery.get_by_text("HTTP 200")).to_be_visible()
        before = len(receiver.taken)
        delivery.get_by_role("button", name="Send again").click()
        expect(page.get_by_text("It is on its way again.")).to_be_visible()
        again = wait_for(receiver, lambda body: body["type"] == "budget.reached", after=before)
        assert again.headers["webhook-id"] == told.headers["webhook-id"]
        assert Webhook(secret).verify(again.body, again.headers) == body
        page.locator("main").get_by_role("link", name="Delete", exact=True).click()
        page.locator("main").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("The endpoint is deleted.")).to_be_visible()


def wait_for(receiver: Receiver, is_meant: Callable[[Any], bool], *, after: int = 0, seconds: float = 60) -> Taken:
    """The first post of that kind behind the first `after`."""
    deadline = time.monotonic() + seconds
    while not (found := [post for post in receiver.taken[after:] if is_meant(json.loads(post.body))]):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.05)
    return found[0]


def is_shown(page: Page, look: Callable[[], int], *, seconds: float = 30) -> None:
    """The page is loaded again until it is."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        page.reload()
