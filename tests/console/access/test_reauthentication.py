"""Acts that outlive a stolen session ask for the password, unless it was given in the last minutes."""

import pytest
from django.test import Client

from accounts.models import ApiKey
from tests.conftest import NOW, pay_in

PASSWORD = "a rather long one"


def age(client: Client, *, seconds: int) -> None:
    """As if its login or last confirmation had been so much earlier."""
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [one | {"at": one["at"] - seconds} for one in records]
    session.save()


@pytest.mark.parametrize("path", ["/console/keys", "/console/refunds", "/console/invoices"])
def test_the_page_is_shown_but_an_act_waits_for_the_password(browser_client, path):
    age(browser_client, seconds=601)
    assert browser_client.get(path).status_code == 200
    answer = browser_client.post(path, {"name": "laptop"})
    assert answer.headers["Location"] == f"/accounts/reauthenticate/?next={path.replace('/', '%2F')}"
    assert not ApiKey.objects.exists()


def test_nothing_is_asked_for_ten_minutes_after_a_login(browser_client):
    age(browser_client, seconds=590)
    assert browser_client.post("/console/keys", {"name": "laptop"}).status_code == 200
    assert ApiKey.objects.get().name == "laptop"


def test_after_the_password_the_act_goes_on_as_it_was_sent(browser_client):
    age(browser_client, seconds=601)
    asking = browser_client.post("/console/keys", {"name": "laptop", "rpm_limit": "7"}).headers["Location"]
    wrong = browser_client.post(asking, {"password": "not it"})
    assert (wrong.status_code, ApiKey.objects.exists()) == (200, False)
    answer = browser_client.post(asking, {"password": PASSWORD, "next": "/console/keys"})
    assert (answer.status_code, "ck-" in answer.content.decode()) == (200, True)
    assert "no-store" in answer.headers["Cache-Control"]
    assert ApiKey.objects.values_list("name", "rpm_limit").get() == ("laptop", 7)
    assert browser_client.post("/console/keys", {"name": "second"}).status_code == 200


def test_what_was_typed_is_there_again_and_is_sent_to_its_own_page(browser_client, customer):
    pay_in(customer, "20", at=NOW)
    age(browser_client, seconds=601)
    asking = browser_client.post("/console/refunds", {"amount": "many", "reason": "a slip of mine"}).headers["Location"]
    answer = browser_client.post(asking, {"password": PASSWORD, "next": "/console/refunds"})
    assert answer.status_code == 400
    assert "a slip of mine" in answer.content.decode()
    assert '<form method="post" action="/console/refunds"' in answer.content.decode()
