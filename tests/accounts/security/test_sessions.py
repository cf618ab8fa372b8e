"""Sessions end when nobody uses them and after a time; one sees where one is logged in, and ends that."""

import time
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.security.sessions import BEGAN, HOUR, SEEN

PASSWORD = "a rather long one"
PAGE = "/accounts/sessions/"
DAY = 24 * HOUR


@pytest.fixture
def ada(user) -> User:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def log_in(agent: str, email: str = "ada@example.org") -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    ("is_staff", "seen", "began", "lives"),
    [
        (False, 13 * DAY, 20 * DAY, True),
        (False, 15 * DAY, 15 * DAY, False),
        (False, 10, 31 * DAY, False),
        (True, HOUR - 60, 7 * HOUR, True),
        (True, HOUR + 60, 2 * HOUR, False),
        (True, 10, 8 * HOUR + 60, False),
    ],
)
def test_a_session_ends_when_idle_and_after_a_time_sooner_for_staff(browser_client, is_staff, seen, began, lives):
    User.objects.update(is_staff=is_staff)
    session, now = browser_client.session, int(time.time())
    session[SEEN], session[BEGAN] = now - seen, now - began
    session.save()
    assert is_in(browser_client) is lives


def test_what_was_idle_for_too_long_is_not_shown_and_has_ended(ada):
    here, old = log_in("Firefox"), log_in("Old")
    UserSession.objects.filter(user_agent="Old").update(last_seen_at=timezone.now() - timedelta(days=15))
    assert "Old" not in here.get(PAGE).content.decode()
    assert (is_in(here), is_in(old)) == (True, False)


def test_use_is_noted_once_a_minute_and_carries_the_session_on(ada):
    client = log_in("Firefox")
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(days=1))
    began = client.session[BEGAN]
    client.get(PAGE)
    assert timezone.now() - UserSession.objects.get().last_seen_at > timedelta(hours=1)
    session = client.session
    session[SEEN] -= 120
    session.save()
    client.get(PAGE)
    assert timezone.now() - UserSession.objects.get().last_seen_at < timedelta(minutes=1)
    assert (client.session[SEEN] >= began, client.session[BEGAN]) == (True, began)


def test_a_page_for_everybody_is_not_made_ones_own(client, db):
    assert "Cookie" not in client.get("/v1/models").headers.get("Vary", "")


def test_one_session_is_ended_and_it_stands_below(ada):
    here, stolen = log_in("Firefox"), log_in("Stolen")
    page = here.get(PAGE).content.decode()
    assert ("Firefox" in page, "Stolen" in page) == (True, True)
    here.post(PAGE, {"end": str(UserSession.objects.get(user_agent="Stolen").pk)})
    assert (is_in(here), is_in(stolen)) == (True, False)
    assert SecurityEvent.objects.filter(user=ada, kind="session_ended").count() == 1
    assert "Session ended" in here.get(PAGE).content.decode()


def test_all_others_end_and_nobody_elses(ada):
    eve = User.objects.create_user("eve@example.org", PASSWORD)
    EmailAddress.objects.create(user=eve, email=eve.email, verified=True, primary=True)
    here, others, stranger = log_in("here"), [log_in("a"), log_in("b")], log_in("Mallory", eve.email)
    theirs = UserSession.objects.get(user=eve)
    here.post(PAGE, {"end": str(theirs.pk)})
    here.post(PAGE, {"end": "others"})
    assert [is_in(client) for client in (here, *others, stranger)] == [True, False, False, True]
    assert "Mallory" not in here.get(PAGE).content.decode()


def test_the_page_shows_ones_own_events_alone(ada, browser_client):
    eve = User.objects.create_user("eve@example.org", PASSWORD)
    for user, about in ((ada, "ck-mine"), (eve, "ck-theirs")):
        SecurityEvent.objects.create(user=user, kind="key_made", about=about, at=timezone.now())
    page = browser_client.get(PAGE).content.decode()
    assert ("ck-mine" in page, "ck-theirs" in page) == (True, False)


def test_a_login_through_a_socket_has_no_address_and_works(ada):
    client = Client(REMOTE_ADDR="")
    client.post("/accounts/login/", {"login": ada.email, "password": PASSWORD})
    assert is_in(client)
