"""Sessions end, what changes a login asks for the password again, and its owner hears of it."""

import json
import time
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Membership, SecurityEvent, User
from accounts.sessions import BEGAN, HOUR, SEEN
from billing.models import Mail, RefundRequest
from tests.conftest import NOW

PASSWORD = "a rather long one"


@pytest.fixture
def ada(customer) -> User:
    user = User.objects.create_user("ada@example.org", PASSWORD, date_joined=NOW - timedelta(days=9))
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Membership.objects.create(user=user, customer=customer)
    return user


@pytest.fixture
def logged_in(ada) -> Client:
    client = Client(headers={"User-Agent": "Firefox"})
    client.post("/accounts/login/", {"login": ada.email, "password": PASSWORD})
    return client


def age(client: Client, **seconds: int) -> None:
    """Make the session older: when it `began`, was last `seen`, and when the password was `given`."""
    session = client.session
    now = int(time.time())
    for name, value in ((BEGAN, "began"), (SEEN, "seen")):
        if value in seconds:
            session[name] = now - seconds[value]
    if "given" in seconds:
        for record in session["account_authentication_methods"]:
            record["at"] = now - seconds["given"]
    session.save()


def kinds(**filters: object) -> list[str]:
    return list(SecurityEvent.objects.filter(**filters).order_by("pk").values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("is_staff", "ages", "lives"),
    [
        (False, {"seen": 13 * 24 * HOUR, "began": 20 * 24 * HOUR}, True),
        (False, {"seen": 15 * 24 * HOUR}, False),
        (False, {"seen": 10, "began": 31 * 24 * HOUR}, False),
        (True, {"seen": HOUR - 60, "began": 7 * HOUR}, True),
        (True, {"seen": HOUR + 60}, False),
        (True, {"seen": 10, "began": 8 * HOUR + 60}, False),
    ],
)
def test_a_session_ends_when_idle_and_after_a_time_sooner_for_staff(logged_in, ada, is_staff, ages, lives):
    User.objects.update(is_staff=is_staff)
    age(logged_in, **ages)
    assert (logged_in.get("/console/").status_code == 200) is lives


def test_one_sees_where_one_is_logged_in_and_ends_it(logged_in, ada):
    other = Client(headers={"User-Agent": "Stolen"})
    other.post("/accounts/login/", {"login": ada.email, "password": PASSWORD})
    page = logged_in.get("/accounts/security/").content.decode()
    assert "Firefox" in page
    assert "Stolen" in page
    stolen = UserSession.objects.get(user_agent="Stolen")
    logged_in.post("/accounts/security/", {"end": str(stolen.pk)})
    assert other.get("/console/").status_code == 302
    assert logged_in.get("/console/").status_code == 200
    assert "session_ended" in kinds(user=ada)


def test_all_others_end_and_nobody_elses(logged_in, ada):
    others = [Client(), Client()]
    stranger = Client()
    User.objects.create_user("eve@example.org", PASSWORD)
    EmailAddress.objects.create(user=User.objects.get(email="eve@example.org"), email="eve@example.org", verified=True)
    stranger.post("/accounts/login/", {"login": "eve@example.org", "password": PASSWORD})
    for client in others:
        client.post("/accounts/login/", {"login": ada.email, "password": PASSWORD})
    theirs = UserSession.objects.get(user__email="eve@example.org")
    logged_in.post("/accounts/security/", {"end": str(theirs.pk)})
    logged_in.post("/accounts/security/", {"end": "others"})
    assert [client.get("/console/").status_code for client in (*others, logged_in)] == [302, 302, 200]
    assert UserSession.objects.filter(pk=theirs.pk).exists()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/email/", {"action_add": "", "email": "mallory@example.net"}),
        ("/accounts/email/", {"action_remove": "", "email": "ada@example.org"}),
        ("/accounts/email/", {"action_primary": "", "email": "ada@example.org"}),
        ("/accounts/2fa/totp/activate/", {"code": "123456"}),
        ("/console/keys", {"name": "mine"}),
        ("/console/refunds", {"amount": "1.00", "reason": "x"}),
        ("/console/invoices", {}),
        ("/accounts/security/", {"end": "others"}),
    ],
)
def test_a_stolen_session_is_asked_for_the_password(logged_in, path, form):
    age(logged_in, given=HOUR)
    answer = logged_in.post(path, form)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiKey.objects.exists()
    assert not RefundRequest.objects.exists()
    assert EmailAddress.objects.get().email == "ada@example.org"


