"""What happens to a login and its keys is written down: a JSON line in the log, a row for its owner's page."""

import json
import logging
import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal import auth as totp
from django.db import ProgrammingError, transaction
from django.test import Client

from accounts.keys import issuing
from accounts.models import Membership, SecurityEvent, User
from accounts.security import log
from tests.conftest import NOW

PASSWORD = "a rather long one"


@pytest.fixture
def ada(customer) -> User:
    user = User.objects.create_user("ada@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Membership.objects.create(user=user, customer=customer)
    return user


@pytest.fixture
def lines(caplog):
    """A function: what the log has been told, read as JSON."""
    log.log.addHandler(caplog.handler)
    yield lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "accounts.security"]
    log.log.removeHandler(caplog.handler)


def log_in(password: str = PASSWORD, *, login: str = "ada@example.org") -> Client:
    client = Client(REMOTE_ADDR="203.0.113.1", headers={"User-Agent": "Firefox"})
    client.post("/accounts/login/", {"login": login, "password": password})
    return client


def kinds(user: User) -> list[str]:
    return list(SecurityEvent.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))


def test_logins_and_failures_are_noted_with_address_and_request_and_nothing_that_was_typed(ada, lines, caplog):
    log_in("no such password")
    log_in("wrong", login="hunter2@example.org")
    log_in(login="Ada@example.org")
    told = lines()
    assert [(line["event"], line["user"]) for line in told] == [
        ("login_failed", ada.pk),
        ("login_failed", None),
        ("login", ada.pk),
    ]
    assert all(line["address"] == "203.0.113.1" and line["request_id"].startswith("req-") for line in told)
    assert not any(secret in caplog.text for secret in ("hunter2", "no such password", "ada@"))
    assert kinds(ada) == ["login_failed", "login"]
    assert [line["request_id"] for line in told[::2]] == [
        row.request_id for row in SecurityEvent.objects.order_by("pk")
    ]


def test_the_log_writes_lines_that_are_json_alone():
    [handler] = [found for found in log.log.handlers if type(found) is logging.StreamHandler]
    record = log.log.makeRecord("accounts.security", 20, "", 0, "%s", ("{}",), None)
    assert (handler.format(record), log.log.propagate) == ("{}", False)


def test_a_lockout_is_logged_each_time_and_stands_on_the_page_once(ada, lines):
    for _ in range(9):
        log_in("wrong")
    assert [line["event"] for line in lines()].count("locked_out") == 4
    assert kinds(ada) == ["login_failed"] * 5 + ["locked_out"]


def test_a_change_of_password_and_address_and_a_logout_are_noted(ada):
    client = log_in()
    new = "correct horse battery"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    client.post("/accounts/reauthenticate/", {"password": new})
    client.post("/accounts/email/", {"action_add": "", "email": "new@example.org"})
    client.post("/accounts/logout/")
    assert [kind for kind in kinds(ada) if kind != "login"] == ["password_changed", "address_added", "logout"]


def test_a_second_factor_is_noted_when_used_and_when_its_code_is_wrong(ada, lines):
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(ada, secret)
    client = log_in()
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert kinds(ada) == ["factor_failed", "factor_used", "login"]
    assert code not in json.dumps([{**line, "at": "", "request_id": ""} for line in lines()])


def test_keys_changed_by_programs_are_noted_for_their_maker(ada, customer):
    maker = issuing.issue(customer=customer, name="maker", now=NOW, created_by=ada, scopes=["read", "keys"])
    api = Client(headers={"Authorization": f"Bearer {maker.text}"})
    wanted = {"name": "by program", "scopes": ["read"]}
    made = api.post("/v1/keys", wanted, content_type="application/json").json()["data"]["id"]
    api.patch(f"/v1/keys/{made}", {"name": "x"}, content_type="application/json")
    api.delete(f"/v1/keys/{made}")
    assert kinds(ada) == ["key_made", "key_changed", "key_deleted"]


def test_a_refused_key_is_logged_alone(ada, customer, lines, caplog):
    issued = issuing.issue(customer=customer, name="k", now=NOW, created_by=ada, allowed_ips=["192.0.2.0/24"])
    api = Client(headers={"Authorization": f"Bearer {issued.text}"})
    elsewhere = api.get("/v1/credits")
    issuing.switch(key=issued.key, active=False)
    api.get("/v1/credits")
    Client(headers={"Authorization": "Bearer ck-" + "x" * 32}).get("/v1/credits")
    assert [(line["event"], line["why"], line.get("key")) for line in lines()] == [
        ("key_refused", "not from this address", issued.key.pk),
        ("key_refused", "expired or disabled", issued.key.pk),
        ("key_refused", "unknown", None),
    ]
    assert lines()[0]["request_id"] == elsewhere.headers["X-Request-Id"]
    assert issued.text not in caplog.text
    assert not SecurityEvent.objects.exists()


def test_no_event_is_ever_changed(ada):
    log_in()
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        SecurityEvent.objects.update(kind="logout")
