"""Passwords and one-time codes are not guessed: attempts are counted where nothing evicts the count."""

import threading
import time

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.db import connection, connections
from django.test import Client

from accounts.models import User
from accounts.tasks import tidy

PASSWORD = "a rather long one"


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada@example.org", PASSWORD)


def attempt(password: str, *, address: str = "203.0.113.1", host: str = "127.0.0.1", **spelling: str) -> Client:
    client = Client(REMOTE_ADDR=address)
    login = spelling.get("login", "ada@example.org")
    client.post("/accounts/login/", {"login": login, "password": password}, headers={"Host": host})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session or "account_login" in client.session


def test_a_lockout_survives_any_number_of_other_counts(ada):
    for number in range(12):
        attempt("wrong", address=f"203.0.113.{number}")
    assert not is_in(attempt(PASSWORD, address="203.0.113.99"))
    for number in range(400):
        cache.set(f"other:{number}", 1, 3600)
    assert not is_in(attempt(PASSWORD, address="203.0.113.100"))


def test_the_host_that_a_guesser_names_opens_no_new_count(ada):
    for number in range(12):
        attempt("wrong", address=f"203.0.113.{number}", host=f"127.0.0.1:{number + 1}")
    assert not is_in(attempt(PASSWORD, address="203.0.113.99", host="localhost:77"))


@pytest.mark.django_db(transaction=True)
def test_thirty_attempts_at_once_are_counted_right():
    User.objects.create_user("ada@example.org", PASSWORD)
    refused: list[bool] = []

    def guess(number: int) -> None:
        client = Client(REMOTE_ADDR=f"203.0.113.{number}")
        page = client.post("/accounts/login/", {"login": "ada@example.org", "password": "wrong"})
        refused.append("Too many failed login attempts" in page.content.decode())
        connections.close_all()

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused.count(False) <= 10


def test_a_used_code_logs_nobody_in_again(ada):
    secret = totp.generate_totp_secret()
    instance = totp.TOTP.activate(ada, secret)
    code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))
    assert instance.validate_code(code)
    for number in range(400):
        cache.set(f"other:{number}", 1, 3600)
    assert not instance.validate_code(code)


def test_counts_that_are_over_are_thrown_away(db):
    cache.set("over", 1, 1)
    cache.set("counts", 1, 3600)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_cache_limits SET expires = now() - interval '1 s' WHERE cache_key LIKE '%over'")
        tidy()
        cursor.execute("SELECT count(*) FROM django_cache_limits")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "password",
    ["Summer2026", "Summer2026!!", "Password1234", "qwertyuiop12", "ada@example.org", "chuizichuizi1", "123456789012"],
)
def test_a_password_that_is_easy_to_guess_is_refused(client, db, password):
    client.post("/accounts/signup/", {"email": "ada@example.org", "password1": password})
    assert not User.objects.exists()


def test_a_long_password_takes_no_long_time(client, db):
    began = time.process_time()
    client.post("/accounts/signup/", {"email": "ada@example.org", "password1": "a1" * 5000})
    assert time.process_time() - began < 3


def test_sign_up_for_a_taken_address_hashes_a_password_too(ada, client, monkeypatch):
    hashed = []
    monkeypatch.setattr("console.forms.accounts.make_password", hashed.append)
    client.post("/accounts/signup/", {"email": "ada@example.org", "password1": "correct horse battery"})
    assert hashed == ["correct horse battery"]