def test_after_the_password_what_was_asked_for_is_done(logged_in):
    age(logged_in, given=HOUR)
    asked = logged_in.post("/console/keys", {"name": "mine"})
    done = logged_in.post(asked.headers["Location"], {"password": PASSWORD, "next": "/console/keys"})
    assert done.status_code == 200
    assert "ck-" in done.content.decode()
    assert ApiKey.objects.get().name == "mine"


def test_the_address_that_goes_hears_of_it(logged_in, ada):
    EmailAddress.objects.create(user=ada, email="new@example.org", verified=True)
    logged_in.post("/accounts/email/", {"action_primary": "", "email": "new@example.org"})
    assert ["ada@example.org"] in [message.to for message in mail.outbox]
    mail.outbox.clear()
    logged_in.post("/accounts/email/", {"action_remove": "", "email": "ada@example.org"})
    assert {"ada@example.org", "new@example.org"} <= {to for message in mail.outbox for to in message.to}
    assert kinds(user=ada)[-2:] == ["address_primary", "address_removed"]


def test_a_new_key_is_told_by_mail_and_every_change_of_keys_is_noted(logged_in, ada, customer):
    logged_in.post("/console/keys", {"name": "laptop"})
    key = ApiKey.objects.get()
    [told] = Mail.objects.filter(about=f"key {key.pk}")
    assert (told.to, "laptop" in told.body) == (ada.email, True)
    logged_in.post(f"/console/keys/{key.pk}/switch", {"active": "0"})
    logged_in.post(f"/console/keys/{key.pk}/delete")
    made = keys.issue(customer=customer, name="maker", now=NOW)
    api = Client(headers={"Authorization": f"Bearer {made.text}"})
    other = api.post("/v1/keys", {"name": "by program"}, content_type="application/json").json()["data"]["id"]
    api.patch(f"/v1/keys/{other}", {"name": "x"}, content_type="application/json")
    api.delete(f"/v1/keys/{other}")
    made, changed, ended = "key_made", "key_changed", "key_ended"
    assert kinds(customer=customer) == [made, changed, ended] * 2
    assert "laptop" in logged_in.get("/accounts/security/").content.decode()


def test_a_reset_asks_whether_the_keys_end_too(ada, customer):
    for ends in (False, True):
        issued = keys.issue(customer=customer, name="k", now=NOW, created_by=ada)
        mail.outbox.clear()
        client = Client()
        client.post("/accounts/password/reset/", {"email": ada.email})
        link = next(line for line in mail.outbox[0].body.split() if "/accounts/password/reset/key/" in line)
        page = client.get(link, follow=True)
        assert "Delete all API keys" in page.content.decode()
        form = {"password1": f"correct horse battery {ends}", "password2": f"correct horse battery {ends}"}
        client.post(page.redirect_chain[-1][0], form | ({"end_keys": "on"} if ends else {}))
        issued.key.refresh_from_db()
        assert issued.key.is_active is not ends
    assert "password_reset" in kinds(user=ada)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "chuizi.security"]


def test_failed_logins_and_refused_keys_stand_in_the_log_with_their_request(ada, customer, caplog):
    client = Client()
    client.post("/accounts/login/", {"login": ada.email, "password": "wrong"})
    issued = keys.issue(customer=customer, name="k", now=NOW)
    keys.switch(key=issued.key, active=False)
    refused = Client(headers={"Authorization": f"Bearer {issued.text}"}).get("/v1/credits")
    failed, key = lines(caplog)
    assert (failed["event"], failed["user"], failed["login"]) == ("login_failed", ada.pk, ada.email)
    assert str(failed["request_id"]).startswith("req-")
    assert (key["event"], key["customer"]) == ("key_refused", customer.pk)
    assert key["request_id"] == refused.headers["X-Request-Id"]
    assert issued.text not in caplog.text
    assert "wrong" not in caplog.text


def test_a_lockout_stands_in_the_log(ada, caplog):
    for _ in range(12):
        Client().post("/accounts/login/", {"login": ada.email, "password": "wrong"})
    assert "locked_out" in [line["event"] for line in lines(caplog)]


def test_a_session_without_a_request_for_a_minute_shows_when_it_was_used(logged_in):
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(days=1))
    age(logged_in, seen=120)
    logged_in.get("/console/")
    assert timezone.now() - UserSession.objects.get().last_seen_at < timedelta(minutes=1)
