"""A newcomer's ten minutes: sign up, confirm, make a key, call a model, see where each cent went."""

import re
import time
from decimal import Decimal

from openai import OpenAI
from playwright.sync_api import expect

EMAIL = "newcomer@example.org"
PASSWORD = "a-long-enough-passphrase"


def test_from_sign_up_to_settlement(page, running):
    page.goto(running.url)
    page.get_by_role("link", name="Create an account").first.click()
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password1]", PASSWORD)
    page.locator("main form button").first.click()
    page.wait_for_url(re.compile("confirm-email"))
    link = re.search(rf"{running.url}/accounts/confirm-email/\S+", running.mail_to(EMAIL))
    assert link is not None
    page.goto(link.group())
    page.locator("main form button").first.click()
    page.wait_for_url(re.compile("/console/"))
    expect(page.get_by_text("$0.5000").first).to_be_visible()

    page.goto(f"{running.url}/console/keys")
    page.fill("input[name=name]", "first")
    page.get_by_role("button", name="Create key").click()
    key = page.locator("[data-key]").inner_text()
    assert re.fullmatch(r"ck-[a-zA-Z0-9]{32}", key)
    with OpenAI(base_url=f"{running.url}/v1", api_key=key) as client:
        answer = client.chat.completions.create(
            model="openai/gpt-4.1-nano", messages=[{"role": "user", "content": "What is a wallet?"}]
        )
    deadline = time.monotonic() + 5
    with running.client(key) as client:
        while client.get("/v1/generation", params={"id": answer.id}).json()["data"]["status"] != "settled":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        credits = client.get("/v1/credits").json()["data"]
    assert Decimal(credits["available"]) == Decimal("0.5") - Decimal(answer.x_chuizi["cost"])

    page.goto(f"{running.url}/console/usage/{answer.id}")
    expect(page.get_by_text(answer.x_chuizi["cost"]).first).to_be_visible()
    page.goto(f"{running.url}/console/transactions")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.goto(f"{running.url}/console/keys")
    expect(page.locator("[data-key]")).to_have_count(0)  # shown once
    expect(page.get_by_text(key)).to_have_count(0)


def test_another_account_at_the_same_mailbox_gets_no_second_welcome(running):
    bonuses = []
    for email in ("twice@example.org", "twice+more@example.org"):
        assert running.manage("create_customer", "--email", email).returncode == 0
        key = running.manage("issue_key", "--email", email, "--name", "k").stdout.splitlines()[-1]
        with running.client(key) as client:
            bonuses.append(client.get("/v1/credits").json()["data"]["bonus"])
    assert bonuses == ["0.50000000", "0.00000000"]
