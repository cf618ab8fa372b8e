"""/console/webhooks: an owner adds an endpoint, looks at what was posted, and has it posted again."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, User
from billing.outbox import readers
from tests.webhooks.conftest import low
from webhooks import claiming, endpoints, posting
from webhooks.kinds import EVENTS
from webhooks.models import Delivery, Endpoint

URL = "https://93.184.216.34/hook"


@pytest.fixture(autouse=True)
def _in_public(settings):
    settings.ALLOW_PRIVATE_WEBHOOKS = False


@pytest.fixture
def made(customer):
    made = endpoints.make(customer=customer, url=URL, wanted=["balance.low"], now=timezone.now())
    Endpoint.objects.update(created_at=timezone.now() - timedelta(days=1))
    return made


def page_of(endpoint: Endpoint) -> str:
    return f"/console/webhooks/{endpoint.number}"


def secrets_in(answer) -> list[str]:
    return re.findall(r"whsec_[\w+/=]{44}", answer.content.decode())


def posted(customer, status: int, text: str) -> Delivery:
    low(customer)
    now = timezone.now()
    readers.read("webhooks", now=now)
    [claim] = claiming.claim(now=now, limit=1)
    claiming.finish(claim, posting.Answer(status, "", text, 12), now=now)
    return Delivery.objects.latest("pk")


def test_an_endpoint_is_added_and_its_secret_shown_once(browser_client):
    answer = browser_client.post(
        "/console/webhooks", {"url": URL, "description": "till", "wanted": ["topup.paid", "key.ended"]}
    )
    endpoint = Endpoint.objects.get()
    assert secrets_in(answer) == [endpoint.secret]
    assert (endpoint.events, endpoint.description) == (["topup.paid", "key.ended"], "till")
    for path in ("/console/webhooks", page_of(endpoint)):
        assert secrets_in(browser_client.get(path)) == []
        assert URL in browser_client.get(path).content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "https://10.0.0.1/"}, "not an address of the public network"),
        ({"url": "http://93.184.216.34/"}, "begin with https"),
        ({"url": ""}, "required"),
        ({"wanted": []}, "at least one event"),
        ({"wanted": ["no.such"]}, "not one of the available"),
    ],
)
def test_what_cannot_be_an_endpoint_comes_back_with_the_form(browser_client, made, given, words):
    for path in ("/console/webhooks", page_of(made.endpoint)):
        answer = browser_client.post(path, {"url": URL, "wanted": list(EVENTS)} | given)
        assert answer.status_code == 400
        assert words in answer.content.decode()
    assert Endpoint.objects.count() == 1


def test_the_eleventh_is_not_offered_and_not_taken(browser_client, customer, made):
    for _each in range(9):
        endpoints.make(customer=customer, url=URL, wanted=["balance.low"], now=timezone.now())
    assert "at most 10 endpoints" in browser_client.get("/console/webhooks").content.decode()
    answer = browser_client.post("/console/webhooks", {"url": URL, "wanted": list(EVENTS)})
    assert (answer.status_code, Endpoint.objects.count()) == (400, 10)


def test_an_endpoint_is_changed_switched_off_and_on_and_deleted(browser_client, made):
    page = page_of(made.endpoint)
    browser_client.post(page, {"url": URL + "/2", "wanted": ["key.created"]})
    endpoint = Endpoint.objects.get()
    assert (endpoint.url, endpoint.events) == (URL + "/2", ["key.created"])
    browser_client.post(f"{page}/switch", {"active": "0"})
    assert "switched off by an owner" in browser_client.get(page).content.decode()
    browser_client.post(f"{page}/switch", {"active": "1"})
    assert Endpoint.objects.get().is_active
    assert browser_client.get(f"{page}/delete").status_code == 200
    assert browser_client.post(f"{page}/delete").status_code == 302
    assert browser_client.get(page).status_code == 404
    assert URL not in browser_client.get("/console/webhooks").content.decode()


def test_a_new_secret_is_shown_once_and_until_when_the_old_one_signs(browser_client, made):
    page = page_of(made.endpoint)
    answer = browser_client.post(f"{page}/rotate")
    endpoint = Endpoint.objects.get()
    assert secrets_in(answer) == [endpoint.secret] != [made.secret]
    again = browser_client.get(page)
    assert secrets_in(again) == []
    assert "The secret before signs too" in again.content.decode()


def test_the_log_shows_what_was_posted_and_what_came_back_and_sends_it_again(browser_client, customer, made):
    delivery = posted(customer, 500, "<b>oh no</b>")
    page = page_of(made.endpoint)
    text = browser_client.get(page).content.decode()
    for words in ("balance.low", "waiting", "HTTP 500", "&lt;b&gt;oh no", delivery.message_id, "Next attempt"):
        assert words in text
    assert "Nothing was delivered since" in text
    Delivery.objects.update(state="failed", send_at=None, attempts=10)
    browser_client.post(f"{page}/deliveries/{delivery.number}/replay")
    assert Delivery.objects.get().state == "waiting"


def test_a_test_is_sent_unless_the_endpoint_is_off(browser_client, made):
    page = page_of(made.endpoint)
    browser_client.post(f"{page}/test")
    assert Delivery.objects.get().is_test
    browser_client.post(f"{page}/switch", {"active": "0"})
    answer = browser_client.post(f"{page}/test", follow=True)
    assert "Switch it on first" in answer.content.decode()
    assert Delivery.objects.count() == 1


def test_a_long_log_has_pages(browser_client, customer, made):
    for _each in range(25):
        posted(customer, 200, "ok")
    page = page_of(made.endpoint)
    first = browser_client.get(page).content.decode()
    [older] = re.findall(r"\?before=(\d+)", first)
    second = browser_client.get(f"{page}?before={older}").content.decode()
    assert (first.count("webhook-id"), second.count("webhook-id")) == (20, 5)
    [newer] = re.findall(r"\?after=(\d+)", second)
    assert browser_client.get(f"{page}?after={newer}").content.decode().count("webhook-id") == 20


def test_another_accounts_endpoint_is_not_there(make_customer, made):
    stranger = User.objects.create_user("eve@example.org", "a rather long one")
    Membership.objects.create(user=stranger, customer=make_customer())
    client = Client()
    client.force_login(stranger)
    page = page_of(made.endpoint)
    assert client.get(page).status_code == 404
    for path in ("", "/rotate", "/switch", "/test", "/delete"):
        assert client.post(page + path).status_code == 404
    assert Endpoint.objects.get().secret == made.secret


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_the_pages_are_the_owners(customer, made, role):
    person = User.objects.create_user("eve@example.org", "a rather long one")
    Membership.objects.create(user=person, customer=customer, role=role)
    client = Client()
    client.force_login(person)
    for path in ("/console/webhooks", page_of(made.endpoint)):
        assert client.get(path).status_code == 403
    assert "/console/webhooks" not in client.get("/console/keys").content.decode()
