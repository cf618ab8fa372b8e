"""Every page on a phone and on a desk: nothing scrolls sideways, nothing is too small to touch, nothing complains."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from accounts.keys import issuing
from accounts.models import Customer, Membership, User
from accounts.signals import customer_created
from billing.books.grants import grant_bonus
from billing.books.money import usd
from chuizi.local.demo import load_demo_catalog, make_history
from proxy.models import Generation
from tests.browser.conftest import DESKTOP, PHONE

pytestmark = pytest.mark.browser

PUBLIC = [
    "/",
    "/models",
    "/models?q=gpt",
    "/models?q=nothing-like-this",
    "/help/billing",
    "/api/docs/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/confirm-email/",
]
CONSOLE = [
    "/console/",
    "/console/start",
    "/console/start?with=opencode",
    "/console/usage",
    "/console/usage?day=2020-01-01",
    "/console/transactions",
    "/console/transactions?side=in",
    "/console/keys",
    "/console/webhooks",
    "/console/topup",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/sessions/",
]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Controls that can be seen and are smaller than a fingertip; links within running text may be.
TOO_SMALL = """() => [...document.querySelectorAll("button, .btn, nav a, summary, select, input:not([type=hidden])")]
    .filter(e => e.checkVisibility() && !["radio", "checkbox"].includes(e.type))
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => box.width > 0 && (box.height < 43.5 || box.width < 43.5))
    .map(([e, box]) => `${e.outerHTML.slice(0, 80)} ${box.width}x${box.height}`)"""


@pytest.fixture
def owner(transactional_db, settings):
    """A customer with a large balance and nothing behind it."""
    settings.DEBUG = True  # the payment methods are the sandbox's
    load_demo_catalog(now=timezone.now())
    customer = Customer.objects.create(name="Ada")
    customer_created.send(sender=Customer, customer=customer)
    grant_bonus(
        customer=customer, amount=usd("1234.5678"), key="x", reason="A reason of some length", now=timezone.now()
    )
    user = User.objects.create_user("a-rather-long-address-of-somebody@example.org", "a rather long one")
    Membership.objects.create(user=user, customer=customer)
    return user


@pytest.fixture
def with_history(owner):
    """The same with a month behind it, and names as long as they may be."""
    customer = owner.customers.get()
    now = timezone.now()
    key = issuing.issue(
        customer=customer,
        name="a-key-with-a-name-that-goes-on-and-on-without-a-break-for-as-long-as-it-may-" + "x" * 20,
        now=now,
        allowed_models=["anthropic/claude-sonnet-4-6", "openai/gpt-4.1-mini"],
        allowed_ips=["2001:db8:1234:5678::/64"],
        expires_at=now + timedelta(days=9),
        daily_limit=usd("5"),
    ).key
    make_history(customer=customer, key=key, now=now)
    Generation.objects.filter(pk=Generation.objects.order_by("-pk").first().pk).update(state="held", metered_at=None)
    return owner


def log_in(context, live_server, user) -> None:
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])


def look(page, url: str, complaints: list[str], *, expected: int = 200) -> None:
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        answer = page.goto(url)
        assert answer.status == expected, url
        assert page.evaluate(TOO_WIDE) <= 0, f"{url} scrolls sideways at {size['width']}"
        assert page.evaluate(TOO_SMALL) == [], url
    if expected == 200:
        assert complaints == []


def test_public_pages_fit_and_do_not_complain(page, live_server, owner, complaints):
    for path in PUBLIC:
        look(page, live_server.url + path, complaints)


def test_the_console_fits_and_does_not_complain(page, context, live_server, with_history, complaints):
    log_in(context, live_server, with_history)
    ids = Generation.objects.order_by("-pk").values_list("pk", flat=True)[:2]
    for path in CONSOLE + [f"/console/usage/{pk}" for pk in ids]:
        look(page, live_server.url + path, complaints)


def test_the_console_of_a_newcomer_fits(page, context, live_server, owner, complaints):
    log_in(context, live_server, owner)
    for path in CONSOLE:
        look(page, live_server.url + path, complaints)


def test_pages_fit_in_chinese_and_in_the_dark(page, context, live_server, with_history, complaints):
    page.emulate_media(color_scheme="dark")
    context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": "zh-hans", "url": live_server.url}])
    for path in PUBLIC:
        look(page, live_server.url + path, complaints)
    log_in(context, live_server, with_history)
    for path in CONSOLE:
        look(page, live_server.url + path, complaints)


def test_pages_that_are_not_there_fit(page, live_server, owner, settings):
    settings.DEBUG = False
    look(page, f"{live_server.url}/nothing", [], expected=404)


CONTRAST = """() => {
  const channel = c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("svg, .skip, .sr")) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(numbers(style.color)), light(behind(e))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (a + .05) / (b + .05), text = e.textContent.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) bad.add(`${e.className || e.tagName}: ${text} ${ratio}`);
  }
  return [...bad];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page, context, live_server, with_history, scheme):
    page.emulate_media(color_scheme=scheme)
    log_in(context, live_server, with_history)
    for path in ["/", "/models", "/help/billing", "/console/", "/console/usage", "/console/keys", "/console/topup"]:
        page.goto(live_server.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_from_sign_up_to_a_key_in_hand(page, live_server, owner, complaints, settings):
    settings.SITE_URL = live_server.url
    page.goto(live_server.url)
    page.get_by_role("link", name="Create an account").click()
    page.fill("input[name=email]", "new@example.org")
    page.fill("input[name=password1]", "a rather long one")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading")).to_have_text("Check your mail")
    page.goto(re.search(r"http\S+", mail.outbox[-1].body).group())
    page.get_by_role("button", name="Yes, confirm it").click()
    page.wait_for_url(re.compile("/console/$"))
    expect(page.locator(".big")).to_have_text("$0.5000")
    page.get_by_role("link", name="Create a key").click()
    page.fill("input[name=name]", "laptop")
    page.get_by_role("button", name="Create key").click()
    text = page.locator("#key-text").inner_text()
    assert issuing.find(text).name == "laptop"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == text
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert complaints == []


def test_the_phone_menu_opens_leads_on_and_closes(page, context, live_server, owner):
    log_in(context, live_server, owner)
    page.goto(f"{live_server.url}/console/")
    menu = page.locator(".phone nav")
    expect(menu).to_be_hidden()
    page.locator(".phone summary").click()
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    page.locator(".phone summary").click()
    menu.get_by_role("link", name="Transactions").click()
    page.wait_for_url(re.compile("/console/transactions"))


def test_a_form_sent_twice_by_a_quick_finger_makes_one_key(page, context, live_server, owner):
    log_in(context, live_server, owner)
    page.goto(f"{live_server.url}/console/keys")
    page.fill("input[name=name]", "once")
    page.get_by_role("button", name="Create key").dblclick()
    expect(page.locator("#key-text")).to_be_visible()
    assert owner.customers.get().keys.count() == 1


def test_the_language_switch_stays_on_the_page(page, live_server, owner):
    page.goto(f"{live_server.url}/models?q=gpt")
    page.get_by_role("button", name="中文").click()
    page.wait_for_url(re.compile(r"/models\?q=gpt"))
    expect(page.locator("h1")).to_have_text("模型与价格")
