"""A low balance is told of once, by the ledger's one mover of wallets, until it was up again."""

from decimal import Decimal

import pytest
from django.core import mail as sent
from django.db import connection

from accounts.models import Membership, User
from billing.books import holds
from billing.books.ledger import Posting, house_account, post
from billing.models import Event, Hold, Mail, Notice, Wallet
from billing.outbox import mail, readers
from billing.outbox.kinds import Fact
from billing.warnings import setting
from billing.warnings.setting import AlertError, Wanted, amount
from core.clock import database_now
from tests.billing.conftest import failures, in_threads, topup
from tests.conftest import NOW, use_up


def warn_below(customer, line: str | None) -> None:
    wanted = Wanted(low_balance=None if line is None else Decimal(line))
    setting.change(customer=customer, wanted=wanted, by=None, now=NOW)


def told() -> list[str]:
    return list(Event.objects.filter(kind=Fact.BALANCE_LOW).order_by("id").values_list("data__level", flat=True))


def standing(customer) -> int:
    return Notice.objects.standing(customer_id=customer.pk, now=NOW).count()


@pytest.fixture
def funded(make_customer):
    customer = make_customer()
    topup(Wallet.objects.get(customer=customer), "10")
    return customer


def test_a_balance_that_falls_below_the_line_is_told_of_once(funded):
    warn_below(funded, "5.00")
    use_up(funded, "5")
    assert told() == []  # at the line, not below it
    use_up(funded, "0.01")
    use_up(funded, "1")
    assert told() == ["4.99000000"]
    fact = Event.objects.get(kind=Fact.BALANCE_LOW)
    assert fact.shown["paid"] == "4.99000000"
    assert standing(funded) == 1


def test_it_is_armed_again_above_110_percent_of_the_line(funded):
    wallet = Wallet.objects.get(customer=funded)
    warn_below(funded, "5.00")
    use_up(funded, "6")
    topup(wallet, "1.5", "topup:2")  # 5.50: above the line, and not above 110 % of it
    assert standing(funded) == 1
    use_up(funded, "1")
    assert len(told()) == 1
    topup(wallet, "1.01", "topup:3")
    assert standing(funded) == 0
    use_up(funded, "1")
    assert told() == ["4.00000000", "4.51000000"]
    assert standing(funded) == 1


def test_what_refunds_hold_is_not_there_and_what_requests_hold_is(funded):
    warn_below(funded, "5.00")
    holds.place(customer_id=funded.pk, key="r", kind=Hold.Kind.REQUEST, amount=Decimal(9), now=NOW)
    use_up(funded, "0.5")
    assert told() == []
    holds.resolve([holds.Resolution("r", None, "test")], now=NOW)
    holds.place(customer_id=funded.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(5), now=NOW)
    use_up(funded, "0.5")
    assert told() == ["4.00000000"]
    holds.resolve([holds.Resolution("refund:1", None, "test")], now=NOW)
    use_up(funded, "5")  # it was up meanwhile, though nothing moved it
    assert told() == ["4.00000000", "4.00000000"]


def test_a_line_above_the_balance_is_told_of_at_once_and_no_line_ends_it(funded):
    warn_below(funded, "20.00")
    assert (told(), standing(funded)) == (["10.00000000"], 1)
    warn_below(funded, "20.00")
    assert len(told()) == 1
    warn_below(funded, None)
    assert standing(funded) == 0
    wallet = Wallet.objects.get(customer=funded)
    assert (wallet.low_below, wallet.low_since) == (None, None)
    use_up(funded, "9")
    assert len(told()) == 1


def test_accounts_that_want_no_warning_get_none(funded):
    use_up(funded, "10")
    assert told() == []
    assert not Notice.objects.exists()


@pytest.mark.parametrize("text", ["0", "-1", "1.001", "x", "1e3", "1000000.01", True, [], "NaN"])
def test_a_line_that_is_none_is_refused(text):
    with pytest.raises(AlertError) as refused:
        amount(text, field="low_balance")
    assert refused.value.field == "low_balance"


@pytest.mark.django_db(transaction=True)
def test_two_settlers_on_one_wallet_tell_once(make_customer):
    customer = make_customer()
    wallet = Wallet.objects.get(customer=customer)
    topup(wallet, "10")
    warn_below(customer, "5.00")
    revenue = house_account("revenue:usage")

    def charge(number: int) -> None:
        post([Posting(f"g{number}:paid", "usage", wallet.paid_account, revenue, Decimal(3))], now=NOW)

    results = in_threads(*[lambda number=number: charge(number) for number in range(3)])
    assert not failures(results)
    assert told() == ["4.00000000"]
    assert standing(customer) == 1


@pytest.mark.django_db(transaction=True)
def test_killed_between_fact_and_mail_it_is_mailed_once(make_customer, monkeypatch):
    customer = make_customer()
    topup(Wallet.objects.get(customer=customer), "10")
    owner = User.objects.create_user("ada@example.org", "a rather long one")
    viewer = User.objects.create_user("bob@example.org", "a rather long one")
    Membership.objects.create(user=owner, customer=customer)
    Membership.objects.create(user=viewer, customer=customer, role="viewer")
    warn_below(customer, "5.00")
    use_up(customer, "6")

    class Killed(BaseException):
        pass

    def killed(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("billing.outbox.mail.Mail.objects.bulk_create", killed)
        with pytest.raises(Killed):
            readers.read(mail.READER, now=database_now())
    connection.close()
    assert not Mail.objects.exists()
    for _ in range(2):
        mail.send_due(now=database_now())
    [letter] = sent.outbox
    assert letter.to == ["ada@example.org"]
    assert "The balance is $4.00, below the $5.00" in letter.body
