"""create_customer, issue_key and grant, as an operator types them."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, User
from billing.models import Transfer, Wallet

EMAIL = "ada@example.org"


def run(name: str, *arguments: str) -> list[str]:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue().splitlines()


@pytest.fixture
def ada(db):
    return run("create_customer", "--email", EMAIL)


def test_create_customer_makes_a_confirmed_login_with_the_welcome_credit(ada, client):
    password = ada[-1].partition("Password: ")[2]
    assert EmailAddress.objects.get(email=EMAIL).verified
    assert Wallet.objects.get().bonus == Decimal("0.5")
    assert client.post("/accounts/login/", {"login": EMAIL, "password": password}).headers["Location"] == "/console/"


def test_create_customer_again_changes_nothing_and_says_so(ada):
    before = User.objects.get().password
    assert run("create_customer", "--email", "ADA@example.org") == [f"{EMAIL} is there already; nothing was changed."]
    assert User.objects.get().password == before
    assert Customer.objects.count() == 1
    assert Wallet.objects.get().bonus == Decimal("0.5")


def test_create_customer_refuses_what_is_no_address(db):
    with pytest.raises(CommandError, match="not an email address"):
        run("create_customer", "--email", "ada")
    assert not User.objects.exists()


def test_issue_key_prints_the_key_alone_on_the_last_line(ada):
    text = run("issue_key", "--email", EMAIL, "--name", "ci")[-1]
    assert issuing.find(text) == ApiKey.objects.get(name="ci")


def test_issue_key_sets_the_policy(ada):
    run(
        "issue_key",
        "--email=ada@example.org",
        "--name=ci",
        "--rpm=5",
        "--daily-limit=1.50",
        "--models=openai/gpt-4.1-nano, deepseek/deepseek-chat",
        "--ips=203.0.113.7,10.1.2.3/8",
        "--expires=2999-01-31T12:00Z",
    )
    key = ApiKey.objects.get(name="ci")
    assert (key.rpm_limit, key.daily_limit) == (5, Decimal("1.5"))
    assert key.allowed_models == ["openai/gpt-4.1-nano", "deepseek/deepseek-chat"]
    assert key.allowed_ips == ["203.0.113.7/32", "10.0.0.0/8"]
    assert key.expires_at == datetime(2999, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--rpm=-1", "--rpm"),
        ("--daily-limit=NaN", "--daily-limit"),
        ("--daily-limit=1.123456789", "--daily-limit"),
        ("--ips=300.1.1.1", "--ips"),
        ("--models=a b", "--models"),
        ("--expires=2001-01-01", "--expires"),
        ("--expires=soon", "--expires"),
    ],
)
def test_issue_key_names_the_option_that_is_wrong(ada, option, said):
    with pytest.raises(CommandError, match=said):
        run("issue_key", "--email", EMAIL, "--name", "ci", option)
    assert not ApiKey.objects.exists()


def test_issue_key_for_a_stranger_says_what_to_do(db):
    with pytest.raises(CommandError, match="create_customer"):
        run("issue_key", "--email", EMAIL, "--name", "ci")


def test_grant_with_a_key_grants_once(ada):
    for _ in range(2):
        run("grant", "--email", EMAIL, "--amount", "5", "--reason", "sorry", "--key", "case-1")
    assert Wallet.objects.get().bonus == Decimal("5.5")
    assert Transfer.objects.filter(memo="sorry").count() == 1


def test_grant_without_a_key_grants_each_time(ada):
    for _ in range(2):
        run("grant", "--email", EMAIL, "--amount", "5", "--reason", "sorry")
    assert Wallet.objects.get().bonus == Decimal("10.5")


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1.123456789", "much"])
def test_grant_refuses_what_is_no_amount(ada, amount):
    with pytest.raises(CommandError, match="--amount"):
        run("grant", "--email", EMAIL, f"--amount={amount}", "--reason", "x")
    assert Wallet.objects.get().bonus == Decimal("0.5")


def test_grant_refuses_the_same_key_for_another_amount(ada):
    run("grant", "--email", EMAIL, "--amount", "5", "--reason", "x", "--key", "k")
    with pytest.raises(CommandError, match="another amount"):
        run("grant", "--email", EMAIL, "--amount", "6", "--reason", "x", "--key", "k")
    assert Wallet.objects.get().bonus == Decimal("5.5")
