"""What confirming an address brings: a customer of one's own, and the welcome credit once a mailbox."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections

from accounts.models import Customer, Membership, User, WelcomedAddress
from accounts.people import signup
from accounts.people.addresses import mailbox
from billing.models import Transfer, Wallet
from tests.conftest import NOW

CREDIT = Decimal("0.50000000")


def confirm(email: str, *, address: str = "", now=NOW) -> Customer:
    return signup.confirm(user=User.objects.create_user(email), address=address, now=now)


def bonus_of(customer: Customer) -> Decimal:
    return Wallet.objects.get(customer=customer).bonus


def test_a_confirmed_address_opens_a_customer_with_an_owner_and_the_welcome_credit(db):
    customer = confirm("ada@example.org")
    membership = Membership.objects.get(customer=customer)
    assert (membership.user.email, membership.role) == ("ada@example.org", Membership.Role.OWNER)
    assert bonus_of(customer) == CREDIT


def test_confirming_again_changes_nothing(db):
    customer = confirm("ada@example.org")
    assert signup.confirm(user=User.objects.get(), address="", now=NOW) == customer
    assert Customer.objects.count() == 1
    assert bonus_of(customer) == CREDIT


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ada@example.org", "ada+more@example.org"),
        ("ada.love@gmail.com", "adalove@gmail.com"),
        ("adalove@gmail.com", "a.d.a.l.o.v.e+x@googlemail.com"),
    ],
)
def test_a_mailbox_written_another_way_is_not_welcomed_again(db, first, second):
    assert bonus_of(confirm(first)) == CREDIT
    assert bonus_of(confirm(second)) == 0


def test_capitals_make_no_other_mailbox():
    assert mailbox("Ada@Example.ORG ") == mailbox("ada@example.org")


def test_dots_make_another_mailbox_outside_gmail(db):
    assert bonus_of(confirm("ada.love@example.org")) == CREDIT
    assert bonus_of(confirm("adalove@example.org")) == CREDIT


def test_deleting_the_login_does_not_earn_the_credit_again(db):
    confirm("ada@example.org")
    User.objects.get().delete()
    assert bonus_of(confirm("ada@example.org")) == 0


def test_the_address_itself_is_not_kept(db):
    confirm("ada@example.org")
    [kept] = WelcomedAddress.objects.all()
    assert "ada" not in kept.address_hash
    assert len(kept.address_hash) == 64


def test_an_invited_member_gets_neither_a_customer_nor_the_credit(db):
    customer = confirm("owner@example.org")
    guest = User.objects.create_user("guest@example.org")
    Membership.objects.create(user=guest, customer=customer, role=Membership.Role.DEVELOPER)
    assert signup.confirm(user=guest, address="", now=NOW) == customer
    assert bonus_of(customer) == CREDIT
    assert WelcomedAddress.objects.count() == 1


@pytest.mark.parametrize("email", ["x@mailinator.com", "x@anything.mailinator.com", "x@yopmail.com"])
def test_a_throw_away_address_gets_a_customer_without_credit(db, email):
    assert bonus_of(confirm(email)) == 0


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (["9.9.9.1", "9.9.9.255"], "9.9.8.1"),
        (["2600:1:2::1", "2600:1:2:ffff::9"], "2600:1:3::1"),
    ],
)
def test_a_network_has_so_many_credits_a_day(db, settings, inside, outside):
    settings.SIGNUP_CREDITS_PER_NETWORK_PER_DAY = 1
    assert bonus_of(confirm("a@example.org", address=inside[0])) == CREDIT
    assert bonus_of(confirm("b@example.org", address=inside[1])) == 0
    assert bonus_of(confirm("c@example.org", address=outside)) == CREDIT
    assert bonus_of(confirm("d@example.org", address=inside[1], now=NOW + timedelta(days=1, seconds=1))) == CREDIT


def test_private_and_loopback_addresses_are_not_limited(db, settings):
    settings.SIGNUP_CREDITS_PER_NETWORK_PER_DAY = 1
    for number, address in enumerate(["127.0.0.1", "127.0.0.1", "10.0.0.1", "10.0.0.2", "::1", ""]):
        assert bonus_of(confirm(f"n{number}@example.org", address=address)) == CREDIT


def at_once(*acts: Callable[[], object]) -> None:
    """Run acts in threads that begin together; raise what any of them raised."""
    start = threading.Barrier(len(acts))
    failures: list[BaseException] = []

    def run(act: Callable[[], object]) -> None:
        try:
            start.wait(10)
            act()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if failures:
        raise failures[0]


def test_two_confirmations_at_once_open_one_customer_and_grant_once(transactional_db):
    user = User.objects.create_user("ada@example.org")
    at_once(*[lambda: signup.confirm(user=user, address="", now=NOW)] * 4)
    assert Customer.objects.count() == 1
    assert Transfer.objects.filter(kind="grant").count() == 1
    assert Wallet.objects.get().bonus == CREDIT


def test_two_spellings_of_a_mailbox_at_once_are_welcomed_once(transactional_db):
    users = [User.objects.create_user(f"ada+{tag}@example.org") for tag in range(4)]
    at_once(*[lambda user=user: signup.confirm(user=user, address="", now=NOW) for user in users])
    assert Customer.objects.count() == 4
    assert sum(wallet.bonus for wallet in Wallet.objects.all()) == CREDIT


def test_a_networks_last_credit_goes_to_one_of_those_who_come_at_once(transactional_db, settings):
    settings.SIGNUP_CREDITS_PER_NETWORK_PER_DAY = 2
    users = [User.objects.create_user(f"n{number}@example.org") for number in range(5)]
    at_once(*[lambda user=user: signup.confirm(user=user, address="9.9.9.9", now=NOW) for user in users])
    assert sum(wallet.bonus for wallet in Wallet.objects.all()) == 2 * CREDIT
